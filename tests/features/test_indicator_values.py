"""The textbook values, against TA-Lib where it has the indicator and against loops elsewhere."""

import numpy as np
import pytest

from tasks.features.indicators import INDICATORS, kernels, momentum, trend, volatility, volume
from tests.features.loop_answers import LOOPS
from tests.features.panels import generated_bars, real_bars
from tests.features.talib_answers import SETTLING, TALIB

SERIES = {
    "AAPL": lambda: real_bars("AAPL"),
    "GOOG": lambda: real_bars("GOOG"),
    "IBM": lambda: real_bars("IBM"),
    "MSFT": lambda: real_bars("MSFT"),
    "generated": lambda: generated_bars(2000, 21),
}


def textbook(name, bars, periods):
    entry = INDICATORS[name]
    return entry.function(*(bars[column] for column in entry.columns), *periods)


def period_choices(name):
    """The default periods, and others."""
    default = INDICATORS[name].periods
    return {default, tuple(period + 3 for period in default)}


def test_every_indicator_has_an_answer_from_elsewhere():
    assert set(TALIB) | set(LOOPS) == set(INDICATORS)


def comparable_rows(name, bars, periods):
    """Rows where TA-Lib means the same."""
    rows = np.arange(bars["close"].size)
    known = rows >= (500 if name in SETTLING else INDICATORS[name].lookback(*periods))
    if name == "mfi":
        # TA-Lib takes the rounding of an unchanged (h + l + c) / 3 for a change.
        cents = np.round(100 * (bars["high"] + bars["low"] + bars["close"]), 6)
        tied = np.convolve(np.diff(cents, prepend=0.0) == 0.0, np.ones(periods[0]))[: rows.size]
        assert tied.astype(bool).mean() < 0.1
        known &= tied == 0
    return known


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", TALIB)
def test_an_indicator_agrees_with_talib(name, series):
    bars = SERIES[series]()
    for periods in period_choices(name):
        rows = comparable_rows(name, bars, periods)
        ours, theirs = textbook(name, bars, periods)[rows], TALIB[name](bars, *periods)[rows]
        assert not np.isnan(ours).any()
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("series", ["MSFT", "generated"])
@pytest.mark.parametrize("name", LOOPS)
def test_an_indicator_agrees_with_a_plain_loop(name, series):
    bars = SERIES[series]()
    for periods in period_choices(name):
        ours = textbook(name, bars, periods)
        for t in range(INDICATORS[name].lookback(*periods), ours.size, 97):
            assert ours[t] == pytest.approx(LOOPS[name](bars, t, *periods), rel=1e-9, abs=1e-12)


def test_rsi_is_100_when_every_bar_rises():
    assert momentum.rsi(np.arange(1.0, 40.0), 14)[14:].tolist() == [100.0] * 25


def test_rsi_is_masked_when_no_bar_moves():
    assert np.isnan(momentum.rsi(np.full(40, 10.1), 14)).all()


def test_ema_begins_at_the_plain_mean_and_begins_anew_after_a_masked_bar():
    close = np.array([1.0, 2.0, 6.0, 4.0, np.nan, 10.0, 20.0, 30.0, 40.0])
    expected = [np.nan, np.nan, 3.0, 3.5, np.nan, np.nan, np.nan, 20.0, 30.0]
    np.testing.assert_array_equal(trend.ema(close, 3), expected)


def test_rolling_mean_of_a_penny_after_a_million_does_not_drift():
    close = np.concatenate([np.full(1000, 1e12), np.full(1000, 0.01)])
    assert trend.sma(close, 20)[-1] == 0.01


def test_aroon_counts_the_latest_of_equal_extremes():
    high = np.array([5.0, 1.0, 5.0, 2.0])
    low = np.array([0.5, 0.2, 0.9, 0.8])
    # Highest one bar ago (not three), lowest two bars ago.
    assert trend.aroon_oscillator(high, low, 3)[3] == pytest.approx(100 * (2 - 1) / 3)


def test_mfi_takes_a_rounding_of_an_unchanged_price_for_no_change():
    # A rise, then three other prices with the same sum in cents, whose float thirds fall a little.
    high, low, close = np.array([[20.0, 25.69, 25.33], [20.0, 20.91, 21.27], [20.0, 36.48, 36.48]])
    assert ((high + low + close) / 3.0)[2] < ((high + low + close) / 3.0)[1]
    assert volume.mfi(high, low, close, np.full(3, 900.0), 2)[2] == 100.0


def test_garman_klass_is_0_not_nan_where_a_body_exceeds_its_range_by_a_rounding():
    open_, close = np.full(5, 10.0), np.full(5, 10.0 * (1 + 1e-7))
    assert volatility.garman_klass(open_, open_, open_, close, 3)[-1] == 0.0


def test_each_kernel_is_compiled_for_one_signature():
    compiled = (
        kernels.weighted_deviation,
        kernels.smoothed,
        kernels.bars_since_max,
        kernels.central_moment,
        kernels.mean_absolute_deviation,
        kernels.correlation,
    )
    bars = generated_bars(60, 22)
    for name in INDICATORS:
        textbook(name, bars, INDICATORS[name].periods)
    assert [len(kernel.signatures) for kernel in compiled] == [1] * len(compiled)
