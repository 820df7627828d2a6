"""Bands and channels around the price."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import ratio


def bollinger_upper(spread: Array, period: int) -> Array:
    """Returns the upper two-sd Bollinger band, a price; population sd.

    Formula: mean(close) + 2 * sd(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = spread
    return mean + 2.0 * sd


def bollinger_lower(spread: Array, period: int) -> Array:
    """Returns the lower two-sd Bollinger band, a price; population sd.

    Formula: mean(close) - 2 * sd(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = spread
    return mean - 2.0 * sd


def bollinger_width(spread: Array, period: int) -> Array:
    """Returns the width of the two-sd Bollinger bands over their middle; population sd.

    Formula: 4 * sd(close) / mean(close) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = spread
    return ratio(4.0 * sd, mean)


def bollinger_position(close: Array, spread: Array, period: int) -> Array:
    """Returns Bollinger's %b: 0 on the lower two-sd band, 1 on the upper; population sd.

    Formula: (close - mean(close) + 2 * sd(close)) / (4 * sd(close)) over n bars
    Source: Bollinger (2001), Bollinger on Bollinger Bands
    """
    mean, sd = spread
    return ratio(close - mean + 2.0 * sd, 4.0 * sd)


def channel_width(upper: Array, lower: Array, period: int) -> Array:
    """Returns the width of Donchian's channel, a price difference; today's bar belongs to it.

    Formula: highest high - lowest low over n bars
    Source: Donchian (1960), High Finance in Copper
    """
    return upper - lower


def keltner_upper(average: Array, atr: Array, period: int, span: int, times: int) -> Array:
    """Returns the upper line of Keltner's channel in Raschke's form, a price.

    Formula: ema(close, n) + times * atr(m)
    Source: Keltner (1960), How to Make Money in Commodities; Raschke's averages
    """
    return average + times * atr


def keltner_lower(average: Array, atr: Array, period: int, span: int, times: int) -> Array:
    """Returns the lower line of Keltner's channel in Raschke's form, a price.

    Formula: ema(close, n) - times * atr(m)
    Source: Keltner (1960), How to Make Money in Commodities; Raschke's averages
    """
    return average - times * atr
