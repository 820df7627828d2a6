"""Features of every kind of leak, and sound ones beside them, as stages that a proof is put to.

They are plain numpy, so that they stay broken however the engine is written.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from tasks.features.causality.case import Build, Case
from tasks.features.causality.checks import prove
from tasks.features.causality.proof import Proof
from tasks.lake.factors import adjust
from tests.features.panels import BAR, generated_bars, panel_of
from tests.lake.frames import actions

Bars = dict[str, np.ndarray]
Column = Callable[[Bars], np.ndarray]


def five_bar_return(bars: Bars) -> np.ndarray:
    out = np.full(bars["close"].size, np.nan)
    out[5:] = bars["close"][5:] / bars["close"][:-5] - 1.0
    return out


def recursive_volume(bars: Bars) -> np.ndarray:
    out = np.full(bars["volume"].size, np.nan)
    level = np.nan
    for t, volume in enumerate(bars["volume"]):
        level = volume if np.isnan(level) else 0.9 * level + 0.1 * volume
        out[t] = volume / level
    return out


def centred_window(bars: Bars) -> np.ndarray:
    close = bars["close"]
    out = np.full(close.size, np.nan)
    for t in range(5, close.size - 5):
        out[t] = close[t - 5 : t + 6].mean() / close[t]
    return out


def full_sample_normalisation(bars: Bars) -> np.ndarray:
    close = bars["close"]
    return (close - np.nanmean(close)) / np.nanstd(close)


def back_fill(bars: Bars) -> np.ndarray:
    close = bars["close"]
    weekly = np.where(np.arange(close.size) % 5 == 0, close, np.nan)
    filled = pl.Series(weekly).fill_nan(None).fill_null(strategy="backward")
    return filled.fill_null(np.nan).to_numpy() / close


def back_filled_warm_up(bars: Bars) -> np.ndarray:
    out = five_bar_return(bars)
    out[:5] = out[5] if out.size > 5 else np.nan
    return out


def negative_shift(bars: Bars) -> np.ndarray:
    out = np.full(bars["close"].size, np.nan)
    out[:-1] = bars["close"][1:] / bars["close"][:-1]
    return out


def whole_sample_rank(bars: Bars) -> np.ndarray:
    places = np.argsort(np.argsort(bars["close"]))
    return places / bars["close"].size


def sign_of_tomorrows_zero(bars: Bars) -> np.ndarray:
    rises = np.append(np.diff(bars["close"]) > 0.0, True)
    return np.where(rises, 0.0, -0.0)


def dead(bars: Bars) -> np.ndarray:
    return np.full(bars["close"].size, 0.5)


def dead_but_for_masks(bars: Bars) -> np.ndarray:
    """Looks at the bars, but only at whether there are any."""
    return np.where(bars["close"] > 0.0, 1.0, np.nan)


def never_known(bars: Bars) -> np.ndarray:
    return np.full(bars["close"].size, np.nan)


def price_level(bars: Bars) -> np.ndarray:
    return bars["close"] + 0.0


def bars_seen(bars: Bars) -> np.ndarray:
    return np.arange(bars["close"].size, dtype=np.float64)


# Of the whole panel at once.
def over_the_border(panel: pl.DataFrame) -> pl.Series:
    """A rolling mean that does not stop where the next symbol begins."""
    return panel["close"].rolling_mean(3) / panel["close"]


def place_among_symbols(panel: pl.DataFrame) -> pl.Series:
    return panel["close"] * (panel["symbol"].rle_id() + 1).cast(pl.Float64)


def others_mean(panel: pl.DataFrame) -> pl.Series:
    """Summed one after another: `mean` adds in lanes, and how many there are is the processor's."""
    total = pl.col("close").cum_sum().last().over("date")
    return panel.select(pl.col("close") * pl.len().over("date") / total).to_series()


def rank_of_all(panel: pl.DataFrame) -> pl.Series:
    return panel.select(pl.col("close").rank().over("date")).to_series()


def rank_of_members(panel: pl.DataFrame) -> pl.Series:
    known = pl.when(pl.col("member")).then(pl.col("close"))
    return panel.select(known.rank().over("date")).to_series()


def ties_by_name(panel: pl.DataFrame) -> pl.Series:
    """Rounded to the nearest hundred so that there are ties, which go to the first symbol."""
    coarse = (pl.col("close") / 100.0).round()
    known = pl.when(pl.col("member")).then(coarse)
    return panel.select(known.rank("ordinal").over("date").cast(pl.Float64)).to_series()


def stage(*columns: Column, whole: Sequence[Callable[[pl.DataFrame], pl.Series]] = ()) -> Build:
    """Returns a build of two sound columns and these, by symbol or of the whole panel."""

    def build(panel: pl.DataFrame) -> pl.DataFrame:
        parts = []
        for part in panel.partition_by("symbol", maintain_order=True):
            bars = {name: part[name].to_numpy() for name in BAR}
            made = [(f.__name__, f(bars)) for f in (five_bar_return, *columns, recursive_volume)]
            parts.append(part.select("symbol", "date").with_columns(pl.Series(*m) for m in made))
        return pl.concat(parts).with_columns(f(panel).alias(f.__name__) for f in whole)

    return build


def market(*lengths: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bars of symbols of these lengths, whose histories begin and end together, and actions."""
    bars = panel_of(**{f"S{i}": generated_bars(n, i) for i, n in enumerate(lengths)})
    days = bars["date"].unique().sort()
    acting = [("S0", days[len(days) // 3], "split", 2.0), ("S1", days[-9], "dividend", 1.5)]
    return bars, actions(acting)


def adjusted_with_members(bars: pl.DataFrame, acting: pl.DataFrame) -> pl.DataFrame:
    """The panel; symbols sort above S0 to S9 are members of the universe."""
    return adjust(bars, acting).with_columns(member=pl.col("symbol").str.starts_with("S"))


def tried(build: Build, cutoffs: int = 24, **changes: Any) -> Proof:
    """Puts a build to the proof on a small market."""
    bars, acting = market(70, 50, 60)
    case = Case(build, bars, acting, **({"adjusted": adjusted_with_members} | changes))
    return prove(case, cutoffs, warm_up=10, seed=0)


def failed(proof: Proof) -> set[str]:
    return {check.name for check in proof.checks if not check.holds}
