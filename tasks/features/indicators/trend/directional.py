"""Directional movement and Aroon: whether highs or lows lead, and how one-sidedly."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import difference, ratio
from tasks.features.kernels.recursive import wilder_mean
from tasks.features.kernels.windows import bars_since_max


def _directional(up: Array, down: Array, true_range: Array, period: int) -> Array:
    # The product with 0 hands a NaN on, which a comparison does not.
    moved = np.where((up > down) & (up > 0.0), up, 0.0 * (up + down))
    return 100.0 * ratio(wilder_mean(moved, period), wilder_mean(true_range, period))


def plus_di(high: Array, low: Array, true_range: Array, period: int) -> Array:
    """Returns the positive directional indicator, 0 to 100.

    Formula: 100 * wilder(+DM) / wilder(true range), +DM = rise of the high if it exceeds 0 and the
        fall of the low, else 0
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return _directional(difference(high, 1), -difference(low, 1), true_range, period)


def minus_di(high: Array, low: Array, true_range: Array, period: int) -> Array:
    """Returns the negative directional indicator, 0 to 100.

    Formula: 100 * wilder(-DM) / wilder(true range), -DM = fall of the low if it exceeds 0 and the
        rise of the high, else 0
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return _directional(-difference(low, 1), difference(high, 1), true_range, period)


def adx(high: Array, low: Array, true_range: Array, period: int) -> Array:
    """Returns the average directional index, 0 to 100: strength of a trend, not its direction.

    Formula: wilder(100 * |+DI - -DI| / (+DI + -DI))
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    plus = plus_di(high, low, true_range, period)
    minus = minus_di(high, low, true_range, period)
    return wilder_mean(100.0 * ratio(np.abs(plus - minus), plus + minus), period)


def aroon_up(high: Array, period: int) -> Array:
    """Returns Aroon up, 0 to 100, over n + 1 bars; the latest of equal highs counts.

    Formula: 100 * (n - bars since the highest high) / n
    Source: Chande (1995), The Time Price Oscillator
    """
    return 100.0 * (period - bars_since_max(high, period + 1)) / period


def aroon_down(low: Array, period: int) -> Array:
    """Returns Aroon down, 0 to 100, over n + 1 bars; the latest of equal lows counts.

    Formula: 100 * (n - bars since the lowest low) / n
    Source: Chande (1995), The Time Price Oscillator
    """
    return 100.0 * (period - bars_since_max(-low, period + 1)) / period


def aroon_oscillator(high: Array, low: Array, period: int) -> Array:
    """Returns Aroon up less Aroon down, -100 to 100.

    Formula: 100 * (bars since the lowest low - bars since the highest high) / n
    Source: Chande (1995), The Time Price Oscillator
    """
    return aroon_up(high, period) - aroon_down(low, period)
