"""Scores of forecasts, per date across symbols and over dates.

Matrices are [D, S] (dates, symbols) with NaN where there is no row. Statistics over dates take
`weights` [N, D], each row one way of counting the dates: all once, a bootstrap resample, or the
dates of one fold. They return [N], NaN where undefined.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]
IcKind = Literal["ic", "ts_ic"]

# Two points always correlate perfectly, so fewer than three say nothing.
MIN_PAIRS = 3
# Share of the variance over all dates below which a resample counts as constant; rounding
# leaves about 1e-16 of it on a series that does not move.
CONSTANT = 1e-10


def divide(above: npt.ArrayLike, below: npt.ArrayLike) -> FloatArray:
    """Returns above / below, NaN where `below` is not positive."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)


def date_mean(values: FloatArray) -> FloatArray:
    """Returns the mean of each date's finite cells [D]."""
    seen = np.isfinite(values)
    return divide(np.where(seen, values, 0.0).sum(axis=1), seen.sum(axis=1))


def ic_per_date(x: FloatArray, y: FloatArray) -> FloatArray:
    """Returns Pearson's correlation across symbols on each date [D].

    NaN where fewer than three names have both values or one side is constant.
    """
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = _centred(x, seen), _centred(y, seen)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.where(seen.sum(axis=1) >= MIN_PAIRS, divide((x * y).sum(axis=1), scale), np.nan)


def _centred(values: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Returns rows minus their mean, in units of their range; zeros where a row is constant."""
    highest = np.where(seen, values, -np.inf).max(axis=1, keepdims=True)
    lowest = np.where(seen, values, np.inf).min(axis=1, keepdims=True)
    moves = seen & (highest > lowest)
    count = np.maximum(moves.sum(axis=1, keepdims=True), 1)
    # The range keeps squares of tiny forecasts from underflowing.
    scaled = np.zeros(values.shape)
    np.divide(values - np.where(moves, lowest, 0.0), highest - lowest, out=scaled, where=moves)
    return np.where(moves, scaled - scaled.sum(axis=1, keepdims=True) / count, 0.0)


def ranks(values: FloatArray, axis: int) -> FloatArray:
    """Returns average ranks along `axis` [D, S], NaN staying NaN."""
    return np.asarray(rankdata(values, axis=axis, nan_policy="omit"), dtype=np.float64)


def mean_over_dates(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the weighted mean of a per-date series [D] over its finite dates."""
    seen = np.isfinite(values)
    return divide(weights @ np.where(seen, values, 0.0), weights @ seen)


def ratio_over_dates(above: FloatArray, below: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the ratio of two weighted means over dates, not the mean of the ratios."""
    return divide(mean_over_dates(above, weights), mean_over_dates(below, weights))


def ts_ic_over_dates(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the time-series correlation of each symbol, averaged over symbols by their dates.

    A symbol weighs as many dates as it has, so that one listed lately hardly counts. One that is
    constant, or has fewer than three dates, is left out.
    """
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = _standardised(x, seen), _standardised(y, seen)
    count = weights @ seen
    mean_x, mean_y = divide(weights @ x, count), divide(weights @ y, count)
    variance_x = divide(weights @ (x * x), count) - mean_x**2
    variance_y = divide(weights @ (y * y), count) - mean_y**2
    covariance = divide(weights @ (x * y), count) - mean_x * mean_y
    moves = (variance_x > CONSTANT) & (variance_y > CONSTANT) & (count >= MIN_PAIRS)
    scale = np.sqrt(np.where(moves, variance_x * variance_y, 0.0))
    correlation = np.where(moves, divide(covariance, scale), 0.0)
    known = np.where(moves, count, 0.0)
    return divide((known * correlation).sum(axis=1), known.sum(axis=1))


def _standardised(values: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Returns columns with mean 0 and standard deviation 1 over seen cells, zeros elsewhere."""
    centred = _centred(values.T, seen.T).T
    deviation = np.sqrt(divide((centred**2).sum(axis=0), seen.sum(axis=0)))
    return np.where(centred == 0.0, 0.0, divide(centred, deviation))


def directional_hits(mean: FloatArray, target: FloatArray) -> FloatArray:
    """Returns 1 where the forecast has the target's sign, else 0; NaN where either is zero."""
    hits = np.sign(mean) == np.sign(target)
    defined = np.isfinite(mean) & np.isfinite(target) & (mean != 0.0) & (target != 0.0)
    return np.where(defined, hits.astype(float), np.nan)


def covered(target: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Returns 1 where low <= target <= high, else 0; NaN where one is missing."""
    inside = ((low <= target) & (target <= high)).astype(float)
    return np.where(np.isfinite(target) & np.isfinite(low) & np.isfinite(high), inside, np.nan)


def pinball(target: FloatArray, quantile: FloatArray, level: float) -> FloatArray:
    """Returns the pinball loss of a quantile forecast, in the target's unit."""
    error = target - quantile
    return np.maximum(level * error, (level - 1.0) * error)
