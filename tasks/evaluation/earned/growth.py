"""Return and volatility of portfolios by year, and how often they gain."""

import numpy as np

from tasks.evaluation import performance
from tasks.evaluation.earned.entry import Figure, Paths
from tasks.evaluation.metrics import FloatArray


def total_return(paths: Paths) -> FloatArray:
    """Returns the return over the whole span."""
    return np.asarray(performance.wealth(paths.returns)[:, -1] - 1.0)


def annual_return(paths: Paths) -> FloatArray:
    """Returns the compounded return a year; NaN where all was lost."""
    return performance.annual_return(paths.returns)


def annual_volatility(paths: Paths) -> FloatArray:
    """Returns the standard deviation of the sessions' returns, a year."""
    return performance.annual_volatility(paths.returns)


def sortino(paths: Paths) -> FloatArray:
    """Returns the mean return over the root mean square of the losses, a year."""
    return performance.sortino(paths.returns)


def hit_rate(paths: Paths) -> FloatArray:
    """Returns the share of gains among the sessions that gained or lost."""
    return performance.hit_rate(paths.returns)


TOTAL_RETURN = Figure("Grew by", "in all", "percent", 1, True, total_return)
ANNUAL_RETURN = Figure("Return", "a year", "percent", 1, True, annual_return)
ANNUAL_VOLATILITY = Figure("Volatility", "a year", "percent", 1, False, annual_volatility)
SORTINO = Figure("Sortino ratio", "", "decimal", 2, False, sortino)
HIT_RATE = Figure("Days won", "of those that moved", "percent", 1, False, hit_rate)
