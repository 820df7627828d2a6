"""Which training rows stay beside test spans that they may follow as well as precede."""

from collections.abc import Sequence

import numpy as np

from tasks.lake.panel import PanelArrays
from tasks.windows.combinatorial import Tested


def first_seen(panel: PanelArrays, lookback: int, behind: int, across: bool) -> np.ndarray:
    """Returns the date of the oldest bar that the window ending on each row hangs on [N].

    Args:
        panel: Sorted by symbol and date.
        lookback: Rows of a window.
        behind: Earlier bars of its symbol that a row's features hang on, warm-up included.
        across: Whether they hang on the other symbols of the row's date too, and so on their bars:
            one that missed sessions reaches further back.
    """
    place = np.arange(len(panel.dates))
    heads = np.r_[True, panel.symbol[1:] != panel.symbol[:-1]]
    start = np.maximum.accumulate(np.where(heads, place, 0))
    seen = panel.dates[np.maximum(place - behind, start)]
    if across:
        days, of_row = np.unique(panel.dates, return_inverse=True)
        oldest = days.copy()
        np.minimum.at(oldest, of_row, seen)
        seen = oldest[of_row]
    found = seen.copy()
    for back in range(1, lookback):
        np.minimum(found, seen[np.maximum(place - back, start)], out=found)
    return found


def open_rows(
    panel: PanelArrays, rows: np.ndarray, seen: np.ndarray, tests: Sequence[Tested]
) -> np.ndarray:
    """Returns those of `rows` of which neither a feature's bars nor the label meet a closed span.

    Args:
        panel: The panel.
        rows: Rows whose label is known, ascending.
        seen: What `first_seen` returns [N].
        tests: The groups that the fold tests.
    """
    stays = np.ones(len(rows), bool)
    for test in tests:
        after = seen[rows] > np.datetime64(test.closed)
        stays &= after | (panel.label_end[rows] < np.datetime64(test.span.start))
    return rows[stays]
