"""Returns of several lengths, and the distance from earlier prices."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import difference, lagged, logs, ratio
from tasks.features.kernels.windows import rolling_max, rolling_min, rolling_squares


def log_return(log_close: Array, period: int) -> Array:
    """Returns the log return of n bars.

    Formula: log(close / close[t-n])
    Source: common usage
    """
    return difference(log_close, period)


def momentum(log_close: Array, skip: int, period: int) -> Array:
    """Returns the log return from n bars ago to `skip` bars ago: the latest bars revert.

    Formula: log(close[t-skip] / close[t-n])
    Source: Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers
    """
    return lagged(log_close, skip) - lagged(log_close, period)


def overnight_return(open: Array, previous_close: Array) -> Array:
    """Returns the log return from the last close to this open.

    Formula: log(open / close[t-1])
    Source: common usage
    """
    return logs(open / previous_close)


def intraday_return(open: Array, close: Array) -> Array:
    """Returns the log return from this open to this close.

    Formula: log(close / open)
    Source: common usage
    """
    return logs(close / open)


def gap(high: Array, low: Array) -> Array:
    """Returns the span between two bars that do not overlap, as a log return; 0 where they do.

    Formula: max(log(low / high[t-1]), 0) - max(log(low[t-1] / high), 0)
    Source: common usage
    """
    above = np.maximum(logs(low / lagged(high, 1)), 0.0)
    return above - np.maximum(logs(lagged(low, 1) / high), 0.0)


def zscore(close: Array, period: int) -> Array:
    """Returns the close's distance from its mean in standard deviations (population sd).

    Formula: (close - mean(close)) / sd(close) over n bars
    Source: common usage
    """
    mean, squares = rolling_squares(close, period)
    return ratio(close - mean, np.sqrt(squares / period))


def drawdown(close: Array, period: int) -> Array:
    """Returns the distance from the highest close of n bars, 0 or below, as a simple return.

    Formula: close / highest close over n bars - 1
    Source: common usage
    """
    return ratio(close, rolling_max(close, period)) - 1.0


def high_distance(high: Array, close: Array, period: int) -> Array:
    """Returns the distance from the highest high of n bars (252: the 52-week high), 0 or below.

    Formula: close / highest high over n bars - 1
    Source: George and Hwang (2004), The 52-Week High and Momentum Investing
    """
    return ratio(close, rolling_max(high, period)) - 1.0


def low_distance(low: Array, close: Array, period: int) -> Array:
    """Returns the distance from the lowest low of n bars (252: the 52-week low), 0 or above.

    Formula: close / lowest low over n bars - 1
    Source: common usage
    """
    return ratio(close, rolling_min(low, period)) - 1.0
