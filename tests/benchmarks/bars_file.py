"""Bars of a Parquet file, adjusted, for the benchmarks that take one."""

from pathlib import Path

import numpy as np
import polars as pl

_PRICES = ("open", "high", "low", "close")


def read_adjusted(path: Path) -> pl.DataFrame:
    """Returns symbol, date, open, high, low, close, volume, sorted by symbol and date.

    Prices are multiplied by adj_close / close, volume is divided by it. Rows without a price, and
    rows whose high and low do not hold open and close, are left out.

    Args:
        path: Parquet with symbol, date, open, high, low, close, adj_close and volume.
    """
    factor = pl.col("adj_close") / pl.col("close")
    bars = pl.read_parquet(path).select(
        "symbol",
        "date",
        *(pl.col(name) * factor for name in _PRICES),
        pl.col("volume") / factor,
    )
    sound = pl.all_horizontal(pl.col(*_PRICES, "volume").is_finite())
    sound &= pl.all_horizontal(pl.col(*_PRICES) > 0)
    # Adjusted in floating point, a high that equals the close may come out a hair below it.
    outer = pl.max_horizontal(*_PRICES).alias("high"), pl.min_horizontal(*_PRICES).alias("low")
    return bars.filter(sound).with_columns(*outer).sort("symbol", "date")


def run_lengths(usable: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Returns for every row how many usable rows of its symbol end with it [N]."""
    places = np.arange(len(usable))
    fresh = np.r_[True, symbols[1:] != symbols[:-1]]
    before = np.where(usable, -1, places)
    before[fresh & usable] = places[fresh & usable] - 1
    return places - np.maximum.accumulate(before)
