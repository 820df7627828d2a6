"""What portfolios owe to the market, and how far they are invested.

The market is the benchmark, or equal weight where there is none. Ordinary least squares of their
returns on its, session by session (Jensen 1968).
"""

import numpy as np

from tasks.evaluation.earned.entry import Figure, Paths
from tasks.evaluation.metrics import FloatArray, divide
from tasks.evaluation.performance import SESSIONS_PER_YEAR


def beta(paths: Paths) -> FloatArray:
    """Returns the covariance with the market's returns over their variance."""
    market = paths.market - paths.market.mean(axis=1, keepdims=True)
    own = paths.returns - paths.returns.mean(axis=1, keepdims=True)
    return divide((own * market).sum(axis=1), (market * market).sum(axis=1))


def alpha(paths: Paths) -> FloatArray:
    """Returns the mean return that the market does not explain, compounded over a year."""
    daily = paths.returns.mean(axis=1) - beta(paths) * paths.market.mean(axis=1)
    return np.asarray((1.0 + daily) ** SESSIONS_PER_YEAR - 1.0)


def exposure(paths: Paths) -> FloatArray:
    """Returns the mean value of the positions over equity: 1 fully invested, 0 cash or hedged."""
    return np.asarray(paths.invested.mean(axis=1))


ALPHA = Figure("Alpha", "a year", "percent", 1, True, alpha)
BETA = Figure("Beta", "", "decimal", 2, False, beta)
EXPOSURE = Figure("Net exposure", "mean", "percent", 0, False, exposure)
