"""Oscillators: where the price stands in its recent range, and how one-sided its moves were."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import lagged, ratio
from tasks.features.kernels.recursive import exponential_mean, wilder_mean
from tasks.features.kernels.windows import (
    mean_absolute_deviation,
    rolling_max,
    rolling_mean,
    rolling_min,
)


def rsi(change: Array, period: int) -> Array:
    """Returns the relative strength index, 0 to 100, with Wilder's averages, not plain ones.

    Formula: 100 * U / (U + D), U and D = wilder averages of the one-bar rises and falls
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    rises = wilder_mean(np.maximum(change, 0.0), period)
    falls = wilder_mean(np.maximum(-change, 0.0), period)
    return 100.0 * ratio(rises, rises + falls)


def cmo(change: Array, period: int) -> Array:
    """Returns Chande's momentum oscillator, -100 to 100, with Wilder's averages as in TA-Lib.

    Formula: 100 * (U - D) / (U + D), U and D = wilder averages of the one-bar rises and falls
    Source: Chande and Kroll (1994), The New Technical Trader; averages as in TA-Lib
    """
    return 2.0 * rsi(change, period) - 100.0


def cmo_plain(change: Array, period: int) -> Array:
    """Returns Chande's momentum oscillator, -100 to 100, with plain sums as in the book.

    Formula: 100 * sum(close - close[t-1]) / sum(|close - close[t-1]|) over n bars
    Source: Chande and Kroll (1994), The New Technical Trader
    """
    return 100.0 * ratio(rolling_mean(change, period), rolling_mean(np.abs(change), period))


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


def stochastic_slow_d(
    high: Array, low: Array, close: Array, period: int, smoothing: int, again: int
) -> Array:
    """Returns the slow %D, 0 to 100.

    Formula: mean(mean(%K over m bars) over l bars)
    Source: Lane (1984), Lane's Stochastics
    """
    return rolling_mean(stochastic_d(high, low, close, period, smoothing), again)


def stochastic_rsi(change: Array, period: int, span: int) -> Array:
    """Returns the place of the RSI in its own range, 0 to 100 (the book has 0 to 1).

    Formula: 100 * (rsi - lowest rsi) / (highest rsi - lowest rsi) over m bars
    Source: Chande and Kroll (1994), The New Technical Trader
    """
    strength = rsi(change, period)
    lowest = rolling_min(strength, span)
    width = rolling_max(strength, span) - lowest
    # Where the price stands still both averages fade alike: what moves the RSI is rounding.
    return 100.0 * ratio(strength - lowest, np.where(width > 1e-9, width, 0.0))


def williams_r(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns Williams' %R, -100 to 0.

    Formula: -100 * (highest high - close) / (highest high - lowest low) over n bars
    Source: Williams (1973), How I Made One Million Dollars Last Year Trading Commodities
    """
    highest = rolling_max(high, period)
    return -100.0 * ratio(highest - close, highest - rolling_min(low, period))


def cci(typical: Array, period: int) -> Array:
    """Returns the commodity channel index; mean absolute deviation, not standard deviation.

    Formula: (p - mean(p)) / (0.015 * mean(|p - mean(p)|)) over n bars, p = (high + low + close) / 3
    Source: Lambert (1980), Commodity Channel Index
    """
    mean = rolling_mean(typical, period)
    return ratio(typical - mean, 0.015 * mean_absolute_deviation(typical, mean, period))


def ultimate_oscillator(
    low: Array,
    close: Array,
    previous_close: Array,
    true_range: Array,
    short: int,
    middle: int,
    long: int,
) -> Array:
    """Returns the ultimate oscillator, 0 to 100.

    Formula: 100 * (4 * a(short) + 2 * a(middle) + a(long)) / 7,
        a(n) = sum(close - min(low, close[t-1])) / sum(true range) over n bars
    Source: Williams (1985), The Ultimate Oscillator
    """
    pressure = close - np.minimum(low, previous_close)

    def share(period: int) -> Array:
        return ratio(rolling_mean(pressure, period), rolling_mean(true_range, period))

    return 100.0 * (4.0 * share(short) + 2.0 * share(middle) + share(long)) / 7.0


def balance_of_power(open: Array, high: Array, low: Array, close: Array) -> Array:
    """Returns the balance of power, -1 to 1, unsmoothed; NaN on a bar without a range.

    Formula: (close - open) / (high - low)
    Source: Livshin (2001), Balance of Market Power
    """
    return ratio(close - open, high - low)


def tsi(change: Array, long: int, short: int) -> Array:
    """Returns the true strength index, -100 to 100.

    Formula: 100 * ema(ema(c, long), short) / ema(ema(|c|, long), short), c = close - close[t-1]
    Source: Blau (1991), True Strength Index
    """
    moved = exponential_mean(exponential_mean(change, long), short)
    path = exponential_mean(exponential_mean(np.abs(change), long), short)
    return 100.0 * ratio(moved, path)


def trix(close: Array, period: int) -> Array:
    """Returns the one-bar change of the three times smoothed close, in per cent.

    Formula: 100 * (e3 / e3[t-1] - 1), e3 = ema(ema(ema(close)))
    Source: Hutson (1983), Good TRIX
    """
    third = exponential_mean(exponential_mean(exponential_mean(close, period), period), period)
    return 100.0 * (ratio(third, lagged(third, 1)) - 1.0)
