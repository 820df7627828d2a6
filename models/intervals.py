"""Normalised split-conformal intervals around a forecast.

The residuals of held-out rows, divided by the volatility known at each row, give one offset per
quantile level; a new row's quantile is its mean plus offset times its own volatility. The offsets
are signed: a skewed residual gives a skewed interval. (Lei et al. 2018, section 5.2, with each
side treated by itself.)

Finite samples: with n residuals the level p takes the order statistic of rank ceil((n + 1) p)
above the median and floor((n + 1) p) below it, both rounded outwards. So for exchangeable rows
the interval between levels a and 1 - a covers at least 1 - 2a, not only in the limit. The median
is the mean of both ranks. Rows of one date move together and are not exchangeable: what holds on
average over dates need not hold on one date.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Floats = NDArray[np.float64]

# One basis point a bar. A suspended or pegged symbol has no volatility, and would divide by 0.
VOLATILITY_FLOOR = 1e-4


def conformal_offsets(residuals: Floats, volatility: Floats, levels: Sequence[float]) -> Floats:
    """Returns one offset [Q] per level, in units of volatility.

    Args:
        residuals: target minus forecast [n] on rows that the fit has not seen.
        volatility: of the same rows [n], known when each forecast was made.
        levels: quantile levels between 0 and 1, ascending.
    """
    scores = np.sort(residuals / _floored(volatility))
    n = len(scores)
    if not np.isfinite(scores).all():
        raise ModelError(
            f"{np.count_nonzero(~np.isfinite(scores))} of {n} residuals are NaN or infinite; "
            "calibrate on matured rows only."
        )
    offsets = []
    for level in levels:
        rank = round((n + 1) * level, 9)  # a last bit too many must not lift the rank by one
        low = math.ceil(rank) if level > 0.5 else math.floor(rank)
        high = math.floor(rank) if level < 0.5 else math.ceil(rank)
        if low < 1 or high > n:
            raise ModelError(
                f"{n} residuals are too few for the level {level}; "
                f"calibrate on {math.ceil(1 / min(level, 1 - level) - 1)} rows or more."
            )
        offsets.append((scores[low - 1] + scores[high - 1]) / 2)
    return np.array(offsets)


def apply(mean: Floats, volatility: Floats, offsets: Floats) -> Floats:
    """Returns the quantiles [n, Q] of forecasts `mean` [n] at rows of that volatility [n]."""
    return mean[:, None] + _floored(volatility)[:, None] * offsets[None, :]


def _floored(volatility: Floats) -> Floats:
    if not np.isfinite(volatility).all():
        raise ModelError(
            f"{np.count_nonzero(~np.isfinite(volatility))} of {len(volatility)} rows have no "
            "finite volatility; leave out the rows before its first full span."
        )
    return np.maximum(volatility, VOLATILITY_FLOOR)
