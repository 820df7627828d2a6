"""Where the highest high and the lowest low of the last n bars lie, in price and in time."""

from tasks.features.indicators.alpha.fractions import fraction
from tasks.features.indicators.entry import Array
from tasks.features.kernels.windows import first_max


def highest(high: Array, period: int) -> Array:
    """Returns the highest high of n bars, given over the close.

    Formula: max(high over n bars)
    Source: qlib (Yang et al. 2020), Alpha158, MAX
    """
    best, _ = first_max(high, period)
    return best


def lowest(low: Array, period: int) -> Array:
    """Returns the lowest low of n bars, given over the close.

    Formula: min(low over n bars)
    Source: qlib (Yang et al. 2020), Alpha158, MIN
    """
    best, _ = first_max(-low, period)
    return -best


def rsv(high: Array, low: Array, close: Array, period: int) -> Array:
    """Returns where the close lies in the range of n bars, 0 to 1; 0 where there is none.

    Formula: (close - min low) / (max high - min low) over n bars
    Source: qlib (Yang et al. 2020), Alpha158, RSV
    """
    bottom = lowest(low, period)
    return fraction(close - bottom, highest(high, period) - bottom)


def imax(high: Array, period: int) -> Array:
    """Returns the place of the highest high, 1/n at the oldest of n bars to 1 at the newest.

    Formula: place of max(high) / n; the first of equals
    Source: qlib (Yang et al. 2020), Alpha158, IMAX
    """
    _, ago = first_max(high, period)
    return (period - ago) / period


def imin(low: Array, period: int) -> Array:
    """Returns the place of the lowest low, 1/n at the oldest of n bars to 1 at the newest.

    Formula: place of min(low) / n; the first of equals
    Source: qlib (Yang et al. 2020), Alpha158, IMIN
    """
    _, ago = first_max(-low, period)
    return (period - ago) / period


def imxd(high: Array, low: Array, period: int) -> Array:
    """Returns how many of n bars later the highest high came than the lowest low, over n.

    Formula: (place of max(high) - place of min(low)) / n; the first of equals
    Source: qlib (Yang et al. 2020), Alpha158, IMXD
    """
    return imax(high, period) - imin(low, period)
