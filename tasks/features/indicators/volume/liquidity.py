"""How much is traded, against what is usual, and what it does to the price."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import ratio
from tasks.features.kernels.windows import rolling_mean, rolling_products, rolling_squares


def volume_ratio(volume: Array, period: int) -> Array:
    """Returns the volume over its average; today's bar belongs to the average.

    Formula: volume / mean(volume over n bars)
    Source: common usage
    """
    return ratio(volume, rolling_mean(volume, period))


def volume_zscore(volume: Array, period: int) -> Array:
    """Returns the volume's distance from its mean in standard deviations (population sd).

    Formula: (volume - mean(volume)) / sd(volume) over n bars
    Source: common usage
    """
    mean, squares = rolling_squares(volume, period)
    return ratio(volume - mean, np.sqrt(squares / period))


def turnover(dollar_volume: Array, period: int) -> Array:
    """Returns the value traded over its average; the shares outstanding are not known.

    Formula: close * volume / mean(close * volume over n bars)
    Source: common usage
    """
    return ratio(dollar_volume, rolling_mean(dollar_volume, period))


def amihud(log_return: Array, dollar_volume: Array, period: int) -> Array:
    """Returns Amihud's illiquidity, return per money traded; masked on days without volume.

    Formula: mean(|log(close / close[t-1])| / (close * volume) over n bars)
    Source: Amihud (2002), Illiquidity and Stock Returns
    """
    return rolling_mean(ratio(np.abs(log_return), dollar_volume), period)


def vwma(close: Array, volume: Array, period: int) -> Array:
    """Returns the volume-weighted moving average of the close, a price; vwap takes typical prices.

    Formula: sum(volume * close) / sum(volume) over n bars
    Source: common usage
    """
    return ratio(rolling_mean(volume * close, period), rolling_mean(volume, period))


def price_volume_correlation(close: Array, volume: Array, period: int) -> Array:
    """Returns the correlation of close and volume, -1 to 1: of levels, not of changes.

    Formula: pearson(close, volume) over n bars
    Source: Pearson (1895), Note on Regression and Inheritance
    """
    _, _, prices, volumes, both = rolling_products(close, volume, period)
    return ratio(both, np.sqrt(prices) * np.sqrt(volumes))
