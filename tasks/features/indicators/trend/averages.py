"""Moving averages, each a price."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import ratio
from tasks.features.kernels.recursive import adaptive_mean, exponential_mean
from tasks.features.kernels.windows import rolling_mean, rolling_trend


def sma(close: Array, period: int) -> Array:
    """Returns the simple moving average.

    Formula: mean(close over n bars)
    Source: common usage
    """
    return rolling_mean(close, period)


def ema(close: Array, period: int) -> Array:
    """Returns the exponential moving average; it begins at the plain mean of n bars.

    Formula: e += 2 / (n + 1) * (close - e)
    Source: Roberts (1959), Control Chart Tests Based on Geometric Moving Averages
    """
    return exponential_mean(close, period)


def wma(close: Array, period: int) -> Array:
    """Returns the linearly weighted moving average; the newest bar weighs n.

    Formula: sum(k * close of the k-th bar of n) / (n * (n + 1) / 2)
    Source: common usage
    """
    mean, _, tilt = rolling_trend(close, period)
    return mean + tilt / (period * (period + 1) / 2.0)


def dema(close: Array, period: int) -> Array:
    """Returns the double exponential moving average; not two averages in a row.

    Formula: 2 * e1 - e2, e1 = ema(close), e2 = ema(e1)
    Source: Mulloy (1994), Smoothing Data with Faster Moving Averages
    """
    first = exponential_mean(close, period)
    return 2.0 * first - exponential_mean(first, period)


def tema(close: Array, period: int) -> Array:
    """Returns the triple exponential moving average; not three averages in a row (trix).

    Formula: 3 * e1 - 3 * e2 + e3, e1 = ema(close), e2 = ema(e1), e3 = ema(e2)
    Source: Mulloy (1994), Smoothing Data with Faster Moving Averages
    """
    first = exponential_mean(close, period)
    second = exponential_mean(first, period)
    third = exponential_mean(second, period)
    return 3.0 * first - 3.0 * second + third


def kama(close: Array, period: int, fast: int, slow: int) -> Array:
    """Returns Kaufman's adaptive moving average, fast where the price goes one way.

    Formula: k += c^2 * (close - k), c = r * (2 / (fast + 1) - 2 / (slow + 1)) + 2 / (slow + 1),
        r = |close - close[t-n]| / sum(|close - close[t-1]| over n bars)
    Source: Kaufman (1995), Smarter Trading
    """
    return adaptive_mean(close, period, fast, slow)


def hma(close: Array, period: int) -> Array:
    """Returns Hull's moving average; half the period and its root are rounded down.

    Formula: wma(2 * wma(close, n / 2) - wma(close, n), sqrt(n))
    Source: Hull (2005), How to Reduce Lag in a Moving Average
    """
    faster = 2.0 * wma(close, max(period // 2, 1)) - wma(close, period)
    return wma(faster, int(np.sqrt(period)))


def t3(close: Array, period: int, percent: int) -> Array:
    """Returns Tillson's T3, three generalised double averages; the volume factor in per cent.

    Formula: g(g(g(close))), g(x) = (1 + v) * ema(x) - v * ema(ema(x)), v = percent / 100
    Source: Tillson (1998), Smoothing Techniques for More Accurate Signals
    """
    v = percent / 100.0
    averages = [close]
    for _ in range(6):
        averages.append(exponential_mean(averages[-1], period))
    # Multiplied out, so that each average begins where TA-Lib's does.
    *_, third, fourth, fifth, sixth = averages
    value = (1.0 + v) ** 3 * third - 3.0 * v * (1.0 + v) ** 2 * fourth
    return value + 3.0 * v**2 * (1.0 + v) * fifth - v**3 * sixth


def vwap(typical: Array, volume: Array, period: int) -> Array:
    """Returns the volume-weighted average price of n daily bars; not the intraday one.

    Formula: sum(volume * (high + low + close) / 3) / sum(volume) over n bars
    Source: Berkowitz, Logue and Noser (1988), The Total Cost of Transactions on the NYSE
    """
    return ratio(rolling_mean(volume * typical, period), rolling_mean(volume, period))
