"""Indicators that several others stand on, and are computed once for all of them."""

import numpy as np

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.entry import Array, Indicator
from tasks.features.kernels.recursive import exponential_mean, wilder_mean
from tasks.features.kernels.windows import rolling_max, rolling_mean, rolling_min, rolling_squares


def ema(close: Array, period: int) -> Array:
    """Returns the exponential moving average; it begins at the plain mean of n bars.

    Formula: e += 2 / (n + 1) * (close - e)
    Source: Roberts (1959), Control Chart Tests Based on Geometric Moving Averages
    """
    return exponential_mean(close, period)


def atr(true_range: Array, period: int) -> Array:
    """Returns the average true range, a price difference; the first bar has no past and no say.

    Formula: wilder(true range)
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return wilder_mean(true_range, period)


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


def average_volume(volume: Array, period: int) -> Array:
    """Returns the average volume.

    Formula: mean(volume over n bars)
    Source: common usage
    """
    return rolling_mean(volume, period)


def mean_and_sd(values: Array, period: int) -> tuple[Array, Array]:
    """Returns mean and population standard deviation of n values."""
    mean, squares = rolling_squares(values, period)
    return mean, np.sqrt(squares / period)


EMA = Indicator(
    "trend", ema, ("close",), (20,), need.window, "price", warm_up=need.fades, joined=True
)
ATR = Indicator(
    "volatility",
    atr,
    ("true_range",),
    (14,),
    need.changes,
    "price_difference",
    warm_up=need.fades_by_wilder,
    joined=True,
)
DONCHIAN_UPPER = Indicator(
    "volatility", donchian_upper, ("high",), (20,), need.window, "price", joined=True
)
DONCHIAN_LOWER = Indicator(
    "volatility", donchian_lower, ("low",), (20,), need.window, "price", joined=True
)
AVERAGE_VOLUME = Indicator(
    "volume", average_volume, ("volume",), (20,), need.window, "volume", joined=True
)
# Two columns each: for others to stand on, and no indicators themselves.
CLOSE_SPREAD = Indicator("trend", mean_and_sd, ("close",), (20,), need.window, joined=True)
VOLUME_SPREAD = Indicator("volume", mean_and_sd, ("volume",), (20,), need.window, joined=True)
