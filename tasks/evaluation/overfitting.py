"""The probability that choosing the best of several trials was overfitting, by CSCV.

Bailey, Borwein, López de Prado and Zhu (2017), combinatorially symmetric cross-validation:

1. The sessions are cut into `BLOCKS` equal blocks; what is left over at the start is dropped.
2. Each choice of half the blocks is once the past, the other half the future.
3. The trial with the best Sharpe ratio in the past is looked up in the future: its rank there
   among the N trials, over N + 1, is 0.5 in the middle.
4. The probability of overfitting is the share of choices in which it is at most 0.5.
"""

from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tasks.evaluation.metrics import FloatArray, divide

BLOCKS = 16
# Shorter blocks would hold hardly more than one position.
SHORTEST_BLOCK = 10
# Among fewer trials the middle rank is as coarse as the answer.
FEWEST_TRIALS = 5
_AT_ONCE = 1024


def cannot_tell(trials: int, sessions: int) -> str | None:
    """Returns in words why the probability cannot be computed; None where it can."""
    if trials < FEWEST_TRIALS:
        counted = "1 trial has" if trials == 1 else f"{trials} trials have"
        return f"{counted} daily returns over this span, and it takes {FEWEST_TRIALS}"
    if sessions < BLOCKS * SHORTEST_BLOCK:
        return f"{sessions} sessions make no {BLOCKS} blocks of {SHORTEST_BLOCK}"
    return None


def overfitting_probability(returns: FloatArray, blocks: int = BLOCKS) -> float:
    """Returns the probability of backtest overfitting of trials' daily returns [T, N].

    All series must move; `blocks` is even.
    """
    length = returns.shape[0] // blocks
    cut = returns[returns.shape[0] - length * blocks :].reshape(blocks, length, -1)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    beaten = 0
    chosen = _halves(blocks)
    for start in range(0, len(chosen), _AT_ONCE):
        past = chosen[start : start + _AT_ONCE]
        best = _sharpes(past, sums, squares, length).argmax(axis=1)
        ranks = rankdata(_sharpes(1.0 - past, sums, squares, length), axis=1)
        beaten += int((ranks[np.arange(len(past)), best] <= (ranks.shape[1] + 1) / 2).sum())
    return beaten / len(chosen)


def _sharpes(halves: FloatArray, sums: FloatArray, squares: FloatArray, length: int) -> FloatArray:
    """Returns the Sharpe ratio of each trial on each half [C, N]; 0 where it does not move."""
    count = halves.sum(axis=1)[:, None] * length
    mean = halves @ sums / count
    variance = np.maximum(halves @ squares / count - mean**2, 0.0)
    return np.nan_to_num(divide(mean, np.sqrt(variance)))


@cache
def _halves(blocks: int) -> npt.NDArray[np.float64]:
    """Returns every choice of half the blocks, 1 where a block is chosen [C, blocks]."""
    picked = np.array(list(combinations(range(blocks), blocks // 2)))
    halves = np.zeros((len(picked), blocks))
    np.put_along_axis(halves, picked, 1.0, axis=1)
    return halves
