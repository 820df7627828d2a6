"""Change of the price over a span, and of its averages."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import difference, lagged, ratio
from tasks.features.kernels.recursive import exponential_mean


def mom(close: Array, period: int) -> Array:
    """Returns the plain change over n bars, a price difference.

    Formula: close - close[t-n]
    Source: common usage
    """
    return difference(close, period)


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
