"""Indicators of trend: where the price is heading, and how steadily."""

import numpy as np

from tasks.features.indicators.kernels import (
    Array,
    bars_since_max,
    exponential_mean,
    lagged,
    ratio,
    rolling_mean,
    true_ranges,
    weighted_deviation,
    wilder_mean,
)


def sma(close: Array, period: int) -> Array:
    """Returns the simple moving average, a price.

    Formula: mean(close over n bars)
    Source: common usage
    """
    return rolling_mean(close, period)


def ema(close: Array, period: int) -> Array:
    """Returns the exponential moving average, a price; it begins at the plain mean of n bars.

    Formula: e += 2 / (n + 1) * (close - e)
    Source: Roberts (1959), Control Chart Tests Based on Geometric Moving Averages
    """
    return exponential_mean(close, period)


def wma(close: Array, period: int) -> Array:
    """Returns the linearly weighted moving average, a price; the newest bar weighs n.

    Formula: sum(k * close of the k-th bar of n) / (n * (n + 1) / 2)
    Source: common usage
    """
    weights = np.arange(1.0, period + 1.0)
    return lagged(close, period - 1) + weighted_deviation(close, weights / weights.sum())


def tema(close: Array, period: int) -> Array:
    """Returns the triple exponential moving average, a price; not three averages in a row (trix).

    Formula: 3 * e1 - 3 * e2 + e3, e1 = ema(close), e2 = ema(e1), e3 = ema(e2)
    Source: Mulloy (1994), Smoothing Data with Faster Moving Averages
    """
    first = exponential_mean(close, period)
    second = exponential_mean(first, period)
    third = exponential_mean(second, period)
    return 3.0 * first - 3.0 * second + third


def macd(close: Array, fast: int, slow: int) -> Array:
    """Returns the MACD line, a price difference; each average begins at its own first bar.

    Formula: ema(close, fast) - ema(close, slow)
    Source: Appel (1979), The Moving Average Convergence Divergence Trading Method
    """
    return exponential_mean(close, fast) - exponential_mean(close, slow)


def macd_histogram(close: Array, fast: int, slow: int, signal: int) -> Array:
    """Returns the MACD line over its signal line, a price difference.

    Formula: macd - ema(macd, signal)
    Source: Aspray (1986), MACD Momentum
    """
    line = macd(close, fast, slow)
    return line - exponential_mean(line, signal)


def _directional(up: Array, down: Array, ranges: Array, period: int) -> Array:
    moved = np.where((up > down) & (up > 0.0), up, 0.0)
    # A comparison with NaN is False and would pass for "no movement".
    moved[np.isnan(up) | np.isnan(down)] = np.nan
    return 100.0 * ratio(wilder_mean(moved, period), wilder_mean(ranges, period))


def plus_di(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns the positive directional indicator, 0 to 100.

    Formula: 100 * wilder(+DM) / wilder(true range), +DM = rise of the high if it exceeds 0 and the
        fall of the low, else 0
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    up, down = high - lagged(high, 1), lagged(low, 1) - low
    return _directional(up, down, true_ranges(high, low, close), period)


def minus_di(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns the negative directional indicator, 0 to 100.

    Formula: 100 * wilder(-DM) / wilder(true range), -DM = fall of the low if it exceeds 0 and the
        rise of the high, else 0
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    up, down = high - lagged(high, 1), lagged(low, 1) - low
    return _directional(down, up, true_ranges(high, low, close), period)


def adx(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns the average directional index, 0 to 100: strength of a trend, not its direction.

    Formula: wilder(100 * |+DI - -DI| / (+DI + -DI))
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    plus, minus = plus_di(high, low, close, period), minus_di(high, low, close, period)
    return wilder_mean(100.0 * ratio(np.abs(plus - minus), plus + minus), period)


def aroon_oscillator(high: Array, low: Array, period: int) -> Array:
    """Returns Aroon up less Aroon down, -100 to 100, over n + 1 bars; the latest of equals counts.

    Formula: 100 * (bars since the lowest low - bars since the highest high) / n
    Source: Chande (1995), The Time Price Oscillator
    """
    since_high = bars_since_max(high, period + 1)
    since_low = bars_since_max(-low, period + 1)
    return 100.0 * (since_low - since_high) / period


def linear_slope(close: Array, period: int) -> Array:
    """Returns the slope of the least-squares line through n closes, price per bar.

    Formula: sum((k - mean k) * close of the k-th bar of n) / sum((k - mean k)^2)
    Source: least squares, Legendre (1805)
    """
    steps = np.arange(period) - (period - 1) / 2.0
    return weighted_deviation(close, steps / (steps @ steps))


def trix(close: Array, period: int) -> Array:
    """Returns the one-bar change of the three times smoothed close, in per cent.

    Formula: 100 * (e3 / e3[t-1] - 1), e3 = ema(ema(ema(close)))
    Source: Hutson (1983), Good TRIX
    """
    third = exponential_mean(exponential_mean(exponential_mean(close, period), period), period)
    return 100.0 * (ratio(third, lagged(third, 1)) - 1.0)
