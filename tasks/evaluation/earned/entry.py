"""What the registry of portfolio figures holds."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.evaluation.column import Column
from tasks.evaluation.metrics import FloatArray


@dataclass(frozen=True)
class Paths:
    """What happened to a portfolio, and resamples of it: N sequences of D sessions.

    Row 0 is what happened. A resample draws whole sessions, so that portfolio and market stay
    together.

    Attributes:
        returns: simple_returns from close to close, after costs [N, D].
        market: the same of the benchmark, or of equal weight where there is none [N, D].
        invested: value of the positions over equity at each close; shorts count below 0 [N, D].
    """

    returns: FloatArray
    market: FloatArray
    invested: FloatArray


@dataclass(frozen=True)
class Figure(Column):
    """One registry entry.

    Attributes:
        function: takes the paths; returns the value of each [N], NaN where undefined.
    """

    function: Callable[[Paths], FloatArray]
