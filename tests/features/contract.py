"""The contract that every feature keeps: one clause, one function of all features at once.

A clause returns the names of the features that break it. Price and volume move in generated bars,
so that nothing is masked there but warm-up.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import polars as pl

from tasks.features.engine import compute, fill
from tasks.features.frame import TOLERANCE
from tasks.features.indicators.calendar.days import calendar_columns
from tasks.features.indicators.columns import Columns
from tasks.features.indicators.entry import Feature, Of
from tests.features.panels import BAR, SESSIONS, flat_bars, generated_bars, panel_of
from tests.features.registry import columns_of

COUNT = 700
# Beyond this a feature has left any scale that a model could see.
_WILD = 1e4

Bars = dict[str, np.ndarray]
Features = Sequence[Feature]


def _computed(panel: pl.DataFrame, features: Features) -> pl.DataFrame:
    return compute(panel, features, SESSIONS)


def _table(frame: pl.DataFrame) -> np.ndarray:
    """The features' columns of a frame [N, F]."""
    return frame.drop("symbol", "date", strict=False).to_numpy()


def _named(features: Features, faulty: Iterable[bool]) -> list[str]:
    return [feature.name for feature, at in zip(features, faulty, strict=True) if at]


def _same_bits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether each value has the same bits in both, or is masked in both."""
    whole = np.int32 if one.dtype == np.float32 else np.int64
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
    return (one.view(whole) == other.view(whole)) | (np.isnan(one) & np.isnan(other))


def warms_up_for_its_lookback(features: Features) -> list[str]:
    """The first value comes after as many rows as it needs, and none is masked after it."""
    panel = panel_of(AAA=generated_bars(COUNT, 4), BBB=generated_bars(COUNT - 99, 5))
    known = ~np.isnan(_table(_computed(panel, features)))
    row = np.concatenate([np.arange(COUNT), np.arange(COUNT - 99)])[:, None]
    return _named(features, (known != (row >= [f.lookback for f in features])).any(axis=0))


def declares_the_lookback_it_needs(features: Features) -> list[str]:
    """Left unmasked by the engine, its own function gives the first value at the row it says."""
    bare = [
        replace(f, indicator=replace(f.indicator, unit="none", lookback=lambda *_: 0))
        for f in features
    ]
    known = ~np.isnan(_table(columns_of(generated_bars(COUNT, 6), bare)))
    needs = [f.indicator.lookback(*f.periods) for f in features]
    return _named(features, (known != (np.arange(COUNT)[:, None] >= needs)).any(axis=0))


def masks_at_most_its_lookback_after_a_masked_bar(features: Features) -> list[str]:
    """Null and NaN alike, in all columns of a bar or in one; other rows and symbols stay."""
    bars = [generated_bars(COUNT, seed) for seed in (7, 8, 9)]
    panel = panel_of(**{f"S{i}": own for i, own in enumerate(bars)})
    whole = _table(_computed(panel, features))
    hole = COUNT + 300
    row = np.arange(panel.height)[:, None]
    recovered = row > hole + np.array([f.lookback for f in features])
    before = (row < hole) | (row >= 2 * COUNT)
    faulty = np.zeros(len(features), dtype=bool)
    here = pl.int_range(pl.len()) == hole
    for masked in (BAR, *((name,) for name in BAR)):
        holed = [
            _table(_computed(panel.with_columns(pl.when(~here).then(*c, nothing)), features))
            for nothing in (None, float("nan"))
            for c in [()]
        ] if False else [
            _table(
                _computed(
                    panel.with_columns(
                        pl.when(here).then(pl.lit(nothing, pl.Float64)).otherwise(pl.col(name)).alias(name)
                        for name in masked
                    ),
                    features,
                )
            )
            for nothing in (None, float("nan"))
        ]
        faulty |= ~_same_bits(*holed).all(axis=0)
        faulty |= (before & ~_same_bits(holed[0], whole)).any(axis=0)
        faulty |= (recovered & np.isnan(holed[0])).any(axis=0)
    return _named(features, faulty)
