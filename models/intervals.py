"""Split-conformal intervals around a forecast, normalised, and rolled on as truths come in.

A forecast has a centre for each quantile level: its mean, the same for all levels, or, from a head
of quantiles, its own quantile there. The residuals of rows that the fit has not seen, target minus
centre, divided by the volatility known at each row, give one offset per level; a new row's quantile
is its centre plus offset times its own volatility. The offsets are signed and each side is treated
by itself: a skewed residual gives a skewed interval. Around a mean this is the normalised split
conformal of Lei et al. (2018, section 5.2); around quantiles it is the conformalized quantile
regression of Romano, Patterson and Candès (2019) with its two tails apart (their theorem 2). What
crosses after the correction is sorted (Chernozhukov, Fernández-Val and Galichon 2010).

Finite samples: with n residuals the level p takes the order statistic of rank ceil((n + 1) p)
above the median and floor((n + 1) p) below it, both rounded outwards. So for exchangeable rows
the interval between levels a and 1 - a covers at least 1 - 2a, not only in the limit. The median
is the mean of both ranks. Rows of one date move together and are not exchangeable: what holds on
average over dates need not hold on one date.

Over a long span the errors drift, and offsets of its beginning come to cover too little or too
much. `rolling_offsets` therefore takes, for each date, the residuals of the newest sessions whose
truth is known by then: nonexchangeable conformal prediction with weights 1 inside the window and 0
before it (Barber, Candès, Ramdas and Tibshirani 2023).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]

# One basis point a bar. A suspended or pegged symbol has no volatility, and would divide by 0.
VOLATILITY_FLOOR = 1e-4


def conformal_offsets(residuals: Floats, volatility: Floats, levels: Sequence[float]) -> Floats:
    """Returns one offset [Q] per level, in units of volatility.

    Args:
        residuals: target minus forecast on rows that the fit has not seen: [n] around a mean,
            [n, Q] around quantiles of the same levels.
        volatility: of the same rows [n], known when each forecast was made.
        levels: quantile levels between 0 and 1, ascending.

    Raises:
        ModelError: A residual or a volatility is not finite, or there are too few of them.
    """
    return _offsets(_scores(residuals, volatility), levels)


def rolling_offsets(
    residuals: Floats,
    volatility: Floats,
    made: Dates,
    known: Dates,
    asked: Dates,
    levels: Sequence[float],
    sessions: int,
) -> Floats:
    """Returns the offsets [m, Q] for forecasts made after the close of each date asked for [m].

    A date's offsets come from the rows whose truth is known by its close, and of these from the
    newest `sessions` dates on which any forecast was made; from all, where there are fewer. What
    becomes known later changes nothing.

    Args:
        residuals: as in `conformal_offsets`; a row whose truth is not there may hold NaN.
        volatility: as there [n].
        made: when each forecast was made [n].
        known: by whose close its truth is known [n]; NaT where it never is.
        asked: ascending [m].
        levels: as there.
        sessions: dates in the window.

    Raises:
        ModelError: As there; residuals are too few where even the first date asked for has not
            enough of them.
    """
    # A date that is not there compares false: its row never enters.
    seen = known <= asked.max() if len(asked) else np.zeros(len(known), dtype=bool)
    scores, known = _scores(residuals[seen], volatility[seen]), known[seen]
    days, day = np.unique(made[seen], return_inverse=True)
    offsets = []
    for now in asked:
        ripe = known <= now
        newest = np.flatnonzero(np.bincount(day[ripe], minlength=len(days)))[-sessions:]
        first = newest[0] if len(newest) else 0
        offsets.append(_offsets(scores[ripe & (day >= first)], levels))
    return np.array(offsets).reshape(len(asked), len(levels))


def apply(
    centre: Floats,
    volatility: Floats,
    offsets: Floats,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Floats:
    """Returns the quantiles [n, Q] of forecasts at rows of that volatility [n], never crossing.

    Args:
        centre: mean of each row [n], or its own quantiles [n, Q].
        volatility: known at each row [n].
        offsets: one per level [Q], or one per row and level [n, Q].
        limits: what no target lies beyond; quantiles are clipped to it.
    """
    moved = _by_level(centre) + floored(volatility)[:, None] * offsets
    return np.clip(np.sort(moved, axis=1), *limits)


def floored(volatility: Floats) -> Floats:
    """Returns the volatility, at least VOLATILITY_FLOOR; a ModelError where some is missing."""
    if not np.isfinite(volatility).all():
        raise ModelError(
            f"{np.count_nonzero(~np.isfinite(volatility))} of {len(volatility)} rows have no "
            "finite volatility; leave out the rows before its first full span."
        )
    return np.maximum(volatility, VOLATILITY_FLOOR)


def _by_level(values: Floats) -> Floats:
    return values[:, None] if values.ndim == 1 else values


def _scores(residuals: Floats, volatility: Floats) -> Floats:
    """Returns residuals in units of volatility, [n, 1] or [n, Q]."""
    scores = _by_level(residuals) / floored(volatility)[:, None]
    wild = np.count_nonzero(~np.isfinite(scores).all(axis=1))
    if wild:
        raise ModelError(
            f"{wild} of {len(scores)} residuals are NaN or infinite; "
            "calibrate on matured rows only."
        )
    return scores


def _offsets(scores: Floats, levels: Sequence[float]) -> Floats:
    n, ranks = len(scores), []
    for level in levels:
        rank = round((n + 1) * level, 9)  # a last bit too many must not lift the rank by one
        low = math.ceil(rank) if level > 0.5 else math.floor(rank)
        high = math.floor(rank) if level < 0.5 else math.ceil(rank)
        if low < 1 or high > n:
            raise ModelError(
                f"{n} residuals are too few for the level {level}; "
                f"calibrate on {math.ceil(1 / min(level, 1 - level) - 1)} rows or more."
            )
        ranks.append((low - 1, high - 1))
    ordered = np.partition(scores, sorted({place for pair in ranks for place in pair}), axis=0)
    columns = range(len(levels)) if scores.shape[1] > 1 else [0] * len(levels)
    return np.array(
        [
            (ordered[low, column] + ordered[high, column]) / 2
            for (low, high), column in zip(ranks, columns, strict=True)
        ]
    )
