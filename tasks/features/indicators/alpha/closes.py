"""What the closes of the last n bars did: their mean, line, order, and sums of their changes."""

import numpy as np

from tasks.features.indicators.alpha.fractions import fraction
from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import lagged, ratio
from tasks.features.kernels.ordered import rolling_quantiles, rolling_rank
from tasks.features.kernels.windows import rolling_mean, rolling_trend


def roc(close: Array, period: int) -> Array:
    """Returns the close of n bars ago, given over the close: below 1 after a rise.

    Formula: close[t-n]; over the close, where TA-Lib's ROC is the other way up
    Source: qlib (Yang et al. 2020), Alpha158, ROC
    """
    return lagged(close, period)


def ma(close: Array, period: int) -> Array:
    """Returns the mean close of n bars, given over the close.

    Formula: mean(close over n bars)
    Source: qlib (Yang et al. 2020), Alpha158, MA
    """
    mean, _, _ = rolling_trend(close, period)
    return mean


def std(close: Array, period: int) -> Array:
    """Returns the standard deviation of n closes, given over the close.

    Formula: sd(close over n bars); sample sd, with n - 1
    Source: qlib (Yang et al. 2020), Alpha158, STD
    """
    _, squares, _ = rolling_trend(close, period)
    return np.sqrt(squares / (period - 1))


def _per_bar(tilt: Array, period: int) -> Array:
    return tilt / (period * (period * period - 1) / 12.0)


def beta(close: Array, period: int) -> Array:
    """Returns the slope of the least-squares line through n closes per bar, given over the close.

    Formula: sum((k - mean k) * close of the k-th bar of n) / sum((k - mean k)^2)
    Source: qlib (Yang et al. 2020), Alpha158, BETA
    """
    _, _, tilt = rolling_trend(close, period)
    return _per_bar(tilt, period)


def rsqr(close: Array, period: int) -> Array:
    """Returns how straight n closes lie, 0 to 1: R squared of the least-squares line.

    Formula: pearson(close, k)^2 over the bars k = 1..n; masked where all closes are equal; differs
        from qlib: it masks wherever their sd is at most 2e-5, in money
    Source: qlib (Yang et al. 2020), Alpha158, RSQR
    """
    _, squares, tilt = rolling_trend(close, period)
    return ratio(_per_bar(tilt, period) * tilt, squares)


def resi(close: Array, period: int) -> Array:
    """Returns how far the close lies over the least-squares line of n closes, given over the close.

    Formula: close - (mean + slope * (n - 1) / 2)
    Source: qlib (Yang et al. 2020), Alpha158, RESI
    """
    mean, _, tilt = rolling_trend(close, period)
    return close - mean - _per_bar(tilt, period) * ((period - 1) / 2.0)


def qtlu(close: Array, period: int) -> Array:
    """Returns the 80 % quantile of n closes, given over the close.

    Formula: quantile(close over n bars, 0.8); linear between order statistics
    Source: qlib (Yang et al. 2020), Alpha158, QTLU
    """
    upper, _ = rolling_quantiles(close, period, 0.8, 0.2)
    return upper


def qtld(close: Array, period: int) -> Array:
    """Returns the 20 % quantile of n closes, given over the close.

    Formula: quantile(close over n bars, 0.2); linear between order statistics
    Source: qlib (Yang et al. 2020), Alpha158, QTLD
    """
    _, lower = rolling_quantiles(close, period, 0.8, 0.2)
    return lower


def rank(close: Array, period: int) -> Array:
    """Returns the close's rank among n closes over n: 1 is the highest; equals share their mean.

    Formula: mean rank of the equals of the close over n bars / n
    Source: qlib (Yang et al. 2020), Alpha158, RANK
    """
    return rolling_rank(close, period)


def _rising(change: Array, period: int) -> Array:
    # The sign of a NaN is NaN; a comparison would make it false.
    return rolling_mean(np.maximum(np.sign(change), 0.0), period)


def cntp(change: Array, period: int) -> Array:
    """Returns the share of n bars that closed above the bar before.

    Formula: count(close > close[t-1]) / n
    Source: qlib (Yang et al. 2020), Alpha158, CNTP
    """
    return _rising(change, period)


def cntn(change: Array, period: int) -> Array:
    """Returns the share of n bars that closed below the bar before.

    Formula: count(close < close[t-1]) / n
    Source: qlib (Yang et al. 2020), Alpha158, CNTN
    """
    return _rising(-change, period)


def cntd(change: Array, period: int) -> Array:
    """Returns by how many more of n bars closed above the bar before than below it, over n.

    Formula: (count(close > close[t-1]) - count(close < close[t-1])) / n
    Source: qlib (Yang et al. 2020), Alpha158, CNTD
    """
    # To and fro, the sum loses what rounding left in the shares: a tie is exactly 0.
    return (_rising(change, period) - _rising(-change, period) + 8.0) - 8.0


def _gain(change: Array, period: int) -> Array:
    return rolling_mean(np.maximum(change, 0.0), period)


def sump(change: Array, period: int) -> Array:
    """Returns the gains of n bars as a share of all their changes, 0 where nothing moved.

    Formula: sum(max(close - close[t-1], 0)) / sum(|close - close[t-1]|) over n bars
    Source: qlib (Yang et al. 2020), Alpha158, SUMP
    """
    gain, loss = _gain(change, period), _gain(-change, period)
    return fraction(gain, gain + loss)


def sumn(change: Array, period: int) -> Array:
    """Returns the losses of n bars as a share of all their changes, 0 where nothing moved.

    Formula: sum(max(close[t-1] - close, 0)) / sum(|close - close[t-1]|) over n bars
    Source: qlib (Yang et al. 2020), Alpha158, SUMN
    """
    gain, loss = _gain(change, period), _gain(-change, period)
    return fraction(loss, gain + loss)


def sumd(change: Array, period: int) -> Array:
    """Returns the gains of n bars less the losses, as a share of all changes, 0 where none moved.

    Formula: (close - close[t-n]) / sum(|close - close[t-1]|) over n bars
    Source: qlib (Yang et al. 2020), Alpha158, SUMD
    """
    gain, loss = _gain(change, period), _gain(-change, period)
    return fraction(gain - loss, gain + loss)
