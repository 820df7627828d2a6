"""What an LSTM or a GRU does to its gates at one step, compiled; forward and backward.

All arrays are one-dimensional: the compiler then makes one loop of a step over hidden × batch
units, several units at a time. Their parts, by step t of L:

    gates   [L, 4, hidden, batch]       pre-activations, then values, then gradients, in place
    seen    [L + 1, above + hidden, batch]   the states before step t below `above` other rows
    memory  [2, L + 1, hidden, batch]   an LSTM's cells before step t, and their tanh; else empty
    states  [L, hidden, batch]          the states after step t, or the gradients that reach them
    carried [2, hidden, batch]          gradients from step t + 1: through its product, beside it
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
# tanh(x) = x P(x²) / Q(x²) up to ±_FAR, where it is 1 in float32: Eigen's fit, good to 3e-7.
_FAR = np.float32(7.90531110763549805)
_P13, _P11 = np.float32(-2.76076847742355e-16), np.float32(2.00018790482477e-13)
_P9, _P7 = np.float32(-8.60467152213735e-11), np.float32(5.12229709037114e-08)
_P5, _P3 = np.float32(1.48572235717979e-05), np.float32(6.37261928875436e-04)
_P1 = np.float32(4.89352455891786e-03)
_Q6, _Q4 = np.float32(1.19825839466702e-06), np.float32(1.18534705686654e-04)
_Q2, _Q0 = np.float32(2.26843463243900e-03), np.float32(4.89352518554385e-03)
# A gradient this small is 0: further down it would be a denormal number, which is slow.
_TINY = np.float32(1e-30)


class Passes(NamedTuple):
    """The two passes of a cell over a step, and which of its 4 blocks of gates is the first to
    read the states before (those in front of it read the bars alone).
    """

    ahead: Callable[..., None]
    back: Callable[..., None]
    first: int


def _tanh(x: Any) -> Any:
    # Written so that NaN stays NaN.
    x = _FAR if x > _FAR else x
    x = -_FAR if x < -_FAR else x
    s = x * x
    p = (((((_P13 * s + _P11) * s + _P9) * s + _P7) * s + _P5) * s + _P3) * s + _P1
    q = ((_Q6 * s + _Q4) * s + _Q2) * s + _Q0
    return x * p / q


def _sigmoid(x: Any) -> Any:
    return _HALF * _tanh(_HALF * x) + _HALF


def lstm_ahead(
    gates: NDArray,
    seen: NDArray,
    memory: NDArray,
    states: NDArray,
    step: int,
    above: int,
    hidden: int,
    batch: int,
) -> None:
    """Gates i, f, g, o to their values; c' = f c + i g; h' = o tanh(c')."""
    n = hidden * batch
    at, half = step * n, memory.size // 2
    g_i, g_f, g_g, g_o = _four(gates, 4 * at, n)
    cell, new = memory[at : at + n], memory[at + n : at + 2 * n]
    tanh = memory[half + at + n : half + at + 2 * n]
    start = ((step + 1) * (above + hidden) + above) * batch
    into, out = seen[start : start + n], states[at : at + n]
    for j in range(n):
        i, f, g, o = _sigmoid(g_i[j]), _sigmoid(g_f[j]), _tanh(g_g[j]), _sigmoid(g_o[j])
        c = f * cell[j] + i * g
        t = _tanh(c)
        h = o * t
        g_i[j], g_f[j], g_g[j], g_o[j] = i, f, g, o
        new[j], tanh[j] = c, t
        into[j] = h
        out[j] = h


def lstm_back(
    gates: NDArray,
    seen: NDArray,
    memory: NDArray,
    grads: NDArray,
    carried: NDArray,
    step: int,
    above: int,
    hidden: int,
    batch: int,
) -> None:
    """Values of the gates to gradients before the activation; the cell's is carried on."""
    n = hidden * batch
    at, half = step * n, memory.size // 2
    g_i, g_f, g_g, g_o = _four(gates, 4 * at, n)
    cell, tanh = memory[at : at + n], memory[half + at + n : half + at + 2 * n]
    given, through, beside = grads[at : at + n], carried[:n], carried[n:]
    for j in range(n):
        i, f, g, o, t = g_i[j], g_f[j], g_g[j], g_o[j], tanh[j]
        dh = given[j] + through[j]
        dc = beside[j] + dh * o * (_ONE - t * t)
        g_i[j] = dc * g * i * (_ONE - i)
        g_f[j] = dc * cell[j] * f * (_ONE - f)
        g_g[j] = dc * i * (_ONE - g * g)
        g_o[j] = dh * t * o * (_ONE - o)
        dc = dc * f
        beside[j] = dc * (_ZERO if abs(dc) < _TINY else _ONE)


def gru_ahead(
    gates: NDArray,
    seen: NDArray,
    memory: NDArray,
    states: NDArray,
    step: int,
    above: int,
    hidden: int,
    batch: int,
) -> None:
    """Gates n (of the bars), r, z, n (of the states) to values; h' = n + z (h − n)."""
    n = hidden * batch
    at = step * n
    g_n, g_r, g_z, g_h = _four(gates, 4 * at, n)
    row = (above + hidden) * batch
    start = step * row + above * batch
    before, into = seen[start : start + n], seen[start + row : start + row + n]
    out = states[at : at + n]
    for j in range(n):
        r, z = _sigmoid(g_r[j]), _sigmoid(g_z[j])
        new = _tanh(g_n[j] + r * g_h[j])
        h = new + z * (before[j] - new)
        g_n[j], g_r[j], g_z[j] = new, r, z
        into[j] = h
        out[j] = h


def gru_back(
    gates: NDArray,
    seen: NDArray,
    memory: NDArray,
    grads: NDArray,
    carried: NDArray,
    step: int,
    above: int,
    hidden: int,
    batch: int,
) -> None:
    """Values of the gates to gradients before the activation; what z lets by is carried on."""
    n = hidden * batch
    at = step * n
    g_n, g_r, g_z, g_h = _four(gates, 4 * at, n)
    start = (step * (above + hidden) + above) * batch
    before, given = seen[start : start + n], grads[at : at + n]
    through, beside = carried[:n], carried[n:]
    for j in range(n):
        new, r, z, by_state = g_n[j], g_r[j], g_z[j], g_h[j]
        dh = given[j] + through[j] + beside[j]
        inner = dh * (_ONE - z) * (_ONE - new * new)
        g_n[j] = inner
        g_r[j] = inner * by_state * r * (_ONE - r)
        g_z[j] = dh * (before[j] - new) * z * (_ONE - z)
        g_h[j] = inner * r
        dh = dh * z
        beside[j] = dh * (_ZERO if abs(dh) < _TINY else _ONE)


def _four(gates: NDArray, at: int, n: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    return (
        gates[at : at + n],
        gates[at + n : at + 2 * n],
        gates[at + 2 * n : at + 3 * n],
        gates[at + 3 * n : at + 4 * n],
    )


CELLS = {
    "LSTM": Passes(lstm_ahead, lstm_back, 0),
    # The new gate stands twice: in front by the bars, behind r and z by the states, which r scales
    # before the two are added.
    "GRU": Passes(gru_ahead, gru_back, 1),
}
_lock = threading.Lock()


def compiled(mode: str) -> Passes:
    """Returns the compiled passes of a cell; several threads may ask at once."""
    with _lock:
        return _compile(mode)


@cache
def _compile(mode: str) -> Passes:
    # numba takes a second to import: only who trains on a CPU pays it.
    from numba import njit
    from numba.extending import register_jitable

    for inner in (_tanh, _sigmoid, _four):
        register_jitable(inner)
    # Fused multiply-adds only: nothing that lets the compiler reorder sums.
    make = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    ahead, back, first = CELLS[mode]
    return Passes(make(ahead), make(back), first)
