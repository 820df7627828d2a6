"""Returns of several lengths, and the shape of their recent distribution."""

import numpy as np

from tasks.features.indicators.kernels import (
    Array,
    central_moment,
    lagged,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_sd,
)


def log_return(close: Array, period: int) -> Array:
    """Returns the log return of n bars.

    Formula: log(close / close[t-n])
    Source: common usage
    """
    logs = np.log(close)
    return logs - lagged(logs, period)


def momentum(close: Array, skip: int, period: int) -> Array:
    """Returns the log return from n bars ago to `skip` bars ago: the latest bars revert.

    Formula: log(close[t-skip] / close[t-n])
    Source: Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers
    """
    logs = np.log(close)
    return lagged(logs, skip) - lagged(logs, period)


def overnight_return(open: Array, close: Array) -> Array:
    """Returns the log return from the last close to this open.

    Formula: log(open / close[t-1])
    Source: common usage
    """
    return np.log(open) - lagged(np.log(close), 1)


def intraday_return(open: Array, close: Array) -> Array:
    """Returns the log return from this open to this close.

    Formula: log(close / open)
    Source: common usage
    """
    return np.log(close / open)


def zscore(close: Array, period: int) -> Array:
    """Returns the close's distance from its mean in standard deviations (population sd).

    Formula: (close - mean(close)) / sd(close) over n bars
    Source: common usage
    """
    return ratio(close - rolling_mean(close, period), rolling_sd(close, period, 0))


def drawdown(close: Array, period: int) -> Array:
    """Returns the distance from the highest close of n bars, 0 or below, as a simple return.

    Formula: close / highest close over n bars - 1
    Source: common usage
    """
    return ratio(close, rolling_max(close, period)) - 1.0


def return_skewness(close: Array, period: int) -> Array:
    """Returns the skewness of n one-bar log returns, with population moments.

    Formula: m3 / m2^1.5, mk = mean((r - mean(r))^k) over n bars, r = log(close / close[t-1])
    Source: Fisher (1930), The Moments of the Distribution for Normal Samples
    """
    change = log_return(close, 1)
    return ratio(central_moment(change, period, 3), central_moment(change, period, 2) ** 1.5)


def rising_share(close: Array, period: int) -> Array:
    """Returns the share of n bars that closed above the bar before.

    Formula: count(close > close[t-1]) / n
    Source: common usage
    """
    change = close - lagged(close, 1)
    return rolling_mean(np.where(np.isnan(change), np.nan, change > 0.0), period)
