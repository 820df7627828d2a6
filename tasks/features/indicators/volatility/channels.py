"""Bands and channels around the price."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import ratio
from tasks.features.kernels.recursive import exponential_mean, wilder_mean
from tasks.features.kernels.windows import rolling_max, rolling_min, rolling_squares


def _spread(close: Array, period: int) -> tuple[Array, Array]:
    mean, squares = rolling_squares(close, period)
    return mean, np.sqrt(squares / period)


def bollinger_upper(close: Array, period: int) -> Array:
    """Returns the upper two-sd Bollinger band, a price; population sd.

    Formula: mean(close) + 2 * sd(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = _spread(close, period)
    return mean + 2.0 * sd


def bollinger_lower(close: Array, period: int) -> Array:
    """Returns the lower two-sd Bollinger band, a price; population sd.

    Formula: mean(close) - 2 * sd(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = _spread(close, period)
    return mean - 2.0 * sd


def bollinger_width(close: Array, period: int) -> Array:
    """Returns the width of the two-sd Bollinger bands over their middle; population sd.

    Formula: 4 * sd(close) / mean(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = _spread(close, period)
    return ratio(4.0 * sd, mean)


def bollinger_position(close: Array, period: int) -> Array:
    """Returns Bollinger's %b: 0 on the lower two-sd band, 1 on the upper; population sd.

    Formula: (close - mean(close) + 2 * sd(close)) / (4 * sd(close)) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = _spread(close, period)
    return ratio(close - mean + 2.0 * sd, 4.0 * sd)


def donchian_upper(high: Array, period: int) -> Array:
    """Returns the upper line of Donchian's channel, a price; today's bar belongs to it.

    Formula: highest high over n bars
    Source: Donchian (1960), High Finance in Copper
    """
    return rolling_max(high, period)


def donchian_lower(low: Array, period: int) -> Array:
    """Returns the lower line of Donchian's channel, a price; today's bar belongs to it.

    Formula: lowest low over n bars
    Source: Donchian (1960), High Finance in Copper
    """
    return rolling_min(low, period)


def channel_width(high: Array, low: Array, period: int) -> Array:
    """Returns the width of Donchian's channel, a price difference; today's bar belongs to it.

    Formula: highest high - lowest low over n bars
    Source: Donchian (1960), High Finance in Copper
    """
    return rolling_max(high, period) - rolling_min(low, period)


def keltner_upper(close: Array, true_range: Array, period: int, span: int, times: int) -> Array:
    """Returns the upper line of Keltner's channel in Raschke's form, a price.

    Formula: ema(close, n) + times * atr(m)
    Source: Keltner (1960), How to Make Money in Commodities; Raschke's averages
    """
    return exponential_mean(close, period) + times * wilder_mean(true_range, span)


def keltner_lower(close: Array, true_range: Array, period: int, span: int, times: int) -> Array:
    """Returns the lower line of Keltner's channel in Raschke's form, a price.

    Formula: ema(close, n) - times * atr(m)
    Source: Keltner (1960), How to Make Money in Commodities; Raschke's averages
    """
    return exponential_mean(close, period) - times * wilder_mean(true_range, span)
