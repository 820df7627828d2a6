"""What is traded over the last n bars, and how it goes with the price."""

import numpy as np

from tasks.features.indicators.alpha.fractions import fraction
from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import difference, lagged, logs, ratio
from tasks.features.kernels.windows import rolling_mean, rolling_products, rolling_squares


def _correlation(left: Array, right: Array, period: int) -> Array:
    _, _, left2, right2, both = rolling_products(left, right, period)
    return ratio(both, np.sqrt(left2 * right2))


def corr(close: Array, volume: Array, period: int) -> Array:
    """Returns the correlation of the close and the logarithm of volume, -1 to 1.

    Formula: pearson(close, log(volume + 1)) over n bars; masked where either is constant; differs
        from qlib: it masks wherever an sd is at most 2e-5, and takes log(0 + 1) = 0 for a bar
        without volume, which masks here
    Source: qlib (Yang et al. 2020), Alpha158, CORR
    """
    return _correlation(close, logs(np.where(volume > 0.0, volume, np.nan) + 1.0), period)


def cord(close: Array, previous_close: Array, volume: Array, period: int) -> Array:
    """Returns the correlation of price change and volume change, -1 to 1.

    Formula: pearson(close / close[t-1], log(volume / volume[t-1] + 1)) over n bars; masked where
        either is constant; differs from qlib: it masks wherever an sd is at most 2e-5, and leaves
        out a bar that follows one without volume, which masks here
    Source: qlib (Yang et al. 2020), Alpha158, CORD
    """
    change = logs(ratio(volume, lagged(volume, 1)) + 1.0)
    return _correlation(close / previous_close, change, period)


def vma(volume: Array, period: int) -> Array:
    """Returns the mean volume of n bars over the volume; masked without volume.

    Formula: mean(volume over n bars) / volume; differs from qlib: about 1e17 without volume
    Source: qlib (Yang et al. 2020), Alpha158, VMA
    """
    mean, _ = rolling_squares(volume, period)
    return ratio(mean, volume)


def vstd(volume: Array, period: int) -> Array:
    """Returns the standard deviation of n volumes over the volume; masked without volume.

    Formula: sd(volume over n bars) / volume; sample sd, with n - 1; differs from qlib: about 1e17
        without volume
    Source: qlib (Yang et al. 2020), Alpha158, VSTD
    """
    _, squares = rolling_squares(volume, period)
    return ratio(np.sqrt(squares / (period - 1)), volume)


def wvma(close: Array, previous_close: Array, volume: Array, period: int) -> Array:
    """Returns how unevenly volume-weighted price changes spread over n bars; 0 where there is none.

    Formula: sd(w) / mean(w) over n bars, w = |close / close[t-1] - 1| * volume; sample sd
    Source: qlib (Yang et al. 2020), Alpha158, WVMA
    """
    weighted = np.abs(close / previous_close - 1.0) * volume
    mean, squares = rolling_squares(weighted, period)
    return fraction(np.sqrt(squares / (period - 1)), mean)


def _gain(change: Array, period: int) -> Array:
    return rolling_mean(np.maximum(change, 0.0), period)


def vsump(volume: Array, period: int) -> Array:
    """Returns the rises of volume over n bars as a share of all its changes, 0 without one.

    Formula: sum(max(volume - volume[t-1], 0)) / sum(|volume - volume[t-1]|) over n bars
    Source: qlib (Yang et al. 2020), Alpha158, VSUMP
    """
    change = difference(volume, 1)
    gain, loss = _gain(change, period), _gain(-change, period)
    return fraction(gain, gain + loss)


def vsumn(volume: Array, period: int) -> Array:
    """Returns the falls of volume over n bars as a share of all its changes, 0 without one.

    Formula: sum(max(volume[t-1] - volume, 0)) / sum(|volume - volume[t-1]|) over n bars
    Source: qlib (Yang et al. 2020), Alpha158, VSUMN
    """
    change = difference(volume, 1)
    gain, loss = _gain(change, period), _gain(-change, period)
    return fraction(loss, gain + loss)


def vsumd(volume: Array, period: int) -> Array:
    """Returns the rises of volume over n bars less its falls, as a share of all its changes.

    Formula: (volume - volume[t-n]) / sum(|volume - volume[t-1]|) over n bars; 0 without a change
    Source: qlib (Yang et al. 2020), Alpha158, VSUMD
    """
    change = difference(volume, 1)
    gain, loss = _gain(change, period), _gain(-change, period)
    return fraction(gain - loss, gain + loss)
