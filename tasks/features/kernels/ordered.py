"""Order within the last n values: quantiles, the newest value's rank; a NaN masks.

A window is kept ascending. The row that comes in and the one that leaves move what lies between
them by one place; every place is written, from at most three of the old ones and without a branch,
since that runs in vector registers. The values are those of the window itself, so nothing hangs on
where in the series it lies.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.features.kernels.graph import primitive

Array = NDArray[np.float64]

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _renewed(new, old, leaving, coming):
    """Writes `old` into `new` with one value out and another in.

    Both are ascending, -inf before and inf behind, in whole vectors of four besides these two.
    """
    for i in range(new.size - 2):
        # What lies at this place and the one before it once `leaving` is out.
        before = old[i] if old[i] < leaving else old[i + 1]
        here = old[i + 1] if old[i + 1] < leaving else old[i + 2]
        lower = min(here, coming)
        new[i + 1] = max(before, lower)


@_compiled
def _between(ordered, below, above, share):
    return ordered[below] + share * (ordered[above] - ordered[below])


@_compiled
def write_quantiles(out, at, values, period, levels):
    """Writes two quantiles of the last `period` values into the rows `at` and `at` + 1 of `out`."""
    first, second = out[at], out[at + 1]
    # Where each lies in a window that begins at place 1, and how far on towards the next place.
    i, k = levels[0] * (period - 1), levels[1] * (period - 1)
    i_below, k_below = min(int(i), max(period - 2, 0)), min(int(k), max(period - 2, 0))
    i_share, k_share = i - i_below, k - k_below
    i_below, k_below = i_below + 1, k_below + 1
    i_above, k_above = min(i_below + 1, period), min(k_below + 1, period)
    # Two windows that change places with every row; a flag is quicker than swapping the arrays.
    padded = (period + 3) // 4 * 4 + 2
    even, odd = np.full(padded, np.inf), np.full(padded, np.inf)
    even[0] = odd[0] = -np.inf
    run = 0
    at_odd = False
    for t in range(values.size):
        run = run + 1 if values[t] == values[t] else 0
        if run < period:
            first[t] = second[t] = np.nan
            continue
        if run == period:
            even[1 : period + 1] = np.sort(values[t - period + 1 : t + 1])
            at_odd = False
        elif at_odd:
            _renewed(even, odd, values[t - period], values[t])
            at_odd = False
        else:
            _renewed(odd, even, values[t - period], values[t])
            at_odd = True
        if at_odd:
            first[t] = _between(odd, i_below, i_above, i_share)
            second[t] = _between(odd, k_below, k_above, k_share)
        else:
            first[t] = _between(even, i_below, i_above, i_share)
            second[t] = _between(even, k_below, k_above, k_share)


@primitive("quantiles", parts=2)
def rolling_quantiles(
    values: Array, period: int, upper: float, lower: float
) -> tuple[Array, Array]:
    """Returns two quantiles of the last `period` values, linear between order statistics.

    Args:
        values: [N].
        period: rows of a window.
        upper: level of the first, between 0 and 1.
        lower: level of the second.
    """
    out = np.empty((2, values.size))
    write_quantiles(out, 0, values, period, np.array([upper, lower]))
    return out[0], out[1]


@_compiled
def _count(ahead, value, newest):
    for i in range(ahead.size):
        ahead[i] += np.int64(value[i] < newest[i]) - np.int64(value[i] > newest[i])


@_compiled
def _count_four(ahead, a, b, c, d, newest):
    for i in range(ahead.size):
        x = newest[i]
        lower = np.int64(a[i] < x) + np.int64(b[i] < x) + np.int64(c[i] < x) + np.int64(d[i] < x)
        higher = np.int64(a[i] > x) + np.int64(b[i] > x) + np.int64(c[i] > x) + np.int64(d[i] > x)
        ahead[i] += lower - higher


@_compiled
def write_rank(out, values, period):
    """Writes the newest value's rank among the last `period`, over `period`."""
    size = values.size
    block = 512  # rows whose counts stay in the nearest cache over all steps
    counts = np.empty(block, dtype=np.int64)
    run = 0
    for t in range(min(period - 1, size)):
        run = run + 1 if values[t] == values[t] else 0
        out[t] = np.nan
    for first in range(period - 1, size, block):
        last = min(first + block, size)
        # How many are lower, less how many are higher.
        ahead, newest, made = counts[: last - first], values[first:last], out[first:last]
        ahead[:] = 0
        back = 1
        while back + 4 <= period:
            a, b = values[first - back : last - back], values[first - back - 1 : last - back - 1]
            back += 2
            c, d = values[first - back : last - back], values[first - back - 1 : last - back - 1]
            back += 2
            _count_four(ahead, a, b, c, d, newest)
        while back < period:
            _count(ahead, values[first - back : last - back], newest)
            back += 1
        for i in range(ahead.size):
            run = run + 1 if newest[i] == newest[i] else 0
            made[i] = 0.5 * (period + 1 + ahead[i]) / period if run >= period else np.nan


@primitive("rank")
def rolling_rank(values: Array, period: int) -> Array:
    """Returns the newest value's rank among the last `period`, over `period`; equals share theirs.

    1 is the highest alone; the mean rank of equals counts (Rank in qlib, rank(pct=True) in pandas).
    """
    out = np.empty(values.size)
    write_rank(out, values, period)
    return out
