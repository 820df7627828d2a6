"""The shape of a bar: its body, its shadows, and its prices against its close."""

import numpy as np

from tasks.features.indicators.alpha.fractions import fraction
from tasks.features.indicators.entry import Array


def kmid(open: Array, close: Array) -> Array:
    """Returns the body, up or down, over the open.

    Formula: (close - open) / open
    Source: qlib (Yang et al. 2020), Alpha158, KMID
    """
    return (close - open) / open


def klen(open: Array, high: Array, low: Array) -> Array:
    """Returns the bar's range over the open.

    Formula: (high - low) / open
    Source: qlib (Yang et al. 2020), Alpha158, KLEN
    """
    return (high - low) / open


def kmid2(open: Array, high: Array, low: Array, close: Array) -> Array:
    """Returns the body, up or down, as a share of the bar's range; 0 without a range.

    Formula: (close - open) / (high - low)
    Source: qlib (Yang et al. 2020), Alpha158, KMID2
    """
    return fraction(close - open, high - low)


def kup(open: Array, high: Array, close: Array) -> Array:
    """Returns the upper shadow over the open.

    Formula: (high - max(open, close)) / open
    Source: qlib (Yang et al. 2020), Alpha158, KUP
    """
    return (high - np.maximum(open, close)) / open


def kup2(open: Array, high: Array, low: Array, close: Array) -> Array:
    """Returns the upper shadow as a share of the bar's range; 0 without a range.

    Formula: (high - max(open, close)) / (high - low)
    Source: qlib (Yang et al. 2020), Alpha158, KUP2
    """
    return fraction(high - np.maximum(open, close), high - low)


def klow(open: Array, low: Array, close: Array) -> Array:
    """Returns the lower shadow over the open.

    Formula: (min(open, close) - low) / open
    Source: qlib (Yang et al. 2020), Alpha158, KLOW
    """
    return (np.minimum(open, close) - low) / open


def klow2(open: Array, high: Array, low: Array, close: Array) -> Array:
    """Returns the lower shadow as a share of the bar's range; 0 without a range.

    Formula: (min(open, close) - low) / (high - low)
    Source: qlib (Yang et al. 2020), Alpha158, KLOW2
    """
    return fraction(np.minimum(open, close) - low, high - low)


def ksft(open: Array, high: Array, low: Array, close: Array) -> Array:
    """Returns how far the close lies from the middle of the range, twice, over the open.

    Formula: (2 * close - high - low) / open
    Source: qlib (Yang et al. 2020), Alpha158, KSFT
    """
    return (2.0 * close - high - low) / open


def ksft2(high: Array, low: Array, close: Array) -> Array:
    """Returns where the close lies in the bar's range, -1 at the low to 1 at the high.

    Formula: (2 * close - high - low) / (high - low); 0 without a range
    Source: qlib (Yang et al. 2020), Alpha158, KSFT2
    """
    return fraction(2.0 * close - high - low, high - low)


def open_share(open: Array, close: Array) -> Array:
    """Returns the open over the close.

    Formula: open / close
    Source: qlib (Yang et al. 2020), Alpha158, OPEN0
    """
    return open / close


def high_share(high: Array, close: Array) -> Array:
    """Returns the high over the close.

    Formula: high / close
    Source: qlib (Yang et al. 2020), Alpha158, HIGH0
    """
    return high / close


def low_share(low: Array, close: Array) -> Array:
    """Returns the low over the close.

    Formula: low / close
    Source: qlib (Yang et al. 2020), Alpha158, LOW0
    """
    return low / close


def vwap_share(typical: Array, close: Array) -> Array:
    """Returns the typical price, which stands in for the session's vwap, over the close.

    Formula: (high + low + close) / 3 / close; differs from qlib: its bars bring a vwap
    Source: qlib (Yang et al. 2020), Alpha158, VWAP0
    """
    return typical / close
