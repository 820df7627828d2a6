"""What a label counts in the loss: less with age, and less where it shares its days with others."""

import numpy as np
from numpy.typing import NDArray

from models.errors import UsageError


def time_decay(dates: NDArray[np.int64], half_life: float) -> NDArray[np.float64]:
    """Returns weights [n] that halve with every `half_life` sessions before the latest; mean 1.

    Args:
        dates: session numbers [n].
        half_life: sessions, above 0.

    Raises:
        UsageError: a half-life of 0 or less.
    """
    if not half_life > 0:
        raise UsageError(
            f"a half-life of {half_life} sessions makes no weights; use a number above 0."
        )
    if not len(dates):
        return np.empty(0)
    age = (dates.max() - dates).astype(np.float64)
    return _mean_1(np.exp2(-age / half_life))


def uniqueness(
    first: NDArray[np.int64], last: NDArray[np.int64], symbols: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns the average uniqueness of every label [n], divided by its mean over all labels.

    In each session a label is unique by 1 / (number of labels of its symbol whose interval covers
    the session); the average runs over the sessions of the label's interval. Labels of h-day
    returns taken every day overlap h-fold, and count less for it than a lone label.
    Source: López de Prado (2018), Advances in Financial Machine Learning, sections 4.3 and 4.4.

    Args:
        first: session number [n] in which the label's return begins to be earned.
        last: session number [n] in which it ends, included.
        symbols: codes [n]; labels of different symbols never overlap.

    Raises:
        UsageError: a label that ends before it begins.
    """
    if not len(first):
        return np.empty(0)
    turned = np.flatnonzero(last < first)
    if len(turned):
        at = turned[0]
        raise UsageError(
            f"{len(turned)} of {len(first)} labels end before they begin, the first from session "
            f"{first[at]} to {last[at]}; pass the sessions in their order."
        )
    known, codes = np.unique(symbols, return_inverse=True)
    start, end = first - first.min(), last - first.min() + 1
    wide = int(end.max()) + 1
    shape = (len(known), wide)
    # +1 where a label begins, −1 after it ends: the running sum counts the labels of each session.
    began = np.bincount(codes * wide + start, minlength=len(known) * wide)
    ended = np.bincount(codes * wide + end, minlength=len(known) * wide)
    covering = np.cumsum((began - ended).reshape(shape), axis=1)
    shares = np.divide(1.0, covering, out=np.zeros(shape), where=covering > 0)
    before = np.cumsum(shares, axis=1)
    total = before[codes, end - 1] - before[codes, start] + shares[codes, start]
    return _mean_1(total / (end - start))


def _mean_1(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights / weights.mean()
