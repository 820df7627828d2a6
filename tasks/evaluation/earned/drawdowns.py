"""How deep and how long portfolios stood below their highest close."""

import numpy as np

from tasks.evaluation import performance
from tasks.evaluation.earned.entry import Figure, Paths
from tasks.evaluation.earned.growth import annual_return
from tasks.evaluation.metrics import FloatArray, divide


def max_drawdown(paths: Paths) -> FloatArray:
    """Returns the deepest fall from the highest close so far, as a return (0 or below)."""
    return performance.max_drawdown(paths.returns)


def drawdown_sessions(paths: Paths) -> FloatArray:
    """Returns the most sessions in a row that ended below the highest close before them.

    A fall that has not been made up by the end counts up to there.
    """
    grown = performance.wealth(paths.returns)
    place = np.arange(grown.shape[1])
    at_top = grown >= np.maximum.accumulate(grown, axis=1)
    return np.asarray((place - np.maximum.accumulate(place * at_top, axis=1)).max(axis=1), float)


def calmar(paths: Paths) -> FloatArray:
    """Returns the annual return over the depth of the deepest drawdown (Young 1991).

    Over the whole span, not the last 36 months; NaN without a drawdown.
    """
    return divide(annual_return(paths), -max_drawdown(paths))


MAX_DRAWDOWN = Figure("Deepest", "drawdown", "percent", 1, False, max_drawdown)
DRAWDOWN_SESSIONS = Figure("Longest", "drawdown, sessions", "decimal", 0, False, drawdown_sessions)
CALMAR = Figure("Calmar ratio", "", "decimal", 2, False, calmar)
