"""The shape of the recent distribution of one-bar returns."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import ratio
from tasks.features.kernels.windows import rolling_mean, rolling_moments


def return_skewness(log_return: Array, period: int) -> Array:
    """Returns the skewness of n one-bar log returns, with population moments.

    Formula: m3 / m2^1.5, mk = mean((r - mean(r))^k) over n bars, r = log(close / close[t-1])
    Source: Fisher (1930), The Moments of the Distribution for Normal Samples
    """
    _, two, three, _ = rolling_moments(log_return, period)
    return ratio(three / period, (two / period) ** 1.5)


def return_kurtosis(log_return: Array, period: int) -> Array:
    """Returns the excess kurtosis of n one-bar log returns, with population moments.

    Formula: m4 / m2^2 - 3, mk = mean((r - mean(r))^k) over n bars, r = log(close / close[t-1])
    Source: Fisher (1930), The Moments of the Distribution for Normal Samples
    """
    _, two, _, four = rolling_moments(log_return, period)
    return ratio(four / period, (two / period) ** 2) - 3.0


def rising_share(change: Array, period: int) -> Array:
    """Returns the share of n bars that closed above the bar before.

    Formula: count(close > close[t-1]) / n
    Source: common usage
    """
    # The product with 0 hands a NaN on, which a comparison does not.
    return rolling_mean((change > 0.0) + 0.0 * change, period)
