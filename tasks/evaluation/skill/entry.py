"""What the registry of scores holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.aligned import Scored
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.scores import DateScores

# How a page writes it: a bare number, a share in per cent, or a number in the target's unit.
Form = Literal["decimal", "percent", "target"]


@dataclass(frozen=True)
class Score:
    """One registry entry.

    Attributes:
        title: heading of its column.
        under: what stands beneath the heading; may be empty.
        form: how it is written.
        digits: of a bare number or a share.
        signed: whether a plus sign is written.
        function: takes a model's scores, all that is scored, and ways of counting the dates
            [N, D]; returns the value under each [N], NaN where undefined, or None where the model
            lacks what it is made of.
    """

    title: str
    under: str
    form: Form
    digits: int
    signed: bool
    function: Callable[[DateScores, Scored, FloatArray], FloatArray | None]
