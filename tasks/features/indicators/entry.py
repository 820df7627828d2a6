"""What the registry holds: an indicator, and the feature it becomes once its periods are chosen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.features.stated import Stated
from tasks.features.transforms.entry import Transform

Array = NDArray[np.float64]

Kind = Literal["trend", "momentum", "volatility", "volume", "returns", "calendar", "alpha"]

# What a textbook value is measured in, hence what it is divided by to become scale-free: `price` is
# given as distance from the close, amounts are divided by averages over AVERAGE_BARS bars.
Unit = Literal[
    "none",
    "price",
    "price_difference",
    "volume",
    "money",
    "per_money",
    "price_square_per_volume",
]

AVERAGE_BARS = 20
_AVERAGED = {"volume", "money", "per_money", "price_square_per_volume"}


# By identity: each entry is made once, and keys made of it are compared often.
@dataclass(frozen=True, eq=False)
class Indicator(Stated):
    """One registry entry.

    Attributes:
        kind: the family shown in reports.
        function: takes the columns, then the periods; returns the textbook value, one row a bar.
            Columns are float64 arrays, NaN where masked. Unless `joined`, they are of one symbol.
        columns: what the function takes, in order: bar columns, or columns of `columns.py`.
        periods: default periods, in bars where the function does not say otherwise.
        lookback: takes the periods; returns the earlier bars that the first value needs.
        unit: what the textbook value is measured in.
        shortest: the least period that makes sense.
        warm_up: takes the periods; returns the bars after the first value in which what the series
            began with still shows by over a ten-millionth; 0 where a value hangs on its lookback
            alone.
        joined: whether the function is made of the kernels and arithmetic alone, and begins anew
            after a NaN. Then all symbols go through it together, compiled, which is much faster;
            the contract's tests hold it to that. Without, it may be any plain Python.
        expression: whether the function takes polars expressions instead, and returns one.
    """

    kind: Kind
    function: Callable[..., Any]
    columns: tuple[str, ...]
    periods: tuple[int, ...]
    lookback: Callable[..., int]
    unit: Unit = "none"
    shortest: int = 2
    warm_up: Callable[..., int] = lambda *_: 0
    joined: bool = False
    expression: bool = False


@dataclass(frozen=True)
class Step:
    """A transform with its arguments, as it stands behind a feature's name."""

    name: str
    transform: Transform
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class Feature:
    """An indicator with its periods, and what is done to it, under its column's name.

    Such as `rsi(14)` or `rsi(14)|rank`.
    """

    name: str
    indicator: Indicator
    periods: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    @property
    def plain(self) -> "Feature":
        """Returns the feature without its transforms."""
        return replace(self, name=self.name.partition("|")[0], steps=())

    @property
    def lookback(self) -> int:
        """Returns the earlier bars that the first value needs, transforms included."""
        need = self.indicator.lookback(*self.periods)
        if self.indicator.unit in _AVERAGED:
            need = max(need, AVERAGE_BARS - 1)
        return need + sum(step.transform.lookback(*step.arguments) for step in self.steps)

    @property
    def warm_up(self) -> int:
        """Returns the bars after the first value in which the start of the series still shows."""
        return self.indicator.warm_up(*self.periods)
