"""What the registry of transforms holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.features.stated import Stated

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
# Whose values a transform looks at: one symbol's up to the row, or all symbols' on the row's date.
Scope = Literal["symbol", "date"]


def _none(*arguments: int) -> int:
    del arguments
    return 0


@dataclass(frozen=True)
class Transform(Stated):
    """One registry entry: what may follow a feature behind a bar, such as `rsi(14)|rank`.

    It knows no unit: fed values of any other scale, it returns what it did or that times the scale.

    Attributes:
        scope: `symbol` or `date`.
        function: for `symbol`, takes one symbol's values and the arguments (`timeseries.py`); for
            `date`, values grouped by date, the groups' starts, member, sector and the arguments
            (`members.py`). Returns as many float64 values, NaN where masked; infinity is masked.
        arguments: default arguments; bars or per cent, as the function says.
        shortest: the least that makes sense of each argument.
        longest: the most of each argument.
        lookback: takes the arguments; returns the earlier bars it needs besides the feature's own.
    """

    scope: Scope
    function: Callable[..., Array]
    arguments: tuple[int, ...] = ()
    shortest: tuple[int, ...] = ()
    longest: tuple[int, ...] = ()
    lookback: Callable[..., int] = _none
