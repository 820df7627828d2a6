"""Scaling of one symbol's values by its own recent past: row t sees rows up to t.

Rows that are masked (NaN or infinite) end a run: a window that holds one is masked, and the next
value is the first of a new window. So several symbols may lie in one column, a NaN between them.

A window's statistics come from its own values alone, never from running totals: these drift, and
would make a value hang on where its symbol begins. Compiled code calls only code of this file, for
numba's cache does not notice a change in another.
"""

import numpy as np
from numba import njit

from tasks.features.transforms.entry import Array

# Makes the MAD of normal values their standard deviation: 1 / (third quartile of the normal).
_NORMAL = 1.4826
# Rows that `standard` sums side by side; they fit the nearest cache.
_BLOCK = 512

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _first_not_below(window: Array, size: int, value: float) -> int:
    """Returns where the ascending window of `size` values has its first that is >= `value`."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if window[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@_compiled
def _insert(window: Array, size: int, value: float) -> None:
    """Puts `value` among `size` ascending ones."""
    place = _first_not_below(window, size, value)
    for k in range(size, place, -1):
        window[k] = window[k - 1]
    window[place] = value


@_compiled
def _replace(window: Array, size: int, old: float, new: float) -> None:
    """Takes `old` out of `size` ascending values and puts `new` in."""
    gap = _first_not_below(window, size, old)
    while gap + 1 < size and window[gap + 1] < new:
        window[gap] = window[gap + 1]
        gap += 1
    while gap > 0 and window[gap - 1] > new:
        window[gap] = window[gap - 1]
        gap -= 1
    window[gap] = new


@_compiled
def _median(window: Array) -> float:
    half = window.size // 2
    if window.size % 2:
        return window[half]
    return 0.5 * (window[half - 1] + window[half])


@_compiled
def _median_deviation(window: Array, centre: float) -> float:
    """Returns the median distance of an ascending window's values from `centre`, its median.

    The `near` nearest values lie side by side, from `low` on: there the walk outwards from the
    median stands after as many steps, and halving finds it sooner.
    """
    near = (window.size + 1) // 2
    low, high = 0, window.size - near
    while low < high:
        middle = (low + high) // 2
        if centre - window[middle] > window[middle + near] - centre:
            low = middle + 1
        else:
            high = middle
    farthest = max(centre - window[low], window[low + near - 1] - centre)
    if window.size % 2:
        return farthest
    following = np.inf
    if low > 0:
        following = centre - window[low - 1]
    if low + near < window.size:
        following = min(following, window[low + near] - centre)
    return 0.5 * (farthest + following)


@_compiled
def robust(values: Array, period: int) -> Array:
    """Returns how far each value is from the median of the last n, in robust deviations; unclipped.

    The deviation is about that window's own median; a window without one is masked.

    Formula: (x - median(x)) / (1.4826 * median(|x - median(x)|)) over n values
    Source: Hampel (1974), The Influence Curve and Its Role in Robust Estimation
    """
    out = np.full(values.size, np.nan)
    window = np.empty(period)
    size = 0
    for t in range(values.size):
        if not np.isfinite(values[t]):
            size = 0
            continue
        # Of two equal zeros the signs differ; one of them must not be taken for the other.
        value = values[t] + 0.0
        if size < period:
            _insert(window, size, value)
            size += 1
        else:
            _replace(window, size, values[t - period], value)
        if size == period:
            centre = _median(window)
            spread = _NORMAL * _median_deviation(window, centre)
            if spread > 0.0:
                out[t] = (value - centre) / spread
    return out


@_compiled
def standard(values: Array, period: int) -> Array:
    """Returns how far each value is from the mean of the last n, in standard deviations.

    The deviation is the population's (divided by n); a window without one is masked.

    Formula: (x - mean(x)) / sqrt(mean((x - mean(x))^2)) over n values
    Source: common usage
    """
    out = np.full(values.size, np.nan)
    known = np.where(np.isfinite(values), values, np.nan)
    centre = np.empty(_BLOCK)
    spread = np.empty(_BLOCK)
    for begin in range(period - 1, values.size, _BLOCK):
        size = min(_BLOCK, values.size - begin)
        # Distances from a window's first value: a constant one has a spread of exactly 0.
        first = known[begin - period + 1 : begin - period + 1 + size]
        centre[:] = 0.0
        spread[:] = 0.0
        # Rows inside, so that the processor adds several at once, each in its window's order.
        for k in range(period):
            x = known[begin - period + 1 + k : begin - period + 1 + k + size]
            for row in range(size):
                centre[row] += x[row] - first[row]
        for row in range(size):
            centre[row] /= period
        for k in range(period):
            x = known[begin - period + 1 + k : begin - period + 1 + k + size]
            for row in range(size):
                gap = x[row] - first[row] - centre[row]
                spread[row] += gap * gap
        for row in range(size):
            if spread[row] > 0.0:
                gap = known[begin + row] - first[row] - centre[row]
                out[begin + row] = gap / np.sqrt(spread[row] / period)
    return out
