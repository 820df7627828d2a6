"""Return and volatility of portfolios by year, and how often they gain."""

import math

import numpy as np

from tasks.evaluation.earned.entry import Figure, Paths
from tasks.evaluation.metrics import FloatArray, divide
from tasks.evaluation.performance import SESSIONS_PER_YEAR


def wealth(returns: FloatArray) -> FloatArray:
    """Returns what 1 has grown to before the first and after each session [N, D + 1]."""
    return np.asarray(np.cumprod(np.insert(1.0 + returns, 0, 1.0, axis=1), axis=1), np.float64)


def annual_return(paths: Paths) -> FloatArray:
    """Returns the compounded simple_return a year; NaN where all was lost."""
    end = wealth(paths.returns)[:, -1]
    years = paths.returns.shape[1] / SESSIONS_PER_YEAR
    return np.where(end > 0.0, np.maximum(end, 0.0) ** (1.0 / years) - 1.0, np.nan)


def annual_volatility(paths: Paths) -> FloatArray:
    """Returns the standard deviation (ddof 1) of the returns times √252."""
    return np.asarray(paths.returns.std(axis=1, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sortino(paths: Paths) -> FloatArray:
    """Returns the annualised mean over the root mean square of the losses (Sortino 1994)."""
    downside = np.sqrt(np.mean(np.minimum(paths.returns, 0.0) ** 2, axis=1))
    return divide(paths.returns.mean(axis=1), downside) * math.sqrt(SESSIONS_PER_YEAR)


def hit_rate(paths: Paths) -> FloatArray:
    """Returns the share of gains among the sessions that gained or lost; NaN without any."""
    return divide((paths.returns > 0.0).sum(axis=1), (paths.returns != 0.0).sum(axis=1))


ANNUAL_RETURN = Figure("Return", "a year", "percent", 1, True, annual_return)
ANNUAL_VOLATILITY = Figure("Volatility", "a year", "percent", 1, False, annual_volatility)
SORTINO = Figure("Sortino ratio", "", "decimal", 2, False, sortino)
HIT_RATE = Figure("Days won", "of those that moved", "percent", 1, False, hit_rate)
