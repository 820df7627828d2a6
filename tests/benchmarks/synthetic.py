"""A seeded market of as-traded bars with splits and dividends, whose true returns are known.

1. The total-return path of each symbol is a random walk that shares a market factor.
2. Splits and dividends are drawn, and give each symbol the growing factor by which its total
   return runs ahead of its price.
3. What was traded is the path divided by that factor; so adjusting the bars gives the path back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

INDEX = "INDEX"
_SPLITS = (2.0, 3.0, 1.5, 0.1)  # new shares per old; the last is a reverse split
_LATE = 0.1  # share of the symbols that are listed after the first session


@dataclass(frozen=True)
class Market:
    """Bars in the columns that the provider `files` reads, and the path they were made of.

    `bars` has symbol, date, open, high, low, close, volume, split, dividend (0 means none) and
    the symbol INDEX, an index without actions; `path` has symbol, date, close.
    """

    bars: pl.DataFrame
    path: pl.DataFrame


def make_market(symbols: int, days: Sequence[date], seed: int = 0) -> Market:
    """Returns a market of `symbols` symbols and the index, over the sessions `days`."""
    rng = np.random.default_rng(seed)
    shape = (symbols, len(days))
    volatility = rng.uniform(0.008, 0.025, (symbols, 1))
    shared = 0.009 * rng.standard_t(5, (1, len(days)))
    own = volatility * rng.standard_t(5, shape)
    close = rng.uniform(20, 200, (symbols, 1)) * np.exp(np.cumsum(2e-4 + shared + own, axis=1))
    first = np.where(rng.random(symbols) < _LATE, rng.integers(0, len(days) // 2, symbols), 0)
    split, paid = _draw_actions(rng, shape)
    # A symbol's first bar is the anchor of its factors: nothing can have happened on it.
    listed = np.arange(len(days)) > first[:, None]
    split, paid = np.where(listed, split, 1.0), np.where(listed, paid, 0.0)
    factor = np.cumprod(split / (1 - paid), axis=1)
    before = np.roll(close / factor, 1, axis=1)

    bars = _bars(rng, close, volatility) | {
        "split": np.where(split == 1.0, 0.0, split),
        "dividend": paid * before,
    }
    for price in ("open", "high", "low", "close"):
        bars[price] = bars[price] / factor
    names = [f"S{i:04d}" for i in range(symbols)]
    there = np.arange(len(days)) >= first[:, None]
    level = 1000 * np.exp(np.cumsum(2e-4 + shared, axis=1))
    index = _bars(rng, level, np.full((1, 1), 0.005)) | {
        "split": np.zeros_like(level),
        "dividend": np.zeros_like(level),
    }
    everything = np.ones_like(level, dtype=bool)
    return Market(
        pl.concat([_long(names, days, bars, there), _long([INDEX], days, index, everything)]),
        _long(names, days, {"close": close}, there),
    )


def _draw_actions(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns splits (1 for none) and dividends as a share of the close before (0 for none)."""
    splitting = rng.random(shape) < 1 / (8 * 252)
    split = np.where(splitting, rng.choice(_SPLITS, shape), 1.0)
    # Sixty in a hundred symbols pay every 63 sessions, each from a session of its own.
    offset = rng.integers(0, 63, (shape[0], 1))
    due = (np.arange(shape[1]) + offset) % 63 == 0
    due &= (rng.random((shape[0], 1)) < 0.6) & ~splitting
    return split, np.where(due, rng.uniform(0.002, 0.01, (shape[0], 1)), 0.0)


def _bars(
    rng: np.random.Generator, close: np.ndarray, volatility: np.ndarray
) -> dict[str, np.ndarray]:
    before = np.roll(close, 1, axis=1)
    before[:, 0] = close[:, 0]
    open_ = before * np.exp(0.3 * volatility * rng.standard_normal(close.shape))
    reach = np.exp(0.5 * volatility * np.abs(rng.standard_normal((2, *close.shape))))
    return {
        "open": open_,
        "high": np.maximum(open_, close) * reach[0],
        "low": np.minimum(open_, close) / reach[1],
        "close": close,
        "volume": np.floor(np.exp(13 + 0.5 * rng.standard_normal(close.shape))),
    }


def _long(
    names: Sequence[str], days: Sequence[date], columns: dict[str, np.ndarray], there: np.ndarray
) -> pl.DataFrame:
    kept = there.ravel()
    codes, places = np.divmod(np.flatnonzero(kept), len(days))
    return pl.DataFrame(
        {
            "symbol": pl.Series(names).gather(codes),
            "date": pl.Series(days, dtype=pl.Date).gather(places),
            **{name: values.ravel()[kept] for name, values in columns.items()},
        }
    )
