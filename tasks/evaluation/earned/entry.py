"""What the registry of portfolio figures holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.metrics import FloatArray

Form = Literal["decimal", "percent"]


@dataclass(frozen=True)
class Paths:
    """What happened to a portfolio, and resamples of it: N sequences of D sessions.

    Row 0 is what happened. A resample draws whole sessions, so that portfolio and market stay
    together.

    Attributes:
        returns: simple_returns from close to close, after costs [N, D].
        market: the same of the benchmark, or None where there is none.
        invested: value of the positions over equity at each close; shorts count below 0 [N, D].
    """

    returns: FloatArray
    market: FloatArray | None
    invested: FloatArray


@dataclass(frozen=True)
class Figure:
    """One registry entry.

    Attributes:
        title: heading of its column.
        under: what stands beneath the heading; may be empty.
        form: how it is written.
        digits: of the number or the share.
        signed: whether a plus sign is written.
        function: takes the paths; returns the value of each [N], NaN where undefined, or None
            where there is no benchmark to compare with.
    """

    title: str
    under: str
    form: Form
    digits: int
    signed: bool
    function: Callable[[Paths], FloatArray | None]
