"""Indicators of momentum: how far the price has moved within its recent range."""

import numpy as np

from tasks.features.indicators.kernels import (
    Array,
    exponential_mean,
    lagged,
    mean_absolute_deviation,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
    true_ranges,
    wilder_mean,
)


def rsi(close: Array, period: int) -> Array:
    """Returns the relative strength index, 0 to 100, with Wilder's averages, not plain ones.

    Formula: 100 * U / (U + D), U and D = wilder averages of the one-bar rises and falls
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    change = close - lagged(close, 1)
    rises = wilder_mean(np.maximum(change, 0.0), period)
    falls = wilder_mean(np.maximum(-change, 0.0), period)
    return 100.0 * ratio(rises, rises + falls)


def stochastic_k(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns the fast %K, 0 to 100: unsmoothed, not the slow one.

    Formula: 100 * (close - lowest low) / (highest high - lowest low) over n bars
    Source: Lane (1984), Lane's Stochastics
    """
    lowest = rolling_min(low, period)
    return 100.0 * ratio(close - lowest, rolling_max(high, period) - lowest)


def stochastic_d(high: Array, low: Array, close: Array, period: int, smoothing: int) -> Array:
    """Returns the fast %D, 0 to 100; with a smoothing of 3 it is the slow %K.

    Formula: mean(%K over m bars)
    Source: Lane (1984), Lane's Stochastics
    """
    return rolling_mean(stochastic_k(high, low, close, period), smoothing)


def stochastic_rsi(close: Array, period: int, span: int) -> Array:
    """Returns the place of the RSI in its own range, 0 to 100 (the book has 0 to 1).

    Formula: 100 * (rsi - lowest rsi) / (highest rsi - lowest rsi) over m bars
    Source: Chande and Kroll (1994), The New Technical Trader
    """
    strength = rsi(close, period)
    return stochastic_k(strength, strength, strength, span)


def williams_r(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns Williams' %R, -100 to 0.

    Formula: -100 * (highest high - close) / (highest high - lowest low) over n bars
    Source: Williams (1973), How I Made One Million Dollars Last Year Trading Commodities
    """
    highest = rolling_max(high, period)
    return -100.0 * ratio(highest - close, highest - rolling_min(low, period))


def cci(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns the commodity channel index; mean absolute deviation, not standard deviation.

    Formula: (p - mean(p)) / (0.015 * mean(|p - mean(p)|)) over n bars, p = (high + low + close) / 3
    Source: Lambert (1980), Commodity Channel Index
    """
    typical = (high + low + close) / 3.0
    spread = mean_absolute_deviation(typical, period)
    return ratio(typical - rolling_mean(typical, period), 0.015 * spread)


def roc(close: Array, period: int) -> Array:
    """Returns the rate of change in per cent: a simple return, not a logarithmic one.

    Formula: 100 * (close / close[t-n] - 1)
    Source: common usage
    """
    return 100.0 * (ratio(close, lagged(close, period)) - 1.0)


def ppo(close: Array, fast: int, slow: int) -> Array:
    """Returns the percentage price oscillator, of exponential averages.

    Formula: 100 * (ema(close, fast) / ema(close, slow) - 1)
    Source: Appel (2005), Technical Analysis: Power Tools for Active Investors
    """
    return 100.0 * (ratio(exponential_mean(close, fast), exponential_mean(close, slow)) - 1.0)


def ultimate_oscillator(
    high: Array, low: Array, close: Array, short: int, middle: int, long: int
) -> Array:
    """Returns the ultimate oscillator, 0 to 100.

    Formula: 100 * (4 * a(short) + 2 * a(middle) + a(long)) / 7,
        a(n) = sum(close - min(low, close[t-1])) / sum(true range) over n bars
    Source: Williams (1985), The Ultimate Oscillator
    """
    pressure = close - np.minimum(low, lagged(close, 1))
    ranges = true_ranges(high, low, close)
    total = np.zeros(close.size)
    for weight, period in ((4.0, short), (2.0, middle), (1.0, long)):
        total += weight * ratio(rolling_sum(pressure, period), rolling_sum(ranges, period))
    return 100.0 * total / 7.0


def balance_of_power(open: Array, high: Array, low: Array, close: Array) -> Array:
    """Returns the balance of power, -1 to 1, unsmoothed; NaN on a bar without a range.

    Formula: (close - open) / (high - low)
    Source: Livshin (2001), Balance of Market Power
    """
    return ratio(close - open, high - low)
