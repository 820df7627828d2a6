"""Which barrier a price touches first."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(nogil=True, cache=True)
def first_touches(
    place: Ints,
    entry: Ints,
    width: Floats,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    up: float,
    down: float,
    horizon: int,
) -> Floats:
    """Returns of each row +1 or -1 for the barrier touched first, 0 for none, NaN for no label.

    The barriers lie at opens[entry] * exp(up * width) and opens[entry] * exp(-down * width), and
    count from the entry's bar to that of `place + horizon`. A bar that opens beyond a barrier
    touches that one, whatever it does later; a bar that reaches both has touched the lower one,
    since nobody knows which came first and the worse is assumed. A bar that is not there, or
    whose open, high or low is NaN, touches nothing.

    Args:
        place: of each row [N], ascending; one session is one step within a symbol, and symbols
            lie further apart than `horizon`.
        entry: row of the bar at whose open the position begins [N]; negative for no label.
        width: of one multiple, in log price [N].
        opens: of the bars [N]; so are `highs` and `lows`.
        up: multiples of the width to the upper barrier.
        down: the same to the lower one.
        horizon: sessions within which a barrier may be touched.
    """
    labels = np.full(place.size, np.nan)
    for row in range(place.size):
        if entry[row] < 0:
            continue
        upper = opens[entry[row]] * np.exp(up * width[row])
        lower = opens[entry[row]] * np.exp(-down * width[row])
        labels[row] = 0.0
        bar = entry[row]
        while bar < place.size and place[bar] <= place[row] + horizon:
            if np.isnan(opens[bar] + highs[bar] + lows[bar]):
                bar += 1
                continue
            if opens[bar] >= upper:
                labels[row] = 1.0
            elif opens[bar] <= lower or lows[bar] <= lower:
                labels[row] = -1.0
            elif highs[bar] >= upper:
                labels[row] = 1.0
            if labels[row] != 0.0:
                break
            bar += 1
    return labels
