"""Averages and lines that each row makes from the row before; a NaN ends a run, a new one begins.

What a run began with fades as it goes on: how soon is `settling_bars` for the averages.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.features.kernels.graph import primitive

Array = NDArray[np.float64]

_compiled = njit(nogil=True, cache=True, error_model="numpy")

# Rows that are searched for a NaN together.
_AT_ONCE = 64

# What two runs that began differently may still differ by, as a share, once they have settled.
SETTLED = 1e-7


def settling_bars(weight: float) -> int:
    """Returns the bars after which an average's start weighs less than SETTLED.

    Args:
        weight: of the newest value.
    """
    return math.ceil(math.log(SETTLED) / math.log1p(-weight)) if weight < 1.0 else 0


@_compiled
def _numbers(values):
    """Returns whether no value is NaN."""
    missing = 0
    for i in range(values.size):
        missing += values[i] != values[i]
    return missing == 0


@_compiled
def _runs(values):
    """Returns where the runs of numbers begin and end: each ends before a NaN."""
    borders = np.empty((values.size // 2 + 1, 2), dtype=np.int64)
    count, inside, t = 0, False, 0
    while t < values.size:
        if inside and t + _AT_ONCE <= values.size and _numbers(values[t : t + _AT_ONCE]):
            t += _AT_ONCE
            continue
        number = values[t] == values[t]
        if number and not inside:
            borders[count, 0] = t
        elif inside and not number:
            borders[count, 1] = t
            count += 1
        inside = number
        t += 1
    if inside:
        borders[count, 1] = values.size
        count += 1
    return borders[:count]


@_compiled
def _smooth(values, out, begin, end, weight):
    """Smooths one run from row `begin` on, where `out` holds the level of the row before."""
    level = out[begin - 1]
    for t in range(begin, end):
        level += weight * (values[t] - level)
        out[t] = level


@_compiled
def _smooth_four(values, out, begins, steps, weight):
    b0, b1, b2, b3 = begins[0], begins[1], begins[2], begins[3]
    v0, o0, l0 = values[b0 : b0 + steps], out[b0 : b0 + steps], out[b0 - 1]
    v1, o1, l1 = values[b1 : b1 + steps], out[b1 : b1 + steps], out[b1 - 1]
    v2, o2, l2 = values[b2 : b2 + steps], out[b2 : b2 + steps], out[b2 - 1]
    v3, o3, l3 = values[b3 : b3 + steps], out[b3 : b3 + steps], out[b3 - 1]
    for i in range(steps):
        l0 += weight * (v0[i] - l0)
        l1 += weight * (v1[i] - l1)
        l2 += weight * (v2[i] - l2)
        l3 += weight * (v3[i] - l3)
        o0[i], o1[i], o2[i], o3[i] = l0, l1, l2, l3


@_compiled
def _smooth_eight(values, out, begins, steps, weight):
    b0, b1, b2, b3 = begins[0], begins[1], begins[2], begins[3]
    b4, b5, b6, b7 = begins[4], begins[5], begins[6], begins[7]
    v0, o0, l0 = values[b0 : b0 + steps], out[b0 : b0 + steps], out[b0 - 1]
    v1, o1, l1 = values[b1 : b1 + steps], out[b1 : b1 + steps], out[b1 - 1]
    v2, o2, l2 = values[b2 : b2 + steps], out[b2 : b2 + steps], out[b2 - 1]
    v3, o3, l3 = values[b3 : b3 + steps], out[b3 : b3 + steps], out[b3 - 1]
    v4, o4, l4 = values[b4 : b4 + steps], out[b4 : b4 + steps], out[b4 - 1]
    v5, o5, l5 = values[b5 : b5 + steps], out[b5 : b5 + steps], out[b5 - 1]
    v6, o6, l6 = values[b6 : b6 + steps], out[b6 : b6 + steps], out[b6 - 1]
    v7, o7, l7 = values[b7 : b7 + steps], out[b7 : b7 + steps], out[b7 - 1]
    for i in range(steps):
        l0 += weight * (v0[i] - l0)
        l1 += weight * (v1[i] - l1)
        l2 += weight * (v2[i] - l2)
        l3 += weight * (v3[i] - l3)
        l4 += weight * (v4[i] - l4)
        l5 += weight * (v5[i] - l5)
        l6 += weight * (v6[i] - l6)
        l7 += weight * (v7[i] - l7)
        o0[i], o1[i], o2[i], o3[i] = l0, l1, l2, l3
        o4[i], o5[i], o6[i], o7[i] = l4, l5, l6, l7


@_compiled
def write_smoothed(out, values, period, weight):
    """Writes level += weight * (value - level), begun at the plain mean of `period` values.

    A step waits for the one before it, so that eight runs take hardly longer than one: they are
    smoothed side by side.
    """
    out[:] = np.nan
    runs = _runs(values)
    kept = 0
    for r in range(runs.shape[0]):
        begin = runs[r, 0]
        if runs[r, 1] - begin >= period:
            total = 0.0
            for t in range(begin, begin + period):
                total += values[t]
            out[begin + period - 1] = total / period
            runs[kept, 0], runs[kept, 1] = begin + period, runs[r, 1]
            kept += 1
    r = 0
    while r < kept:
        beside = 8 if kept - r >= 8 else (4 if kept - r >= 4 else 1)
        steps = runs[r, 1] - runs[r, 0]
        for k in range(1, beside):
            steps = min(steps, runs[r + k, 1] - runs[r + k, 0])
        if beside == 8:
            _smooth_eight(values, out, runs[r : r + 8, 0], steps, weight)
        elif beside == 4:
            _smooth_four(values, out, runs[r : r + 4, 0], steps, weight)
        else:
            steps = 0
        for k in range(beside):
            _smooth(values, out, runs[r + k, 0] + steps, runs[r + k, 1], weight)
        r += beside


@primitive("smoothed")
def smoothed(values: Array, period: int, weight: float) -> Array:
    """Returns level += weight * (value - level), begun at the plain mean of `period` values."""
    out = np.empty(values.size)
    write_smoothed(out, values, period, weight)
    return out


def exponential_mean(values: Array, period: int) -> Array:
    """Returns the exponential average with weight 2 / (period + 1)."""
    return smoothed(values, period, 2.0 / (period + 1))


def wilder_mean(values: Array, period: int) -> Array:
    """Returns Wilder's average, the exponential one with weight 1 / period."""
    return smoothed(values, period, 1.0 / period)


@_compiled
def write_total(out, values):
    """Writes the sum since the run began."""
    total = 0.0
    for t in range(values.size):
        if values[t] != values[t]:
            total = 0.0
            out[t] = np.nan
            continue
        total += values[t]
        out[t] = total


@primitive("total")
def running_total(values: Array) -> Array:
    """Returns the sum since the run began."""
    out = np.empty(values.size)
    write_total(out, values)
    return out


@_compiled
def write_adaptive(out, values, period, fast, slow):
    """Writes Kaufman's adaptive average, begun at the value before the first that has a span.

    Its weight runs from that of `slow` to that of `fast` bars with the share of the path that led
    somewhere: |change over period| / sum of |one-bar changes|; 1 where nothing moved.
    """
    out[:] = np.nan
    quick, calm = 2.0 / (fast + 1), 2.0 / (slow + 1)
    run = 0
    level = 0.0
    for t in range(values.size):
        if values[t] != values[t]:
            run = 0
            continue
        run += 1
        if run <= period:
            level = values[t]
            continue
        path = 0.0
        for s in range(t - period + 1, t + 1):
            path += abs(values[s] - values[s - 1])
        gain = abs(values[t] - values[t - period])
        share = min(gain / path, 1.0) if path > 0.0 else 1.0
        weight = share * (quick - calm) + calm
        level += weight * weight * (values[t] - level)
        out[t] = level


@primitive("adaptive")
def adaptive_mean(values: Array, period: int, fast: int, slow: int) -> Array:
    """Returns Kaufman's adaptive average; see `write_adaptive`."""
    out = np.empty(values.size)
    write_adaptive(out, values, period, fast, slow)
    return out


@_compiled
def write_stops(out, high, low, step, most):
    """Writes Wilder's parabolic stop and reverse, as TA-Lib begins and bounds it.

    The first direction is that of the larger directional movement, up where they are equal or the
    low has not fallen; the first stop is the extreme of the bar before.
    """
    out[:] = np.nan
    run = 0
    rising = True
    stop = extreme = factor = 0.0
    for t in range(high.size):
        if high[t] != high[t] or low[t] != low[t]:
            run = 0
            continue
        run += 1
        if run == 1:
            continue
        if run == 2:
            up, down = high[t] - high[t - 1], low[t - 1] - low[t]
            rising = not (down > 0.0 and down > up)
            factor = step
            extreme = high[t] if rising else low[t]
            stop = low[t - 1] if rising else high[t - 1]
            before_high, before_low = high[t], low[t]
        else:
            before_high, before_low = high[t - 1], low[t - 1]
        if (rising and low[t] <= stop) or (not rising and high[t] >= stop):
            rising = not rising
            if rising:
                stop = min(extreme, before_low, low[t])
            else:
                stop = max(extreme, before_high, high[t])
            out[t] = stop
            factor = step
            extreme = high[t] if rising else low[t]
            stop += factor * (extreme - stop)
        else:
            out[t] = stop
            if rising and high[t] > extreme:
                extreme = high[t]
                factor = min(factor + step, most)
            elif not rising and low[t] < extreme:
                extreme = low[t]
                factor = min(factor + step, most)
            stop += factor * (extreme - stop)
        stop = min(stop, before_low, low[t]) if rising else max(stop, before_high, high[t])


@primitive("stops")
def parabolic_stops(high: Array, low: Array, step: float, most: float) -> Array:
    """Returns Wilder's parabolic stop and reverse; see `write_stops`."""
    out = np.empty(high.size)
    write_stops(out, high, low, step, most)
    return out


@_compiled
def write_bands(out, close, lower, upper):
    """Writes the band that a close has last crossed: the lower one, ratcheted up, after a rise.

    A band only tightens while the close before has not passed it; a run begins at the upper one.
    """
    out[:] = np.nan
    run = 0
    floor = ceiling = 0.0
    rising = False
    for t in range(close.size):
        if close[t] != close[t] or lower[t] != lower[t] or upper[t] != upper[t]:
            run = 0
            continue
        run += 1
        if run == 1:
            floor, ceiling, rising = lower[t], upper[t], False
        else:
            if lower[t] > floor or close[t - 1] < floor:
                floor = lower[t]
            if upper[t] < ceiling or close[t - 1] > ceiling:
                ceiling = upper[t]
        if rising and close[t] < floor:
            rising = False
        elif not rising and close[t] > ceiling:
            rising = True
        out[t] = floor if rising else ceiling


@primitive("bands")
def trailing_bands(close: Array, lower: Array, upper: Array) -> Array:
    """Returns the band that a close has last crossed; see `write_bands`."""
    out = np.empty(close.size)
    write_bands(out, close, lower, upper)
    return out
