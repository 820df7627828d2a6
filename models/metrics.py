"""What may choose the epoch: scores of forecasts on the stop span, the lower the better."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError
from models.heads import point

Floats = NDArray[np.float64]

METRICS = ("loss", "mse", "ic", "rank_ic")

# Below this many names on the median date, the correlation runs along each symbol instead.
FEWEST_NAMES = 20


def score(
    metric: str,
    head: str,
    raw: Floats,
    labels: Floats,
    dates: Tensor | None,
    symbols: Tensor | None,
) -> float:
    """Returns a metric of raw forecasts; correlations are negated.

    Of several horizons, mse is over all of them, as the losses are; a correlation is that of the
    first, the main one, which is what a model is judged by.

    Args:
        metric: mse, ic or rank_ic.
        head: the kind of head that made the forecasts.
        raw: [n, H], or [n, H, Q].
        labels: [n, H], NaN where there is none.
        dates: session numbers [n]; a correlation is taken per date and averaged, where the median
            date has at least 20 names, else per symbol, averaged by their rows (`ts_ic`).
        symbols: codes [n].
    """
    points = np.asarray(point(head, raw))
    if metric == "mse":
        return float(np.nanmean((points - labels) ** 2))
    if dates is None or symbols is None:
        raise ModelError(
            f"metric={metric!r} is taken per date, and the panel has no dates and symbols; "
            "pass both, or choose metric='mse'."
        )
    groups, by_rows = dates.numpy(), False
    if np.median(np.unique(groups, return_counts=True)[1]) < FEWEST_NAMES:
        groups, by_rows = symbols.numpy(), True
    known = np.isfinite(labels[:, 0])
    left, right, groups = points[known, 0], labels[known, 0], groups[known]
    if metric == "rank_ic":
        left, right = group_ranks(left, groups), group_ranks(right, groups)
    return -group_correlation(left, right, groups, by_rows)


def group_correlation(left: Floats, right: Floats, groups: NDArray, by_rows: bool) -> float:
    """Returns the mean over groups of the correlation; a group without spread counts as 0.

    Groups weigh alike, or `by_rows`.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)

    def centred(values: Floats) -> Floats:
        return values - (np.bincount(codes, values) / counts)[codes]

    sides = [(centred(side), np.bincount(codes, side**2)) for side in (left, right)]
    spreads = [np.bincount(codes, side**2) for side, _ in sides]
    # A constant side leaves rounding errors that must not be taken for a spread.
    told = [s > 1e-20 * whole for s, (_, whole) in zip(spreads, sides, strict=True)]
    usable = told[0] & told[1]
    shared = np.bincount(codes, sides[0][0] * sides[1][0])
    size = np.sqrt(np.where(usable, spreads[0] * spreads[1], 1.0))
    weights = counts if by_rows else None
    return float(np.average(np.where(usable, shared / size, 0.0), weights=weights))


def group_ranks(values: Floats, groups: NDArray) -> Floats:
    """Returns the rank of each value within its group, ties by their mean rank."""
    order = np.lexsort((values, groups))
    ordered, codes = values[order], groups[order]
    fresh = np.r_[True, (ordered[1:] != ordered[:-1]) | (codes[1:] != codes[:-1])]
    tie = np.cumsum(fresh) - 1
    places = np.arange(len(values), dtype=np.float64)
    means = np.bincount(tie, places) / np.bincount(tie)
    ranks = np.empty(len(values))
    ranks[order] = means[tie]
    return ranks
