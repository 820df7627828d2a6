"""Statistics of the last n values at every row, each window made of windows of powers of two.

1. A window of one value has a state of a few numbers, such as its mean and its squared deviations.
2. The states of two adjacent windows combine into that of both (Chan, Golub and LeVeque 1979;
   higher moments: Pébay 2008). Windows of 2, 4, 8 … values come from pairs of equal ones.
3. The binary digits of n say which of them make up a window of n values.

So a row costs log2(n) steps, each a loop over all rows that runs in vector registers. Nothing is
carried along the series: no running sum drifts, a NaN leaves with the window that holds it, and a
value hangs on its own n rows alone, to the bit, wherever in the series they lie. States hold means
and not sums, so a constant window has deviations of exactly 0.

Row t sees rows up to t; a window that is not full, or holds a NaN, is NaN. Compiled code calls only
compiled code of its own file: numba's cache on disk does not notice a change in another one.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.features.kernels.graph import primitive

Array = NDArray[np.float64]

# Divisions by zero end as infinity or NaN, as in numpy; without, every division is a branch.
_compiled = njit(nogil=True, cache=True, error_model="numpy")


# Each loop writes one array: with more, the compiler no longer proves that they do not overlap.


@_compiled
def _join_means(mean, a, b, new, old):
    if new == old:
        for i in range(mean.size):
            mean[i] = 0.5 * (a[i] + b[i])
        return
    share = new / (new + old)
    for i in range(mean.size):
        # Of two equal means this is that mean, to the bit.
        mean[i] = b[i] + share * (a[i] - b[i])


@_compiled
def _join_products(product, of_a, of_b, xa, xb, ya, yb, weight):
    for i in range(product.size):
        product[i] = of_a[i] + of_b[i] + weight * (xa[i] - xb[i]) * (ya[i] - yb[i])


@_compiled
def _join_cubes(cube, cube_a, cube_b, a, b, two_a, two_b, new, old):
    n = new + old
    first, second = new * old * (old - new) / (n * n), 3.0 / n
    for i in range(cube.size):
        gap = a[i] - b[i]
        cube[i] = cube_a[i] + cube_b[i] + first * gap * gap * gap
        cube[i] += second * gap * (old * two_a[i] - new * two_b[i])


@_compiled
def _add_fourths(fourth, a, b, two_a, two_b, three_a, three_b, new, old):
    n = new + old
    first = new * old * (new * new - new * old + old * old) / (n * n * n)
    second, third = 6.0 / (n * n), 4.0 / n
    for i in range(fourth.size):
        gap = a[i] - b[i]
        fourth[i] += first * gap * gap * gap * gap
        fourth[i] += second * gap * gap * (old * old * two_a[i] + new * new * two_b[i])
        fourth[i] += third * gap * (old * three_a[i] - new * three_b[i])


@_compiled
def _join_sums(total, a, b):
    for i in range(total.size):
        total[i] = a[i] + b[i]


@_compiled
def _join_tilts(tilt, tilt_a, tilt_b, a, b, lever):
    for i in range(tilt.size):
        tilt[i] = tilt_a[i] + tilt_b[i] + lever * (a[i] - b[i])


@_compiled
def _join_highest(best, a, b):
    for i in range(best.size):
        # A NaN on either side wins.
        best[i] = a[i] if (a[i] > b[i] or a[i] != a[i]) else b[i]


@_compiled
def _join_ages(age, age_a, age_b, a, b, new):
    for i in range(age.size):
        # The sum is NaN where one of them is.
        age[i] = (age_a[i] if a[i] >= b[i] else age_b[i] + new) + 0.0 * (a[i] + b[i])


@_compiled
def _join_first_ages(age, age_a, age_b, a, b, new):
    for i in range(age.size):
        age[i] = (age_a[i] if a[i] > b[i] else age_b[i] + new) + 0.0 * (a[i] + b[i])


# What a state [K, N] holds.
MEAN, SQUARES, MOMENTS, PRODUCTS, TREND, LATEST_MAX, FIRST_MAX = range(7)


@_compiled
def _join(kind, out, at, shift, recent, older, new, old, first, last):
    """Writes the states of windows of new + old rows: `recent` ends at row t, `older` before it.

    Rows `first` to `last` of a block are written, to `out` [.., N] from its row `at` and column
    first + shift on. Before row new + old - 1 there is no such window; what is there is not used.
    """
    begin, end = first - new, last - new
    a, b = recent[0][first:last], older[0][begin:end]
    made = out[at][first + shift : last + shift]
    if kind == MEAN:
        _join_means(made, a, b, new, old)
        return
    weight = new * old / (new + old)
    made2 = out[at + 1][first + shift : last + shift]
    a2, b2 = recent[1][first:last], older[1][begin:end]
    if kind in (LATEST_MAX, FIRST_MAX):
        _join_highest(made, a, b)
        if kind == LATEST_MAX:
            _join_ages(made2, a2, b2, a, b, new)
        else:
            _join_first_ages(made2, a2, b2, a, b, new)
        return
    _join_means(made, a, b, new, old)
    if kind == PRODUCTS:
        _join_means(made2, a2, b2, new, old)
        made3 = out[at + 2][first + shift : last + shift]
        _join_products(made3, recent[2][first:last], older[2][begin:end], a, b, a, b, weight)
        made4 = out[at + 3][first + shift : last + shift]
        _join_products(made4, recent[3][first:last], older[3][begin:end], a2, b2, a2, b2, weight)
        made5 = out[at + 4][first + shift : last + shift]
        _join_products(made5, recent[4][first:last], older[4][begin:end], a, b, a2, b2, weight)
        return
    _join_products(made2, a2, b2, a, b, a, b, weight)
    if kind == SQUARES:
        return
    made3 = out[at + 2][first + shift : last + shift]
    a3, b3 = recent[2][first:last], older[2][begin:end]
    if kind == TREND:
        _join_tilts(made3, a3, b3, a, b, new * old / 2.0)
        return
    _join_cubes(made3, a3, b3, a, b, a2, b2, new, old)
    made4 = out[at + 3][first + shift : last + shift]
    _join_sums(made4, recent[3][first:last], older[3][begin:end])
    _add_fourths(made4, a, b, a2, b2, a3, b3, new, old)


@_compiled
def _begin(kind, state, left, right):
    """Writes the states of windows of one row."""
    rows = left.size
    state[0][:rows] = left
    if kind == PRODUCTS:
        state[1][:rows] = right
    first = 2 if kind == PRODUCTS else 1
    if first < state.shape[0]:
        part = state[first][:rows]
        for i in range(rows):
            # 0, or NaN: every part hands that on by itself.
            part[i] = 0.0 * (left[i] + right[i])
        for k in range(first + 1, state.shape[0]):
            state[k][:rows] = part


@_compiled
def _plan(n):
    """Returns the joins [J, 5] that make windows of n rows; the last one makes them.

    A join has the state it writes, those of the newer part and of the older one, and the parts'
    lengths. There are four states, the first of windows of one row.
    """
    joins = np.zeros((64, 5), dtype=np.int64)
    count, level, made, length, done, left = 0, 0, 0, 1, 0, n
    while True:
        if left & 1:
            if done:
                # One of four is neither of these two.
                spare = 0
                while spare in (level, made):
                    spare += 1
                joins[count] = (spare, level, made, length, done)
                count += 1
                made = spare
            else:
                made = level
            done += length
        left >>= 1
        if left == 0:
            return joins[:count]
        spare = 0
        while spare == level or (done and spare == made):
            spare += 1
        joins[count] = (spare, level, level, length, length)
        count += 1
        level = spare
        length *= 2


@_compiled
def write_windows(kind, parts, out, at, left, right, n):
    """Writes the states of the last n rows at every row into `parts` rows of `out` from `at` on.

    Blocks of rows are combined one after the other, so that their states stay in the nearest cache;
    the last join writes to its place.
    """
    size = left.size
    for k in range(parts):
        out[at + k][: min(n - 1, size)] = np.nan
    joins = _plan(n)
    block = max(min(max(1024, 4 * n), size), 1)
    states = np.zeros((4, parts, block + n - 1))
    for first in range(n - 1, size, block):
        last = min(first + block, size)
        begin = first - n + 1
        rows = last - begin
        _begin(kind, states[0], left[begin:last], right[begin:last])
        for j in range(joins.shape[0]):
            to, newer, older, new, old = joins[j]
            if j == joins.shape[0] - 1:
                made, place, shift, start = out, at, begin, n - 1
            else:
                made, place, shift, start = states[to], 0, 0, new
            _join(kind, made, place, shift, states[newer], states[older], new, old, start, rows)
        if n == 1:
            for k in range(parts):
                out[at + k][first:last] = states[0][k][:rows]


@_compiled
def write_max(out, values, period):
    """Writes the highest of the last `period` values."""
    size = values.size
    if period > size:
        out[:] = np.nan
        return
    level, spare = values.copy(), np.empty(size)
    length = 1
    # Windows may overlap here, so that two of one power of two cover any length.
    while length < period:
        step = min(length, period - length)
        made = out if length + step == period else spare
        made[:step] = np.nan
        _join_highest(made[step:], level[step:], level[: size - step])
        level, spare = made, level
        length += step
    if period == 1:
        out[:] = values


@_compiled
def write_deviation(out, values, centre, period):
    """Writes the mean distance of the last `period` values from the row's `centre`."""
    out[: min(period - 1, values.size)] = np.nan
    block = 256  # rows whose sums stay in the nearest cache over all steps
    for first in range(period - 1, values.size, block):
        last = min(first + block, values.size)
        total, middle = out[first:last], centre[first:last]
        total[:] = 0.0
        fours = period - period % 4
        for back in range(0, fours, 4):
            # Four steps a pass read and write the sum once.
            a, b = values[first - back : last - back], values[first - back - 1 : last - back - 1]
            c = values[first - back - 2 : last - back - 2]
            d = values[first - back - 3 : last - back - 3]
            for i in range(total.size):
                x = middle[i]
                near = total[i] + abs(a[i] - x) + abs(b[i] - x)
                total[i] = near + abs(c[i] - x) + abs(d[i] - x)
        for back in range(fours, period):
            a = values[first - back : last - back]
            for i in range(total.size):
                total[i] += abs(a[i] - middle[i])
        for i in range(total.size):
            total[i] /= period


def _windows(kind: int, parts: int, left: Array, right: Array, period: int) -> Array:
    out = np.empty((parts, left.size))
    write_windows(kind, parts, out, 0, left, right, period)
    return out


@primitive("mean")
def rolling_mean(values: Array, period: int) -> Array:
    """Returns the plain mean of the last `period` values."""
    return _windows(MEAN, 1, values, values, period)[0]


@primitive("squares", parts=2)
def rolling_squares(values: Array, period: int) -> tuple[Array, Array]:
    """Returns mean and sum of squared deviations from it, of the last `period` values."""
    mean, squares = _windows(SQUARES, 2, values, values, period)
    return mean, squares


@primitive("moments", parts=4)
def rolling_moments(values: Array, period: int) -> tuple[Array, Array, Array, Array]:
    """Returns the mean, and the sums of the deviations from it to the powers of 2, 3 and 4."""
    mean, two, three, four = _windows(MOMENTS, 4, values, values, period)
    return mean, two, three, four


@primitive("products", parts=5)
def rolling_products(
    left: Array, right: Array, period: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Returns both means, the sums of squared deviations of both sides, and of their products."""
    mean_left, mean_right, left2, right2, both = _windows(PRODUCTS, 5, left, right, period)
    return mean_left, mean_right, left2, right2, both


@primitive("trend", parts=3)
def rolling_trend(values: Array, period: int) -> tuple[Array, Array, Array]:
    """Returns mean, sum of squared deviations, and sum of (place - mean place) * value.

    Places count the rows of a window; the last sum over sum((place - mean place)^2) is the slope of
    the least-squares line.
    """
    mean, squares, tilt = _windows(TREND, 3, values, values, period)
    return mean, squares, tilt


@primitive("latest_max", parts=2)
def latest_max(values: Array, period: int) -> tuple[Array, Array]:
    """Returns the highest of `period` values, and how long ago it was; the latest of equals."""
    best, age = _windows(LATEST_MAX, 2, values, values, period)
    return best, age


@primitive("first_max", parts=2)
def first_max(values: Array, period: int) -> tuple[Array, Array]:
    """Returns the highest of `period` values, and how long ago it was; the first of equals."""
    best, age = _windows(FIRST_MAX, 2, values, values, period)
    return best, age


def bars_since_max(values: Array, period: int) -> Array:
    """Returns how many rows ago the highest of `period` values was; the latest one of equals."""
    return latest_max(values, period)[1]


def bars_since_first_max(values: Array, period: int) -> Array:
    """Returns how many rows ago the highest of `period` values was; the earliest one of equals."""
    return first_max(values, period)[1]


@primitive("max")
def rolling_max(values: Array, period: int) -> Array:
    """Returns the highest of the last `period` values."""
    out = np.empty(values.size)
    write_max(out, values, period)
    return out


def rolling_min(values: Array, period: int) -> Array:
    """Returns the lowest of the last `period` values."""
    return -rolling_max(-values, period)


@primitive("deviation")
def mean_absolute_deviation(values: Array, centre: Array, period: int) -> Array:
    """Returns the mean distance of the last `period` values from the row's `centre`."""
    out = np.empty(values.size)
    write_deviation(out, values, centre, period)
    return out
