"""Primitives that the indicators are made of.

Each takes and returns one symbol's float64 column. Row t sees rows up to t; warm-up is NaN.

Every window is summed afresh: a running sum drifts, and one NaN stays in it for ever. A window is
taken relative to its first value, so that a constant one has a spread of exactly 0 (and not of
rounding noise, which a division would blow up). No `parallel=True`: forked children die after it.
No `fastmath`: it assumes NaN away.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(nogil=True, cache=True)
def weighted_deviation(values: Array, weights: Array) -> Array:
    """Returns the weighted sum of each window's distances from its first value; oldest first."""
    size = weights.size
    out = np.full(values.size, np.nan)
    for t in range(size - 1, values.size):
        first = t - size + 1
        total = 0.0
        for k in range(size):
            total += weights[k] * (values[first + k] - values[first])
        out[t] = total
    return out


@njit(nogil=True, cache=True)
def smoothed(values: Array, period: int, weight: float) -> Array:
    """Returns level += weight * (value - level), begun at the plain mean of `period` values.

    A NaN ends the run: the average begins anew after it, with a warm-up of its own.
    """
    out = np.full(values.size, np.nan)
    run = 0
    total = 0.0
    level = np.nan
    for t in range(values.size):
        if np.isnan(values[t]):
            run = 0
            total = 0.0
            continue
        run += 1
        if run < period:
            total += values[t]
            continue
        if run == period:
            level = (total + values[t]) / period
        else:
            level += weight * (values[t] - level)
        out[t] = level
    return out


@njit(nogil=True, cache=True)
def bars_since_max(values: Array, period: int) -> Array:
    """Returns how many bars ago the highest of `period` values was; the latest one of equals."""
    out = np.full(values.size, np.nan)
    begin = 0
    best = -1
    for t in range(values.size):
        if np.isnan(values[t]):
            begin = t + 1
            continue
        first = max(t - period + 1, begin)
        if best < first:
            best = first
            for s in range(first + 1, t + 1):
                if values[s] >= values[best]:
                    best = s
        elif values[t] >= values[best]:
            best = t
        if t - begin >= period - 1:
            out[t] = t - best
    return out


@njit(nogil=True, cache=True)
def central_moment(values: Array, period: int, order: int) -> Array:
    """Returns the mean of (value - window mean) ** order over `period` values; order 2 or 3."""
    out = np.full(values.size, np.nan)
    for t in range(period - 1, values.size):
        first = t - period + 1
        total = 0.0
        for s in range(first, t + 1):
            total += values[s] - values[first]
        centre = total / period
        total = 0.0
        for s in range(first, t + 1):
            gap = values[s] - values[first] - centre
            # A general power takes five times as long.
            total += gap * gap if order == 2 else gap * gap * gap
        out[t] = total / period
    return out


@njit(nogil=True, cache=True)
def mean_absolute_deviation(values: Array, period: int) -> Array:
    """Returns the mean distance of `period` values from their mean."""
    out = np.full(values.size, np.nan)
    for t in range(period - 1, values.size):
        first = t - period + 1
        total = 0.0
        for s in range(first, t + 1):
            total += values[s] - values[first]
        centre = total / period
        total = 0.0
        for s in range(first, t + 1):
            total += abs(values[s] - values[first] - centre)
        out[t] = total / period
    return out


@njit(nogil=True, cache=True)
def correlation(left: Array, right: Array, period: int) -> Array:
    """Returns Pearson's correlation of `period` pairs; NaN where one side does not move."""
    out = np.full(left.size, np.nan)
    for t in range(period - 1, left.size):
        first = t - period + 1
        total_left = 0.0
        total_right = 0.0
        for s in range(first, t + 1):
            total_left += left[s] - left[first]
            total_right += right[s] - right[first]
        centre_left = total_left / period
        centre_right = total_right / period
        both = 0.0
        square_left = 0.0
        square_right = 0.0
        for s in range(first, t + 1):
            a = left[s] - left[first] - centre_left
            b = right[s] - right[first] - centre_right
            both += a * b
            square_left += a * a
            square_right += b * b
        if square_left > 0.0 and square_right > 0.0:
            out[t] = both / np.sqrt(square_left) / np.sqrt(square_right)
    return out


def lagged(values: Array, bars: int) -> Array:
    """Returns each row's value of `bars` rows earlier."""
    out = np.full(values.size, np.nan)
    out[bars:] = values[: max(values.size - bars, 0)]
    return out


def ratio(top: Array, bottom: Array) -> Array:
    """Returns top / bottom, NaN where the bottom is 0: the undefined is masked, not infinite."""
    return np.divide(top, bottom, out=np.full(top.size, np.nan), where=bottom != 0.0)


def rolling_mean(values: Array, period: int) -> Array:
    """Returns the plain mean of the last `period` values."""
    return lagged(values, period - 1) + weighted_deviation(values, np.full(period, 1.0 / period))


def rolling_sum(values: Array, period: int) -> Array:
    """Returns the sum of the last `period` values."""
    return period * rolling_mean(values, period)


def rolling_sd(values: Array, period: int, lost: int) -> Array:
    """Returns the standard deviation of `period` values, `lost` degrees of freedom taken off."""
    return np.sqrt(central_moment(values, period, 2) * (period / (period - lost)))


def rolling_max(values: Array, period: int) -> Array:
    """Returns the highest of the last `period` values."""
    since = bars_since_max(values, period)
    known = np.flatnonzero(~np.isnan(since))
    out = np.full(values.size, np.nan)
    out[known] = values[known - since[known].astype(np.int64)]
    return out


def rolling_min(values: Array, period: int) -> Array:
    """Returns the lowest of the last `period` values."""
    return -rolling_max(-values, period)


def exponential_mean(values: Array, period: int) -> Array:
    """Returns the exponential average with weight 2 / (period + 1)."""
    return smoothed(values, period, 2.0 / (period + 1))


def wilder_mean(values: Array, period: int) -> Array:
    """Returns Wilder's average, the exponential one with weight 1 / period."""
    return smoothed(values, period, 1.0 / period)


def true_ranges(high: Array, low: Array, close: Array) -> Array:
    """Returns max(high, close[t-1]) - min(low, close[t-1])."""
    before = lagged(close, 1)
    return np.maximum(high, before) - np.minimum(low, before)
