"""Earlier bars against the newest: what Alpha360 is made of."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import lagged, ratio


def lag_close(close: Array, lag: int) -> Array:
    """Returns the close of n bars ago, given over the close.

    Formula: close[t-n]
    Source: qlib (Yang et al. 2020), Alpha360, CLOSE
    """
    return lagged(close, lag)


def lag_open(open: Array, lag: int) -> Array:
    """Returns the open of n bars ago, given over the close.

    Formula: open[t-n]
    Source: qlib (Yang et al. 2020), Alpha360, OPEN
    """
    return lagged(open, lag)


def lag_high(high: Array, lag: int) -> Array:
    """Returns the high of n bars ago, given over the close.

    Formula: high[t-n]
    Source: qlib (Yang et al. 2020), Alpha360, HIGH
    """
    return lagged(high, lag)


def lag_low(low: Array, lag: int) -> Array:
    """Returns the low of n bars ago, given over the close.

    Formula: low[t-n]
    Source: qlib (Yang et al. 2020), Alpha360, LOW
    """
    return lagged(low, lag)


def lag_vwap(typical: Array, lag: int) -> Array:
    """Returns the typical price of n bars ago, in place of the vwap, given over the close.

    Formula: (high[t-n] + low[t-n] + close[t-n]) / 3; differs from qlib: its bars bring a vwap
    Source: qlib (Yang et al. 2020), Alpha360, VWAP
    """
    return lagged(typical, lag)


def lag_volume(volume: Array, lag: int) -> Array:
    """Returns the volume of n bars ago over the volume; masked without volume.

    Formula: volume[t-n] / volume; differs from qlib: about 1e17, or 0, without volume
    Source: qlib (Yang et al. 2020), Alpha360, VOLUME
    """
    return ratio(lagged(volume, lag), volume)
