"""Row by row: logarithms, quotients and lags, each one loop over the series."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def logs(values: Array) -> Array:
    """Returns the natural logarithms.

    Not numpy's: its vector loops may round a value otherwise at another place in the series.
    """
    out = np.empty_like(values)
    for i in range(values.size):
        out[i] = np.log(values[i])
    return out


@_compiled
def ratio(top: Array, bottom: Array) -> Array:
    """Returns top / bottom, NaN where the bottom is 0: the undefined is masked, not infinite."""
    out = np.empty_like(top)
    for i in range(top.size):
        out[i] = top[i] / bottom[i] if bottom[i] != 0.0 else np.nan
    return out


@_compiled
def lagged(values: Array, bars: int) -> Array:
    """Returns each row's value of `bars` rows earlier."""
    out = np.empty_like(values)
    first = min(bars, values.size)
    out[:first] = np.nan
    out[first:] = values[: values.size - first]
    return out


@_compiled
def difference(values: Array, bars: int) -> Array:
    """Returns each row's value less that of `bars` rows earlier."""
    out = np.empty_like(values)
    first = min(bars, values.size)
    out[:first] = np.nan
    later = out[first:]
    new, old = values[first:], values[: values.size - first]
    for i in range(later.size):
        later[i] = new[i] - old[i]
    return out
