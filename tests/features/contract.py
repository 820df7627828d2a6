"""The contract that every feature keeps: one clause, one function of all features at once.

A clause returns the names of the features that break it. Price and volume move in generated bars,
so that nothing is masked there but warm-up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from inspect import getdoc

import numpy as np
import polars as pl

from tasks.features.engine import compute, fill
from tasks.features.frame import TOLERANCE
from tasks.features.indicators.calendar.days import calendar_columns
from tasks.features.indicators.columns import Columns
from tasks.features.indicators.entry import Feature
from tests.features.panels import BAR, SESSIONS, flat_bars, generated_bars, panel_of

COUNT = 700
# Beyond this a feature has left any scale that a model could see.
WILD = 1e4

Bars = dict[str, np.ndarray]
Features = Sequence[Feature]


def table(panel: pl.DataFrame, features: Features) -> np.ndarray:
    """What the engine makes of a panel, [N, F]; NaN where masked."""
    return compute(panel, features, SESSIONS).drop("symbol", "date").to_numpy()


def alone(bars: Bars, features: Features) -> np.ndarray:
    return table(panel_of(AAA=bars), features)


def named(features: Features, faulty: Iterable[bool]) -> list[str]:
    return [feature.name for feature, at in zip(features, faulty, strict=True) if at]


def same_bits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether each value has the same bits in both, or is masked in both."""
    whole = np.int32 if one.dtype == np.float32 else np.int64
    left, right = (np.ascontiguousarray(values).view(whole) for values in (one, other))
    return (left == right) | (np.isnan(one) & np.isnan(other))


def warms_up_for_its_lookback(features: Features) -> list[str]:
    """Each symbol's first value comes after as many rows; after it none is masked."""
    lengths = (COUNT, COUNT - 99)
    panel = panel_of(AAA=generated_bars(lengths[0], 4), BBB=generated_bars(lengths[1], 5))
    row = np.concatenate([np.arange(length) for length in lengths])[:, None]
    ripe = row >= np.array([feature.lookback for feature in features])
    return named(features, (~np.isnan(table(panel, features)) != ripe).any(axis=0))


def declares_the_lookback_it_needs(features: Features) -> list[str]:
    """Where the engine masks no warm-up, the function's own first value is at the row it says."""
    bare = [
        replace(f, indicator=replace(f.indicator, unit="none", lookback=lambda *_: 0))
        for f in features
    ]
    ripe = np.arange(COUNT)[:, None] >= [f.indicator.lookback(*f.periods) for f in features]
    known = ~np.isnan(alone(generated_bars(COUNT, 6), bare))
    return named(features, (known != ripe).any(axis=0))


def masks_at_most_its_lookback_after_a_masked_bar(features: Features) -> list[str]:
    """In the middle of a series and of the symbols; all of a bar or one column, null as NaN."""
    panel = panel_of(**{f"S{i}": generated_bars(COUNT, 7 + i) for i in range(3)})
    whole, hole = table(panel, features), COUNT + 300
    row = np.arange(panel.height)[:, None]
    here = pl.int_range(pl.len()) == hole
    elsewhere = (row < hole) | (row >= 2 * COUNT)
    recovered = row > hole + np.array([feature.lookback for feature in features])
    recovered &= row < 2 * COUNT
    faulty = np.zeros(len(features), dtype=bool)
    for masked in (BAR, *((name,) for name in BAR)):
        null = panel.with_columns(pl.when(~here).then(name).alias(name) for name in masked)
        made = table(null, features)
        faulty |= ~same_bits(made, table(null.fill_null(float("nan")), features)).all(axis=0)
        faulty |= (elsewhere & ~same_bits(made, whole)).any(axis=0)
        faulty |= (recovered & np.isnan(made)).any(axis=0)
    return named(features, faulty)


def is_per_symbol(features: Features) -> list[str]:
    """Alone as beside others, in any order, at any place of any chunk: the same bits."""
    # Longer than a chunk; so short that most features are never known; and many chunks in all.
    lengths = [11_000, 1, 1, 30, 1, 700, 699, 9000, 2, 500, 1, 3000, 1]
    bars = [generated_bars(length, 20 + i) for i, length in enumerate(lengths)]
    ends = np.cumsum(lengths)
    beside = table(panel_of(**{f"S{i:02}": own for i, own in enumerate(bars)}), features)
    turned = table(panel_of(**{f"S{i:02}": own for i, own in enumerate(bars[::-1])}), features)
    faulty = np.zeros(len(features), dtype=bool)
    for own, length, end in zip(bars, lengths, ends, strict=True):
        expected = alone(own, features)
        faulty |= ~same_bits(expected, beside[end - length : end]).all(axis=0)
        begin = beside.shape[0] - end
        faulty |= ~same_bits(expected, turned[begin : begin + length]).all(axis=0)
    return named(features, faulty)


def gives_in_the_engine_what_it_gives_alone(features: Features) -> list[str]:
    """Called with one symbol's arrays, without the engine, it gives the same.

    But for a rounding: the powers of numpy are not the same to the bit on every processor.
    """
    bars = [generated_bars(length, 40 + i) for i, length in enumerate((1500, 1, 40, 600))]
    panel = panel_of(**{f"S{i}": own for i, own in enumerate(bars)})
    out = np.empty((len(features), panel.height))
    fill(panel, features, out, SESSIONS)
    splits = np.split(out, np.cumsum([own["close"].size for own in bars])[:-1], axis=1)
    faulty = np.zeros(len(features), dtype=bool)
    for own, made in zip(bars, splits, strict=True):
        columns = Columns(own | days_of(own))
        for place, feature in enumerate(features):
            with np.errstate(all="ignore"):
                expected = np.array(columns.scale_free(feature), dtype=np.float64)
            expected[: feature.lookback] = np.nan
            expected[np.isinf(expected)] = np.nan
            same = np.isclose(expected, made[place], rtol=1e-12, atol=1e-12, equal_nan=True)
            faulty[place] |= not same.all()
    return named(features, faulty)


def days_of(bars: Bars) -> Bars:
    return calendar_columns(panel_of(AAA=bars).get_column("date"), SESSIONS)


def writes_into_no_column(features: Features) -> list[str]:
    return [feature.name for feature in features if not _called(feature)[1]]


def gives_a_float64_for_each_bar(features: Features) -> list[str]:
    made = {feature.name: _called(feature)[0] for feature in features}
    return [n for n, x in made.items() if (x.dtype, x.shape) != (np.float64, (COUNT,))]


@cache
def _columns() -> Columns:
    bars = generated_bars(COUNT, 11)
    return Columns(bars | days_of(bars))


def _called(feature: Feature) -> tuple[np.ndarray, bool]:
    """What an indicator's function returns, and whether its columns are still what they were."""
    before = [_columns()[column] for column in feature.indicator.columns]
    given = [np.array(column) for column in before]
    if feature.indicator.expression:
        # An expression has no column to write into.
        return _columns().textbook(feature), True
    made = np.asarray(feature.indicator.function(*given, *feature.periods))
    kept = all(np.array_equal(*pair, equal_nan=True) for pair in zip(given, before, strict=True))
    return made, kept


def is_scale_free(features: Features) -> list[str]:
    bars = generated_bars(COUNT, 12)
    sevenfold = {name: 7.0 * column for name, column in bars.items()}
    expected = alone(bars, features)
    faulty = np.zeros(len(features), dtype=bool)
    for other in (sevenfold | {"volume": bars["volume"]}, bars | {"volume": sevenfold["volume"]}):
        same = np.isclose(alone(other, features), expected, rtol=1e-5, atol=1e-6, equal_nan=True)
        faulty |= ~same.all(axis=0)
    return named(features, faulty)


def looks_at(feature: Feature, column: str) -> bool:
    """Whether a feature hangs on a column of the bars."""
    bars = generated_bars(COUNT, 13)
    other = bars | {column: bars[column] * np.linspace(1.0, 1.01, COUNT)}
    return not same_bits(alone(bars, [feature]), alone(other, [feature])).all()


def does_not_blow_up_a_flat_price(features: Features) -> list[str]:
    """All bars are alike: what is not masked is one number, and no rounding noise."""
    moving = {"volume": generated_bars(COUNT, 14)["volume"]}
    faulty = np.zeros(len(features), dtype=bool)
    for bars, bound in ((flat_bars(COUNT), 1e-9), (flat_bars(COUNT) | moving, WILD)):
        out = np.empty((len(features), COUNT))
        fill(panel_of(AAA=bars), features, out, SESSIONS)
        for place, feature in enumerate(features):
            known = out[place][~np.isnan(out[place])]
            by_day = feature.indicator.kind == "calendar"
            faulty[place] |= known.size > 0 and not by_day and np.ptp(known) > bound
    return named(features, faulty)


def survives_a_time_without_volume(features: Features) -> list[str]:
    """Neither in a halt of 60 bars nor after it is anything known beyond all bounds."""
    bars = generated_bars(COUNT, 15)
    bars["volume"][300:360] = 0.0
    return named(features, np.nanmax(np.abs(alone(bars, features)), axis=0) > WILD)


def stays_masked_on_a_short_history(features: Features) -> list[str]:
    """One bar, as many as it looks back on, and one more than that."""
    groups = defaultdict(list)
    for feature in features:
        groups[feature.lookback].append(feature)
    faulty = []
    for need, group in groups.items():
        lengths = (1, max(need, 1), need + 1)
        bars = {f"S{i}": generated_bars(length, 16 + i) for i, length in enumerate(lengths)}
        known = ~np.isnan(table(panel_of(**bars), group))
        expected = np.zeros(sum(lengths), dtype=bool)
        expected[-1] = True
        if need == 0:
            expected[:] = True
        faulty += named(group, (known != expected[:, None]).any(axis=0))
    return faulty


def agrees_with_the_whole_history_where_only_the_newest_bars_are_read(
    features: Features,
) -> list[str]:
    """Ten symbols of 5,000 bars, cut at several places; each feature with no more than it asks."""
    panel = panel_of(**{f"S{i}": generated_bars(5000, 50 + i) for i in range(10)})
    place = np.arange(panel.height) % 5000
    groups = defaultdict(list)
    for feature in features:
        groups[feature.lookback + feature.warm_up].append(feature)
    faulty = []
    for need, group in groups.items():
        whole = table(panel, group)
        for cut in (5000, 4990, 4444, 3210, 1000):
            rows = (place < cut) & (place >= cut - 20 - need)
            newest = place[rows] >= cut - 20
            made = table(panel.filter(rows), group)[newest]
            expected = whole[rows][newest]
            bound = TOLERANCE * np.maximum(1.0, np.abs(expected))
            agree = (np.abs(made - expected) <= bound) | (np.isnan(made) & np.isnan(expected))
            faulty += named(group, ~agree.all(axis=0))
    return list(dict.fromkeys(faulty))


def says_what_it_is(features: Features) -> list[str]:
    """A first line that says what it returns, a formula and a source."""
    faulty = []
    for feature in features:
        entry = feature.indicator
        summary = (getdoc(entry.function) or "").partition("\n")[0]
        told = len(entry.formula) > 5 and len(entry.source) > 5
        if not (told and summary.startswith("Returns ") and summary.endswith(".")):
            faulty.append(feature.name)
    return faulty


CLAUSES: tuple[Callable[[Features], list[str]], ...] = (
    warms_up_for_its_lookback,
    declares_the_lookback_it_needs,
    masks_at_most_its_lookback_after_a_masked_bar,
    is_per_symbol,
    gives_in_the_engine_what_it_gives_alone,
    writes_into_no_column,
    gives_a_float64_for_each_bar,
    is_scale_free,
    does_not_blow_up_a_flat_price,
    survives_a_time_without_volume,
    stays_masked_on_a_short_history,
    agrees_with_the_whole_history_where_only_the_newest_bars_are_read,
    says_what_it_is,
)
