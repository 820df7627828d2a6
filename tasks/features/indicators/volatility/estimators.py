"""Estimates of the volatility of one bar, as a standard deviation of log returns."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import logs
from tasks.features.kernels.windows import rolling_mean, rolling_squares


def realised_volatility(log_return: Array, period: int) -> Array:
    """Returns the historical volatility: the sample sd (n - 1) of n one-bar log returns.

    Formula: sd(log(close / close[t-1]) over n bars)
    Source: common usage
    """
    return np.sqrt(rolling_squares(log_return, period)[1] / (period - 1))


def downside_deviation(log_return: Array, period: int) -> Array:
    """Returns the root mean square of the losses among n one-bar log returns; gains count as 0.

    Formula: sqrt(mean(min(log(close / close[t-1]), 0)^2 over n bars))
    Source: Sortino and van der Meer (1991), Downside Risk
    """
    return np.sqrt(rolling_mean(np.minimum(log_return, 0.0) ** 2, period))


def parkinson(log_range: Array, period: int) -> Array:
    """Returns Parkinson's volatility; blind to gaps between bars.

    Formula: sqrt(mean(log(high / low)^2 over n bars) / (4 * log 2))
    Source: Parkinson (1980), The Extreme Value Method for Estimating the Variance of the Rate of
        Return
    """
    return np.sqrt(rolling_mean(log_range**2, period) / (4.0 * np.log(2.0)))


def garman_klass(open: Array, close: Array, log_range: Array, period: int) -> Array:
    """Returns Garman and Klass' volatility, without their term for overnight gaps.

    Formula: sqrt(mean(log(high / low)^2 / 2 - (2 * log 2 - 1) * log(close / open)^2) over n bars)
    Source: Garman and Klass (1980), On the Estimation of Security Price Volatilities
    """
    body = (2.0 * np.log(2.0) - 1.0) * logs(close / open) ** 2
    # Below 0 only where the open or close lies a rounding outside the bar's range.
    return np.sqrt(np.maximum(rolling_mean(0.5 * log_range**2 - body, period), 0.0))


def _drift_free(open: Array, high: Array, low: Array, close: Array) -> Array:
    upper = logs(high / close) * logs(high / open)
    return upper + logs(low / close) * logs(low / open)


def rogers_satchell(open: Array, high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns Rogers and Satchell's volatility; right under a drift, blind to gaps.

    Formula: sqrt(mean(log(high / close) * log(high / open) + log(low / close) * log(low / open))
        over n bars)
    Source: Rogers and Satchell (1991), Estimating Variance from High, Low and Closing Prices
    """
    return np.sqrt(np.maximum(rolling_mean(_drift_free(open, high, low, close), period), 0.0))


def yang_zhang(
    open: Array, high: Array, low: Array, close: Array, previous_close: Array, period: int
) -> Array:
    """Returns Yang and Zhang's volatility; right under a drift and with gaps.

    Formula: sqrt(var(log(open / close[t-1])) + k * var(log(close / open)) + (1 - k) * rs^2),
        var = sample variance over n bars, rs = rogers_satchell, k = 0.34 / (1.34 + (n+1) / (n-1))
    Source: Yang and Zhang (2000), Drift-Independent Volatility Estimation
    """
    share = 0.34 / (1.34 + (period + 1) / (period - 1))
    night = rolling_squares(logs(open / previous_close), period)[1] / (period - 1)
    day = rolling_squares(logs(close / open), period)[1] / (period - 1)
    inside = np.maximum(rolling_mean(_drift_free(open, high, low, close), period), 0.0)
    return np.sqrt(night + share * day + (1.0 - share) * inside)
