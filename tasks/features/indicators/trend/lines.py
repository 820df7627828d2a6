"""Lines that follow the price: least squares, stops, Ichimoku."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.recursive import parabolic_stops, trailing_bands, wilder_mean
from tasks.features.kernels.windows import rolling_max, rolling_min, rolling_trend


def linear_slope(close: Array, period: int) -> Array:
    """Returns the slope of the least-squares line through n closes, price per bar.

    Formula: sum((k - mean k) * close of the k-th bar of n) / sum((k - mean k)^2)
    Source: least squares, Legendre (1805)
    """
    return rolling_trend(close, period)[2] / (period * (period * period - 1) / 12.0)


def parabolic_sar(high: Array, low: Array, step: int, most: int) -> Array:
    """Returns the parabolic stop and reverse, a price; acceleration and its bound in hundredths.

    Formula: s += a * (extreme - s), no nearer than the last two lows (highs); a grows by
        step / 100 up to most / 100 with each new extreme; touched, it turns and begins there
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return parabolic_stops(high, low, step / 100.0, most / 100.0)


def supertrend(
    high: Array, low: Array, close: Array, true_range: Array, period: int, times: int
) -> Array:
    """Returns the Supertrend line, a price: the lower band in a rise, the upper one in a fall.

    Formula: (high + low) / 2 -+ times * atr(n); a band only tightens while no close has passed it;
        a close beyond the opposite band turns the trend; it begins falling
    Source: Seban (2008), as in common charting software
    """
    middle, width = (high + low) / 2.0, times * wilder_mean(true_range, period)
    return trailing_bands(close, middle - width, middle + width)


def _middle(high: Array, low: Array, period: int) -> Array:
    return (rolling_max(high, period) + rolling_min(low, period)) / 2.0


def ichimoku_conversion(high: Array, low: Array, period: int) -> Array:
    """Returns Ichimoku's conversion line (tenkan-sen), a price.

    Formula: (highest high + lowest low) / 2 over n bars
    Source: Hosoda (1969), Ichimoku Kinko Hyo
    """
    return _middle(high, low, period)


def ichimoku_base(high: Array, low: Array, period: int) -> Array:
    """Returns Ichimoku's base line (kijun-sen), a price.

    Formula: (highest high + lowest low) / 2 over n bars
    Source: Hosoda (1969), Ichimoku Kinko Hyo
    """
    return _middle(high, low, period)


def ichimoku_span_a(high: Array, low: Array, conversion: int, base: int) -> Array:
    """Returns Ichimoku's leading span A, a price, at the bar that makes it: not drawn ahead.

    Formula: (conversion line + base line) / 2
    Source: Hosoda (1969), Ichimoku Kinko Hyo
    """
    return (_middle(high, low, conversion) + _middle(high, low, base)) / 2.0


def ichimoku_span_b(high: Array, low: Array, period: int) -> Array:
    """Returns Ichimoku's leading span B, a price, at the bar that makes it: not drawn ahead.

    Formula: (highest high + lowest low) / 2 over n bars
    Source: Hosoda (1969), Ichimoku Kinko Hyo
    """
    return _middle(high, low, period)
