"""Row by row: logarithms, quotients and lags, each one loop over the series."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.features.kernels.graph import primitive

Array = NDArray[np.float64]

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def write_logs(out, values):
    """Writes the natural logarithms."""
    for i in range(values.size):
        out[i] = np.log(values[i])


@primitive("log")
def logs(values: Array) -> Array:
    """Returns the natural logarithms.

    Not numpy's: its vector loops may round a value otherwise at another place in the series.
    """
    out = np.empty(values.size)
    write_logs(out, values)
    return out


@_compiled
def write_ratio(out, top, bottom):
    """Writes top / bottom, NaN where the bottom is 0."""
    for i in range(top.size):
        out[i] = top[i] / bottom[i] if bottom[i] != 0.0 else np.nan


@primitive("ratio")
def ratio(top: Array, bottom: Array) -> Array:
    """Returns top / bottom, NaN where the bottom is 0: the undefined is masked, not infinite."""
    out = np.empty(top.size)
    write_ratio(out, top, bottom)
    return out


@_compiled
def write_lagged(out, values, bars):
    """Writes each row's value of `bars` rows earlier."""
    first = min(bars, values.size)
    out[:first] = np.nan
    out[first:] = values[: values.size - first]


@primitive("lagged")
def lagged(values: Array, bars: int) -> Array:
    """Returns each row's value of `bars` rows earlier."""
    out = np.empty(values.size)
    write_lagged(out, values, bars)
    return out


@_compiled
def write_difference(out, values, bars):
    """Writes each row's value less that of `bars` rows earlier."""
    first = min(bars, values.size)
    out[:first] = np.nan
    later = out[first:]
    new, old = values[first:], values[: values.size - first]
    for i in range(later.size):
        later[i] = new[i] - old[i]


@primitive("difference")
def difference(values: Array, bars: int) -> Array:
    """Returns each row's value less that of `bars` rows earlier."""
    out = np.empty(values.size)
    write_difference(out, values, bars)
    return out
