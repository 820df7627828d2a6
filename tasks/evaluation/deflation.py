"""How sure a Sharpe ratio is, alone and as the best of many trials.

1. The probabilistic Sharpe ratio is the confidence that the true ratio is above a hurdle, given
   the track's length, skewness and kurtosis (Bailey and López de Prado 2012).
2. The deflated Sharpe ratio takes as hurdle what the best of N trials without any skill is
   expected to reach (Bailey and López de Prado 2014). It is cautious: the best of many noisy
   trials scatters less than one trial, so that it passes more rarely than the level says.
3. N is the count of all trials. Trials that resemble each other are fewer than they seem; they
   are grouped by the correlation of their daily returns, with the distance of López de Prado and
   Lewis (2019). Their search for the number of groups by silhouettes finds few among independent
   trials and at least two in every case; a fixed correlation does neither.

Sharpe ratios here are those of one session, mean over standard deviation; sessions are taken to
be independent of each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import kurtosis, norm, skew

from tasks.evaluation.metrics import CONSTANT, FloatArray

# Trials of which every pair correlates at least so much count as one.
ALIKE = 0.5


@dataclass(frozen=True)
class Track:
    """Moments of a series of returns; all but `sessions` are NaN where it never moves.

    `kurtosis` is the raw one, 3 for a normal distribution, as the formulas want it.
    """

    sessions: int
    sharpe: float
    skewness: float
    kurtosis: float


def track(returns: FloatArray) -> Track:
    """Returns the moments of simple returns [T]."""
    if not moves(returns):
        return Track(returns.size, math.nan, math.nan, math.nan)
    return Track(
        sessions=returns.size,
        sharpe=session_sharpe(returns),
        skewness=float(skew(returns)),
        kurtosis=float(kurtosis(returns, fisher=False)),
    )


def session_sharpe(returns: FloatArray) -> float:
    """Returns the Sharpe ratio of one session of returns [T] that move."""
    return float(returns.mean() / returns.std(ddof=1))


def moves(returns: FloatArray) -> bool:
    """Tells whether returns have a spread beyond rounding."""
    return returns.size > 1 and float(returns.var()) > CONSTANT * float(np.mean(returns**2))


def probabilistic_sharpe(own: Track, hurdle: float) -> float:
    """Returns the confidence that the true Sharpe ratio is above `hurdle`; 1 - it is a p-value."""
    error = _squared_error(own)
    if not error > 0.0:
        return math.nan
    return float(norm.cdf((own.sharpe - hurdle) * math.sqrt((own.sessions - 1) / error)))


def needed_sessions(own: Track, hurdle: float, confidence: float) -> float:
    """Returns the minimum track-record length: sessions until the ratio is above `hurdle` for sure.

    Infinite where the Sharpe ratio is not above it, NaN where there is none.
    """
    error = _squared_error(own)
    if not error > 0.0:
        return math.nan
    if own.sharpe <= hurdle:
        return math.inf
    return 1.0 + error * (float(norm.ppf(confidence)) / (own.sharpe - hurdle)) ** 2


def _squared_error(own: Track) -> float:
    """Returns the variance of the Sharpe ratio's estimate, times the sessions less one."""
    return 1.0 - own.skewness * own.sharpe + (own.kurtosis - 1.0) / 4.0 * own.sharpe**2


def expected_best(trials: float, spread: float) -> float:
    """Returns what the best Sharpe ratio of trials without skill is expected to be.

    Args:
        trials: how many there are, 1 or more.
        spread: standard deviation of their Sharpe ratios.
    """
    if trials <= 1:
        return 0.0
    first, second = norm.isf(1.0 / trials), norm.isf(1.0 / (trials * math.e))
    return spread * float((1.0 - np.euler_gamma) * first + np.euler_gamma * second)


def hurdle_of(trials: int, sharpes: Sequence[float], sessions: int) -> float:
    """Returns what the best of trials without skill is expected to reach.

    The spread of their ratios is that of the known ones. Trials of unknown ratio are taken for
    independent tracks without skill, each as long as `sessions`: with a single known one they are
    a search of their own, and however alike the known ones are, the hurdle is not below its best.

    Args:
        trials: all that are counted.
        sharpes: the known ratios; those of series that never move are NaN and not known.
        sessions: length of the judged track.
    """
    known = [s for s in sharpes if math.isfinite(s)]
    unskilled = 1.0 / math.sqrt(sessions - 1)
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else unskilled
    unknown = trials - max(len(known), 1)
    return max(expected_best(trials, spread), expected_best(1 + unknown, unskilled))


def alike(returns: FloatArray) -> npt.NDArray[np.int64]:
    """Returns the group of each trial [M] by complete linkage over daily returns [T, M].

    Within a group every pair correlates `ALIKE` or more; all series must move.
    """
    if returns.shape[1] < 2:
        return np.ones(returns.shape[1], dtype=np.int64)
    correlation = np.clip(np.corrcoef(returns, rowvar=False), -1.0, 1.0)
    distance = np.sqrt((1.0 - correlation) / 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="complete")
    groups = fcluster(tree, math.sqrt((1.0 - ALIKE) / 2.0), criterion="distance")
    return np.asarray(groups, dtype=np.int64)


def group_sharpes(returns: FloatArray, groups: npt.NDArray[np.int64]) -> list[float]:
    """Returns the Sharpe ratio of each group, its trials weighed by their inverse variance."""
    weights = 1.0 / returns.var(axis=0)
    merged = [
        returns[:, groups == group] @ (weights[groups == group] / weights[groups == group].sum())
        for group in np.unique(groups)
    ]
    return [session_sharpe(series) if moves(series) else math.nan for series in merged]
