"""What the registry of scores holds."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.evaluation.aligned import Scored
from tasks.evaluation.column import Column
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.scores import DateScores


@dataclass(frozen=True)
class Score(Column):
    """One registry entry.

    Attributes:
        function: takes a model's scores, all that is scored, and ways of counting the dates
            [N, D]; returns the value under each [N], NaN where undefined, or None where the model
            lacks what it is made of.
    """

    function: Callable[[DateScores, Scored, FloatArray], FloatArray | None]
