"""Order within the last n values: quantiles, the newest value's rank; a NaN masks."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _replace(ordered, leaving, coming):
    """Takes one value out of an ascending array and puts another in; only those between move."""
    at = np.searchsorted(ordered, leaving)
    if coming >= leaving:
        while at + 1 < ordered.size and ordered[at + 1] < coming:
            ordered[at] = ordered[at + 1]
            at += 1
    else:
        while at > 0 and ordered[at - 1] > coming:
            ordered[at] = ordered[at - 1]
            at -= 1
    ordered[at] = coming


@_compiled
def rolling_quantiles(values: Array, period: int, levels: Array) -> Array:
    """Returns the quantiles [Q, N] of the last `period` values, linear between order statistics.

    Args:
        values: [N].
        period: rows of a window.
        levels: [Q], between 0 and 1.
    """
    out = np.full((levels.size, values.size), np.nan)
    ordered = np.empty(period)
    run = 0
    for t in range(values.size):
        if values[t] != values[t]:
            run = 0
            continue
        run += 1
        if run < period:
            continue
        if run == period:
            ordered[:] = np.sort(values[t - period + 1 : t + 1])
        else:
            _replace(ordered, values[t - period], values[t])
        for q in range(levels.size):
            place = levels[q] * (period - 1)
            below = min(int(place), period - 2) if period > 1 else 0
            above = min(below + 1, period - 1)
            step = ordered[above] - ordered[below]
            out[q, t] = ordered[below] + (place - below) * step
    return out


@_compiled
def rolling_rank(values: Array, period: int) -> Array:
    """Returns the newest value's rank among the last `period`, over `period`; equals share theirs.

    1 is the highest alone; the mean rank of equals counts (Rank in qlib, rank(pct=True) in pandas).
    """
    out = np.full(values.size, np.nan)
    block = 256  # rows whose counts stay in the nearest cache over all steps
    for first in range(period - 1, values.size, block):
        last = min(first + block, values.size)
        count, newest = out[first:last], values[first:last]
        count[:] = 0.5
        for back in range(period):
            value = values[first - back : last - back]
            for i in range(count.size):
                lower = 1.0 if value[i] < newest[i] else 0.0
                equal = 0.5 if value[i] == newest[i] else 0.0
                # A NaN stays in the sum.
                count[i] += lower + equal + 0.0 * value[i]
        for i in range(count.size):
            count[i] /= period
    return out
