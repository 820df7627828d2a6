"""The textbook values, against TA-Lib where it has the indicator and against loops elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import scipy.stats
import talib

from tasks.features.engine import fill
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature
from tests.features.calendar_answers import CALENDAR_LOOPS
from tests.features.loop_answers import LOOPS
from tests.features.panels import (
    BAR,
    SESSIONS,
    flat_bars,
    generated_bars,
    panel_of,
    real_bars,
    varied_bars,
)
from tests.features.path_answers import PATHS
from tests.features.talib_answers import SETTLING, TALIB

SAMPLE = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
SEEDS = range(1000)

Bars = dict[str, np.ndarray]


@cache
def many_series() -> list[Bars]:
    return [varied_bars(seed) for seed in SEEDS]


@cache
def panel_of_many(first: int) -> pl.DataFrame:
    """Every second of the many series."""
    return joined(many_series()[first::2])


def joined(series: Sequence[Bars]) -> pl.DataFrame:
    return panel_of(**{f"S{i:04}": bars for i, bars in enumerate(series)})


def textbook(name: str, periods: Sequence[int], panel: pl.DataFrame) -> list[np.ndarray]:
    """What the engine makes of each symbol's bars, float64 and not divided by any unit."""
    entry = replace(INDICATORS[name], unit="none")
    out = np.empty((1, panel.height))
    fill(panel, [Feature(name, entry, tuple(periods))], out, SESSIONS)
    return np.split(out[0], np.cumsum(panel["symbol"].rle().struct.field("len"))[:-1])


def period_choices(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The default periods, and others."""
    default = INDICATORS[name].periods
    if name == "kama":
        return default, (13, 2, 30)
    return default, tuple(period + 3 for period in default)


def test_every_indicator_has_an_answer_from_elsewhere():
    ours = {name for name, entry in INDICATORS.items() if entry.kind != "alpha"}
    assert set(TALIB) | set(LOOPS) | set(PATHS) | set(CALENDAR_LOOPS) == ours


def comparable_rows(name: str, bars: Bars, periods: Sequence[int]) -> np.ndarray:
    """Rows where TA-Lib means the same."""
    rows = np.arange(bars["close"].size)
    known = rows >= (500 if name in SETTLING else INDICATORS[name].lookback(*periods))
    if name == "mfi":
        # TA-Lib takes the rounding of an unchanged (h + l + c) / 3 for a change.
        third = bars["high"] + bars["low"] + bars["close"]
        still = np.abs(np.diff(third, prepend=0.0)) < 1e-12 * third
        tied = np.convolve(still, np.ones(periods[0]))[: rows.size]
        assert tied.astype(bool).mean() < 0.1
        known &= tied == 0
    return known


def disagrees(name: str, ours: np.ndarray, bars: Bars, periods: Sequence[int]) -> str | None:
    """Says where values are off by over 1e-6 of TA-Lib's; near 0, by 1e-9 of the median one."""
    rows = comparable_rows(name, bars, periods)
    theirs = TALIB[name](bars, *periods)
    if not rows.any():
        return None
    bound = 1e-6 * np.abs(theirs) + 1e-9 * np.median(np.abs(theirs[rows]))
    wrong = np.flatnonzero(rows & ~(np.abs(ours - theirs) <= bound))
    if not wrong.size:
        return None
    t = wrong[0]
    return f"{name}{tuple(periods)}: {ours[t]} and not {theirs[t]} at row {t}, {wrong.size} rows"


@pytest.mark.parametrize("name", TALIB)
def test_an_indicator_agrees_with_talib_on_the_sample_bars(name):
    for periods in period_choices(name):
        series = [real_bars(symbol) for symbol in SAMPLE]
        made = textbook(name, periods, joined(series))
        told = [disagrees(name, o, b, periods) for o, b in zip(made, series, strict=True)]
        assert told == [None] * len(SAMPLE)


@pytest.mark.parametrize("name", TALIB)
def test_an_indicator_agrees_with_talib_on_a_thousand_generated_series(name):
    for half, periods in enumerate(period_choices(name)):
        series = many_series()[half::2]
        made = textbook(name, periods, panel_of_many(half))
        told = {
            seed: disagrees(name, ours, bars, periods)
            for seed, ours, bars in zip(SEEDS[half::2], made, series, strict=True)
        }
        assert {seed: said for seed, said in told.items() if said} == {}


@pytest.mark.parametrize("name", LOOPS)
def test_an_indicator_agrees_with_a_plain_loop(name):
    series = [real_bars("MSFT"), real_bars("AAPL"), generated_bars(2000, 21), *many_series()[:20]]
    panel = joined(series)
    for periods in period_choices(name):
        for ours, bars in zip(textbook(name, periods, panel), series, strict=True):
            for t in range(INDICATORS[name].lookback(*periods), ours.size, 97):
                expected = LOOPS[name](bars, t, *periods)
                assert ours[t] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", PATHS)
def test_an_indicator_agrees_with_a_plain_loop_over_the_whole_past(name):
    series = [real_bars("MSFT"), generated_bars(2000, 21), *many_series()[:20]]
    panel = joined(series)
    for periods in {*period_choices(name), tuple(p + 5 for p in INDICATORS[name].periods)}:
        for ours, bars in zip(textbook(name, periods, panel), series, strict=True):
            expected = np.array(PATHS[name](bars, *periods), dtype=float)
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_skewness_and_kurtosis_agree_with_scipy(seed):
    bars = varied_bars(seed)
    changes = np.diff(np.log(bars["close"]))
    for n in (4, 30, 60):
        windows = np.lib.stride_tricks.sliding_window_view(changes, n)
        for name, reference in {
            "return_skewness": scipy.stats.skew,
            "return_kurtosis": scipy.stats.kurtosis,
        }.items():
            (ours,) = textbook(name, (n,), panel_of(AAA=bars))
            np.testing.assert_allclose(ours[n:], reference(windows, axis=1), rtol=1e-8, atol=1e-10)


def bars_of(**columns: Sequence[float]) -> Bars:
    """A few bars; the columns that are not named are the close, or 1.0."""
    count = len(next(iter(columns.values())))
    close = columns.get("close", np.ones(count))
    return {name: np.array(columns.get(name, close), dtype=float) for name in BAR}


def one(name: str, *periods: int, **columns: Sequence[float]) -> list[float]:
    return textbook(name, periods, panel_of(AAA=bars_of(**columns)))[0].tolist()


def test_rsi_is_100_when_every_bar_rises():
    assert one("rsi", 14, close=np.arange(1.0, 40.0))[14:] == [100.0] * 25


def test_rsi_is_masked_when_no_bar_moves():
    assert np.isnan(textbook("rsi", (14,), panel_of(AAA=flat_bars(40)))[0]).all()


def test_ema_begins_at_the_plain_mean_and_begins_anew_after_a_masked_bar():
    close = [1.0, 2.0, 6.0, 4.0, np.nan, 10.0, 20.0, 30.0, 40.0]
    expected = [np.nan, np.nan, 3.0, 3.5, np.nan, np.nan, np.nan, 20.0, 30.0]
    np.testing.assert_array_equal(one("ema", 3, close=close), expected)


def test_the_mean_of_a_penny_after_a_million_millions_does_not_drift():
    close = np.concatenate([np.full(1000, 1e12), np.full(1000, 0.01)])
    assert one("sma", 20, close=close)[-1] == 0.01


def test_aroon_counts_the_latest_of_equal_extremes():
    high, low = [5.0, 1.0, 5.0, 2.0], [0.5, 0.2, 0.9, 0.8]
    # Highest one bar ago (not three), lowest two bars ago.
    assert one("aroon_oscillator", 3, high=high, low=low)[3] == pytest.approx(100 * (2 - 1) / 3)


def test_mfi_takes_a_rounding_of_an_unchanged_price_for_no_change():
    # A rise, then three other prices with the same sum in cents, whose float thirds fall a little.
    high, low, close = np.array([[20.0, 25.69, 25.33], [20.0, 20.91, 21.27], [20.0, 36.48, 36.48]])
    assert ((high + low + close) / 3.0)[2] < ((high + low + close) / 3.0)[1]
    assert one("mfi", 2, high=high, low=low, close=close, volume=[900.0] * 3)[2] == 100.0


def test_garman_klass_is_0_not_nan_where_a_body_exceeds_its_range_by_a_rounding():
    even, close = [10.0] * 5, [10.0 * (1 + 1e-7)] * 5
    assert one("garman_klass", 3, open=even, high=even, low=even, close=close)[-1] == 0.0


def test_a_gap_is_none_where_bars_touch():
    high, low = [10.0, 12.0, 13.0, 9.0], [9.0, 11.0, 12.0, 8.0]
    expected = [np.nan, np.log(11 / 10), 0.0, np.log(9 / 12)]
    np.testing.assert_allclose(one("gap", high=high, low=low), expected)


def test_the_stop_turns_where_it_is_touched_as_in_talib():
    # Ties of highs and lows, gaps through the stop, a first bar that rises as much as it falls.
    draw = np.random.default_rng(3)
    lows = draw.integers(1, 12, (300, 60)).astype(float)
    highs = lows + draw.integers(0, 5, lows.shape)
    panel = joined([bars_of(high=h, low=w, close=w) for h, w in zip(highs, lows, strict=True)])
    for ours, high, low in zip(textbook("parabolic_sar", (2, 20), panel), highs, lows, strict=True):
        np.testing.assert_allclose(ours, talib.SAR(high, low))
