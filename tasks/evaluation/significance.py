"""How sure a number is: bootstrap intervals and the Diebold-Mariano test, both over dates."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from arch.bootstrap import StationaryBootstrap
from scipy.stats import t as student_t

from tasks.evaluation.metrics import FloatArray


@dataclass(frozen=True)
class Interval:
    """A value with its two-sided percentile interval; all NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class DieboldMariano:
    """The test of equal accuracy, all NaN where there is nothing to test.

    A negative statistic says that the model errs less than zero.
    """

    statistic: float
    p_better: float
    p_worse: float


def dependence_length(dates: int, horizon: int) -> int:
    """Returns over how many sessions dates are taken to depend on each other.

    Labels of neighbouring dates overlap on horizon - 1 sessions. Twice the horizon is used, as
    both the Bartlett kernel and the stationary bootstrap weigh down the longer lags and would
    otherwise find a third too little variance; for short horizons the cube root of the dates.
    """
    return min(max(2 * horizon, math.ceil(dates ** (1 / 3))), dates - 1)


def resample_dates(dates: int, horizon: int, samples: int, seed: int) -> FloatArray:
    """Returns how often each date is counted: row 0 once each, then one row a resample.

    The resamples [samples + 1, dates] come from the stationary bootstrap of Politis and Romano
    (1994), with blocks of `dependence_length` sessions on average.
    """
    order = resample_order(dates, horizon, samples, seed)
    return np.stack([np.bincount(row, minlength=dates) for row in order]).astype(np.float64)


def resample_order(dates: int, horizon: int, samples: int, seed: int) -> npt.NDArray[np.int64]:
    """Returns which dates follow each other: row 0 as they did, then one row a resample.

    These are the resamples [samples + 1, dates] that `resample_dates` counts.
    """
    block = max(dependence_length(dates, horizon), 1)
    bootstrap = StationaryBootstrap(block, np.arange(dates), seed=seed)
    order = np.empty((samples + 1, dates), dtype=np.int64)
    order[0] = np.arange(dates)
    for row, (data, _) in enumerate(bootstrap.bootstrap(samples), start=1):
        order[row] = data[0]
    return order


def interval(draws: FloatArray, confidence: float) -> Interval:
    """Returns the interval of a statistic from its draws; row 0 is the sample itself."""
    value, resamples = draws[0], draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(value) or resamples.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resamples, [tail, 1.0 - tail])
    return Interval(float(value), float(low), float(high))


def standard_error(draws: FloatArray) -> float:
    """Returns the spread of a statistic over the resamples; NaN where it is undefined."""
    resamples = draws[1:][np.isfinite(draws[1:])]
    return float(resamples.std(ddof=1)) if resamples.size > 1 else math.nan


def diebold_mariano(differential: FloatArray, horizon: int, lags: int) -> DieboldMariano:
    """Tests whether a model's loss differs from that of the zero forecast.

    Args:
        differential: the model's loss minus that of zero, one mean a date.
        horizon: bars ahead, for the small-sample factor of Harvey, Leybourne and Newbold (1997).
        lags: autocovariances in the Newey-West (Bartlett) variance; at least horizon - 1.
    """
    count = differential.size
    centred = differential - differential.mean()
    variance = float(centred @ centred)
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    factor = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    # Equal losses on every date leave nothing to test.
    if np.ptp(differential) == 0.0 or variance <= 0.0 or factor <= 0.0:
        return DieboldMariano(math.nan, math.nan, math.nan)
    # sqrt(variance) / count is the standard error of the mean: variance sums, it does not average.
    statistic = math.sqrt(factor) * float(differential.mean()) * count / math.sqrt(variance)
    p_better = float(student_t.cdf(statistic, df=count - 1))
    p_worse = float(student_t.sf(statistic, df=count - 1))
    return DieboldMariano(statistic, p_better, p_worse)
