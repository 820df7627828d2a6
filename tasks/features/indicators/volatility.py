"""Indicators of volatility: how widely the price moves. None is annualised."""

import numpy as np

from tasks.features.indicators.kernels import (
    Array,
    lagged,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sd,
    true_ranges,
    wilder_mean,
)


def true_range(high: Array, low: Array, close: Array) -> Array:
    """Returns the true range of one bar, a price difference.

    Formula: max(high, close[t-1]) - min(low, close[t-1])
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return true_ranges(high, low, close)


def atr(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns the average true range, a price difference; the first bar has no past and no say.

    Formula: wilder(true range)
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return wilder_mean(true_ranges(high, low, close), period)


def bollinger_width(close: Array, period: int) -> Array:
    """Returns the width of the two-sd Bollinger bands over their middle; population sd.

    Formula: 4 * sd(close) / mean(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    return ratio(4.0 * rolling_sd(close, period, 0), rolling_mean(close, period))


def bollinger_position(close: Array, period: int) -> Array:
    """Returns Bollinger's %b: 0 on the lower two-sd band, 1 on the upper; population sd.

    Formula: (close - mean(close) + 2 * sd(close)) / (4 * sd(close)) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    sd = rolling_sd(close, period, 0)
    return ratio(close - rolling_mean(close, period) + 2.0 * sd, 4.0 * sd)


def realised_volatility(close: Array, period: int) -> Array:
    """Returns the sample standard deviation (n - 1) of n one-bar log returns.

    Formula: sd(log(close / close[t-1]) over n bars)
    Source: common usage
    """
    logs = np.log(close)
    return rolling_sd(logs - lagged(logs, 1), period, 1)


def parkinson(high: Array, low: Array, period: int) -> Array:
    """Returns Parkinson's volatility of one bar; blind to gaps between bars.

    Formula: sqrt(mean(log(high / low)^2 over n bars) / (4 * log 2))
    Source: Parkinson (1980), The Extreme Value Method for Estimating the Variance of the Rate of
        Return
    """
    return np.sqrt(rolling_mean(np.log(high / low) ** 2, period) / (4.0 * np.log(2.0)))


def garman_klass(open: Array, high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns Garman and Klass' volatility of one bar, without their term for overnight gaps.

    Formula: sqrt(mean(log(high / low)^2 / 2 - (2 * log 2 - 1) * log(close / open)^2) over n bars)
    Source: Garman and Klass (1980), On the Estimation of Security Price Volatilities
    """
    body = (2.0 * np.log(2.0) - 1.0) * np.log(close / open) ** 2
    # Below 0 only where the open or close lies a rounding outside the bar's range.
    return np.sqrt(np.maximum(rolling_mean(0.5 * np.log(high / low) ** 2 - body, period), 0.0))


def rogers_satchell(open: Array, high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns Rogers and Satchell's volatility of one bar; right under a drift, blind to gaps.

    Formula: sqrt(mean(log(high / close) * log(high / open) + log(low / close) * log(low / open))
        over n bars)
    Source: Rogers and Satchell (1991), Estimating Variance from High, Low and Closing Prices
    """
    upper = np.log(high / close) * np.log(high / open)
    lower = np.log(low / close) * np.log(low / open)
    return np.sqrt(np.maximum(rolling_mean(upper + lower, period), 0.0))


def channel_width(high: Array, low: Array, period: int) -> Array:
    """Returns the width of Donchian's channel, a price difference; today's bar belongs to it.

    Formula: highest high - lowest low over n bars
    Source: Donchian (1960), High Finance in Copper
    """
    return rolling_max(high, period) - rolling_min(low, period)
