"""Runs the steps of a graph over many symbols, compiled, without the GIL.

1. `assemble` writes the steps as a table of integers and one of numbers, and gives every result a
   row of working memory; a row is used again once nobody needs what it holds.
2. `Machine.run` takes one chunk of symbols, lays their bars one after the other, a NaN bar between
   them, does step by step on all of them, and writes finished columns to their place.

A chunk is small enough for a core's own cache. A new kernel gets a name in `Op` and a line in
`_kernel`.
"""

import hashlib
from collections.abc import Callable
from enum import IntEnum, auto
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from tasks.features.kernels.elementwise import (
    write_difference,
    write_lagged,
    write_logs,
    write_ratio,
)
from tasks.features.kernels.ordered import write_quantiles, write_rank
from tasks.features.kernels.recursive import (
    write_adaptive,
    write_bands,
    write_smoothed,
    write_stops,
    write_total,
)
from tasks.features.kernels.windows import write_deviation, write_max, write_windows

# Integers of a step: operation, row of the first result, rows of up to three inputs, up to three
# whole numbers, number of results.
OP, OUT, A, B, C, N, M, L, PARTS = range(9)

_BLOCK = 1024


class Op(IntEnum):
    """What a step can be; the names are those of `graph.py` in capitals."""

    COLUMN = auto()
    STORE = auto()
    CONSTANT = auto()
    ADD = auto()
    SUBTRACT = auto()
    MULTIPLY = auto()
    DIVIDE = auto()
    MAXIMUM = auto()
    MINIMUM = auto()
    GREATER = auto()
    GREATER_EQUAL = auto()
    EQUAL = auto()
    POWER = auto()
    ADD_NUMBER = auto()
    MULTIPLY_NUMBER = auto()
    DIVIDE_NUMBER = auto()
    MAXIMUM_NUMBER = auto()
    MINIMUM_NUMBER = auto()
    GREATER_NUMBER = auto()
    LESS_NUMBER = auto()
    EQUAL_NUMBER = auto()
    POWER_NUMBER = auto()
    NUMBER_SUBTRACT = auto()
    NUMBER_DIVIDE = auto()
    SQRT = auto()
    ABSOLUTE = auto()
    SIGN = auto()
    NEGATIVE = auto()
    SIN = auto()
    COS = auto()
    LOG = auto()
    RATIO = auto()
    SELECT = auto()
    # In the order of the kinds in `windows.py`.
    MEAN = auto()
    SQUARES = auto()
    MOMENTS = auto()
    PRODUCTS = auto()
    TREND = auto()
    LATEST_MAX = auto()
    FIRST_MAX = auto()
    LAGGED = auto()
    DIFFERENCE = auto()
    MAX = auto()
    DEVIATION = auto()
    SMOOTHED = auto()
    TOTAL = auto()
    ADAPTIVE = auto()
    STOPS = auto()
    BANDS = auto()
    QUANTILES = auto()
    RANK = auto()


_compiled = njit(nogil=True, cache=True, error_model="numpy")
# For what calls code of other files: kept on disk by itself, it would not notice their change.
_inside = njit(nogil=True, error_model="numpy")


@_compiled
def _binary(op, out, a, b):
    if op == Op.ADD:
        for i in range(out.size):
            out[i] = a[i] + b[i]
    elif op == Op.SUBTRACT:
        for i in range(out.size):
            out[i] = a[i] - b[i]
    elif op == Op.MULTIPLY:
        for i in range(out.size):
            out[i] = a[i] * b[i]
    elif op == Op.DIVIDE:
        for i in range(out.size):
            out[i] = a[i] / b[i]
    elif op == Op.MAXIMUM:
        for i in range(out.size):
            out[i] = a[i] if (a[i] >= b[i] or a[i] != a[i]) else b[i]
    elif op == Op.MINIMUM:
        for i in range(out.size):
            out[i] = a[i] if (a[i] <= b[i] or a[i] != a[i]) else b[i]
    elif op == Op.GREATER:
        for i in range(out.size):
            out[i] = 1.0 if a[i] > b[i] else 0.0
    elif op == Op.GREATER_EQUAL:
        for i in range(out.size):
            out[i] = 1.0 if a[i] >= b[i] else 0.0
    elif op == Op.EQUAL:
        for i in range(out.size):
            out[i] = 1.0 if a[i] == b[i] else 0.0
    else:
        for i in range(out.size):
            out[i] = a[i] ** b[i]


@_compiled
def _with_number(op, out, a, x):
    if op == Op.ADD_NUMBER:
        for i in range(out.size):
            out[i] = a[i] + x
    elif op == Op.MULTIPLY_NUMBER:
        for i in range(out.size):
            out[i] = a[i] * x
    elif op == Op.DIVIDE_NUMBER:
        for i in range(out.size):
            out[i] = a[i] / x
    elif op == Op.MAXIMUM_NUMBER:
        for i in range(out.size):
            out[i] = a[i] if (a[i] >= x or a[i] != a[i]) else x
    elif op == Op.MINIMUM_NUMBER:
        for i in range(out.size):
            out[i] = a[i] if (a[i] <= x or a[i] != a[i]) else x
    elif op == Op.GREATER_NUMBER:
        for i in range(out.size):
            out[i] = 1.0 if a[i] > x else 0.0
    elif op == Op.LESS_NUMBER:
        for i in range(out.size):
            out[i] = 1.0 if a[i] < x else 0.0
    elif op == Op.EQUAL_NUMBER:
        for i in range(out.size):
            out[i] = 1.0 if a[i] == x else 0.0
    elif op == Op.POWER_NUMBER:
        for i in range(out.size):
            out[i] = a[i] ** x
    elif op == Op.NUMBER_SUBTRACT:
        for i in range(out.size):
            out[i] = x - a[i]
    else:
        for i in range(out.size):
            out[i] = x / a[i]


@_compiled
def _unary(op, out, a):
    if op == Op.SQRT:
        for i in range(out.size):
            out[i] = np.sqrt(a[i])
    elif op == Op.ABSOLUTE:
        for i in range(out.size):
            out[i] = abs(a[i])
    elif op == Op.SIGN:
        for i in range(out.size):
            out[i] = 1.0 if a[i] > 0.0 else (-1.0 if a[i] < 0.0 else a[i])
    elif op == Op.NEGATIVE:
        for i in range(out.size):
            out[i] = -a[i]
    elif op == Op.SIN:
        for i in range(out.size):
            out[i] = np.sin(a[i])
    else:
        for i in range(out.size):
            out[i] = np.cos(a[i])


@_compiled
def _select(out, chosen, a, b):
    for i in range(out.size):
        out[i] = a[i] if chosen[i] != 0.0 else b[i]


@_inside
def _row_by_row(step, numbers, work, first, last):
    """Does a step that looks at its own row only, on the rows from `first` to `last`."""
    op = step[OP]
    out, a, b = work[step[OUT]][first:last], work[step[A]][first:last], work[step[B]][first:last]
    if op == Op.CONSTANT:
        out[:] = numbers[0]
    elif op <= Op.POWER:
        _binary(op, out, a, b)
    elif op <= Op.NUMBER_DIVIDE:
        _with_number(op, out, a, numbers[0])
    elif op <= Op.COS:
        _unary(op, out, a)
    elif op == Op.LOG:
        write_logs(out, a)
    elif op == Op.RATIO:
        write_ratio(out, a, b)
    else:
        _select(out, a, b, work[step[C]][first:last])


@_compiled
def _store(value, scale, shift, places, lookback, row, out):
    """Writes each symbol's rows, masked in warm-up and where float32 could not hold them.

    Args:
        value: the finished column, of the joined symbols.
        scale: what it is divided by; empty for nothing. Then `shift` is taken off.
        places: [S, 3], where each symbol begins in `out`, where among the joined, and its length.
        lookback: rows of each symbol that are masked.
        row: of `out` [F, N].
        out: float32 or float64.
    """
    endless = np.float32(np.inf)
    for s in range(places.shape[0]):
        start, place, length = places[s, 0], places[s, 1], places[s, 2]
        warm = min(lookback, length)
        out[row][start : start + warm] = np.nan
        mine = out[row][start + warm : start + length]
        made = value[place + warm : place + length]
        if scale.size:
            unit = scale[place + warm : place + length]
            for i in range(mine.size):
                x = made[i] / unit[i] - shift
                mine[i] = x if abs(np.float32(x)) < endless else np.nan
        else:
            for i in range(mine.size):
                mine[i] = made[i] if abs(np.float32(made[i])) < endless else np.nan


@_compiled
def _lay(out, column, places):
    """Lays the symbols of a column one after the other, a NaN after each."""
    for s in range(places.shape[0]):
        start, place, length = places[s, 0], places[s, 1], places[s, 2]
        out[place : place + length] = column[start : start + length]
        if place + length < out.size:
            out[place + length] = np.nan


@_inside
def _kernel(step, reals, work, size):
    """Does a step that looks at other rows than its own."""
    op, at, n = step[OP], step[OUT], step[N]
    out, a = work[at][:size], work[step[A]][:size]
    b, c = work[step[B]][:size], work[step[C]][:size]
    if op <= Op.FIRST_MAX:
        # One call for all of them: each costs seconds of compilation.
        write_windows(op - Op.MEAN, step[PARTS], work, at, a, b, n)
    elif op == Op.MAX:
        write_max(out, a, n)
    elif op == Op.DEVIATION:
        write_deviation(out, a, b, n)
    elif op == Op.SMOOTHED:
        write_smoothed(out, a, n, reals[0])
    elif op == Op.TOTAL:
        write_total(out, a)
    elif op == Op.ADAPTIVE:
        write_adaptive(out, a, n, step[M], step[L])
    elif op == Op.STOPS:
        write_stops(out, a, b, reals[0], reals[1])
    elif op == Op.BANDS:
        write_bands(out, a, b, c)
    elif op == Op.QUANTILES:
        write_quantiles(work, at, a, n, reals)
    elif op == Op.RANK:
        write_rank(out, a, n)
    elif op == Op.LAGGED:
        write_lagged(out, a, n)
    else:
        write_difference(out, a, n)


def _machine(digest: str) -> Callable[..., None]:
    """Returns the compiled loop over the steps of one chunk.

    numba's cache on disk notices a change in the file of a function, not in those of the functions
    that it calls. What a function encloses is part of its key: hence the digest of all files.
    """

    @njit(nogil=True, cache=True, error_model="numpy")
    def run(steps, reals, columns, places, work, narrow, wide):
        """Does the steps on one chunk.

        Args:
            steps: [T, 9] int64 and reals [T, 2]: what `assemble` returns.
            reals: the numbers of the steps.
            columns: the panel's columns, float64.
            places: [S, 3], see `_store`.
            work: [rows, longest chunk] float64.
            narrow: [F, N] float32, where results go.
            wide: [G, N] float64, likewise.
        """
        if not digest:
            return
        last = places.shape[0] - 1
        size = places[last, 1] + places[last, 2]
        t, end = 0, steps.shape[0]
        while t < end:
            step, numbers = steps[t], reals[t]
            op = step[OP]
            if Op.CONSTANT <= op <= Op.SELECT:
                # Steps in a row that look at their own row only go over a block together, so that
                # what one leaves is still in the nearest cache for the next.
                last_step = t + 1
                while last_step < end and Op.CONSTANT <= steps[last_step, OP] <= Op.SELECT:
                    last_step += 1
                for first in range(0, size, _BLOCK):
                    for k in range(t, last_step):
                        _row_by_row(steps[k], reals[k], work, first, min(first + _BLOCK, size))
                t = last_step
                continue
            if op == Op.COLUMN:
                _lay(work[step[OUT]][:size], columns[step[N]], places)
            elif op == Op.STORE:
                scale = work[step[B]][:size] if step[B] >= 0 else work[0][:0]
                value = work[step[A]][:size]
                if step[M]:
                    _store(value, scale, numbers[0], places, step[N], step[OUT], wide)
                else:
                    _store(value, scale, numbers[0], places, step[N], step[OUT], narrow)
            else:
                _kernel(step, numbers, work, size)
            t += 1

    made: Callable[..., None] = run
    return made


def _sources() -> str:
    """Returns a digest of this folder's files."""
    seen = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        seen.update(path.read_bytes())
    return seen.hexdigest()


run: Any = _machine(_sources())
