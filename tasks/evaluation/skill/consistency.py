"""How steady skill is from date to date."""

import math

from tasks.evaluation.aligned import Scored
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import SESSIONS_PER_YEAR, sharpe
from tasks.evaluation.scores import DateScores
from tasks.evaluation.skill.entry import Score


def icir(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray:
    """Returns the mean IC of the dates over its standard deviation (Grinold and Kahn 2000).

    Per date, not annualised; ddof 1. Undefined under ts_ic, where no date has an IC of its own.
    """
    del scored
    return sharpe(scores.ic, weights) / math.sqrt(SESSIONS_PER_YEAR)


def rank_icir(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray:
    """Returns the mean rank IC of the dates over its standard deviation, as `icir`."""
    del scored
    return sharpe(scores.rank_ic, weights) / math.sqrt(SESSIONS_PER_YEAR)


ICIR = Score("ICIR", "a date, not a year", "decimal", 3, True, icir)
RANK_ICIR = Score("Rank ICIR", "a date, not a year", "decimal", 3, True, rank_icir)
