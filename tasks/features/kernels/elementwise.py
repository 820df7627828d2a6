"""Row by row: logarithms, quotients and lags, each one loop over the series."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.features.kernels.graph import primitive

Array = NDArray[np.float64]

_compiled = njit(nogil=True, cache=True, error_model="numpy")


# log 2 in two parts: the first has zeros at its end, so that a whole multiple of it is exact.
_LOG2_HIGH, _LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# A whole number below 2^51 in the lowest bits of this float is the float plus that number.
_WHOLE_BITS, _WHOLE = 0x4338000000000000, 6755399441055744.0
_ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
_LEAST_NORMAL = 2.2250738585072014e-308


@_compiled
def write_logs(out, values):
    """Writes the natural logarithms, within one unit in the last place.

    The algorithm is that of fdlibm's e_log.c (Sun Microsystems 1993): x = 2^k * (1 + f), and a
    polynomial in f / (2 + f). It has no branch, so that it runs in vector registers.
    """
    for i in range(values.size):
        bits = np.float64(values[i]).view(np.int64)
        # 1 + f lies between sqrt(1/2) and sqrt(2).
        power = np.int64(bits - _ROOT_HALF_BITS) >> 52
        k = np.int64(power + _WHOLE_BITS).view(np.float64) - _WHOLE
        f = np.int64(bits - (power << 52)).view(np.float64) - 1.0
        s = f / (2.0 + f)
        z = s * s
        w = z * z
        even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
        odd = 0.1818357216161805012 + w * 0.1479819860511658591
        odd = z * (0.6666666666666735130 + w * (0.2857142874366239149 + w * odd))
        half = 0.5 * f * f
        low = s * (half + even + odd) + k * _LOG2_LOW
        out[i] = k * _LOG2_HIGH - ((half - low) - f)
    special = 0
    for i in range(values.size):
        special += not (_LEAST_NORMAL <= values[i] < np.inf)
    if special:
        for i in range(values.size):
            if not (_LEAST_NORMAL <= values[i] < np.inf):
                out[i] = np.log(values[i])


@primitive("log")
def logs(values: Array) -> Array:
    """Returns the natural logarithms.

    Not numpy's: its loops may round a value otherwise at another place in the series.
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
