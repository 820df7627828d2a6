"""Panels for the tests of this room: generated ones, and the real bars of bokeh_sampledata."""

from datetime import date, timedelta
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

BAR = ("open", "high", "low", "close", "volume")
FIRST = date(2020, 1, 1)
# Every day is a session, also before the generated panels and after them.
SESSIONS = [FIRST + timedelta(days=day) for day in range(-60, 26_000)]


def generated_bars(count: int, seed: int) -> dict[str, np.ndarray]:
    """A random walk of coherent bars; no two prices are equal."""
    draw = np.random.default_rng(seed)
    close = 80.0 * np.exp(np.cumsum(draw.normal(0.0, 0.02, count)))
    open_ = close * np.exp(draw.normal(0.0, 0.01, count))
    return {
        "open": open_,
        "high": np.maximum(open_, close) * np.exp(np.abs(draw.normal(0.0, 0.01, count))),
        "low": np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0.0, 0.01, count))),
        "close": close,
        "volume": np.exp(draw.normal(14.0, 0.7, count)),
    }


def varied_bars(seed: int) -> dict[str, np.ndarray]:
    """Such a walk of 600 to 800 bars, whose volatility, price and volume hang on the seed too."""
    draw = np.random.default_rng([seed, 1])
    bars = generated_bars(int(draw.integers(600, 801)), seed)
    # Of a bar's log prices: twice as far apart is twice as volatile.
    wider, dearer = np.exp(draw.uniform([-1.9, -4.0], [1.1, 4.0]))
    busier, steadier = draw.uniform([-8.0, 0.2], [4.0, 1.2])
    prices = {name: dearer * 80.0 * (bars[name] / 80.0) ** wider for name in BAR[:4]}
    return prices | {"volume": np.exp(busier) * bars["volume"] ** steadier}


def flat_bars(count: int) -> dict[str, np.ndarray]:
    """A price that never moves, at a price that binary fractions cannot hold, and equal volumes."""
    return dict.fromkeys(BAR[:4], np.full(count, 10.1)) | {"volume": np.full(count, 333.3)}


def panel_of(**symbols: dict[str, np.ndarray]) -> pl.DataFrame:
    """A panel of these symbols' bars on consecutive days, in the order given."""
    longest = max(bars["close"].size for bars in symbols.values())
    days = pl.date_range(FIRST, FIRST + timedelta(days=longest), eager=True)
    return pl.concat(
        pl.DataFrame({"date": days[: bars["close"].size], **bars}).select(
            pl.lit(name).alias("symbol"), "date", *BAR
        )
        for name, bars in symbols.items()
    )


@cache
def real_bars(symbol: str) -> dict[str, np.ndarray]:
    """As-traded daily bars, March 2000 to March 2013 (GOOG from 2004, FB from 2012)."""
    path = files("bokeh_sampledata") / "_data" / "stocks.csv.gz"
    frame = pl.read_csv(path.read_bytes()).filter(pl.col("Ticker") == symbol)
    return {
        name: frame.get_column(name.capitalize()).cast(pl.Float64).to_numpy().copy() for name in BAR
    }
