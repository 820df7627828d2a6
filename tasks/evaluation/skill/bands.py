"""Width and calibration of the intervals."""

import numpy as np

from tasks.evaluation.aligned import Scored
from tasks.evaluation.metrics import FloatArray, covered, date_mean, mean_over_dates
from tasks.evaluation.scores import DateScores
from tasks.evaluation.skill.entry import Score


def width_90(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray | None:
    """Returns the mean width of the 90 % interval on the rows that were scored."""
    bands = scores.model.quantiles
    if bands is None:
        return None
    width = np.where(np.isfinite(scored.target), bands[-1] - bands[0], np.nan)
    return mean_over_dates(date_mean(width), weights)


def coverage_50(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray | None:
    """Returns the share of outcomes between the 25 % and the 75 % quantile."""
    bands = scores.model.quantiles
    if bands is None:
        return None
    return mean_over_dates(date_mean(covered(scored.target, bands[1], bands[-2])), weights)


def below_levels(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray | None:
    """Returns the share of outcomes at or below each quantile [Q, N]; calibrated is its level."""
    bands = scores.model.quantiles
    if bands is None:
        return None
    known = np.isfinite(scored.target) & np.isfinite(bands)
    below = np.where(known, (scored.target <= bands).astype(float), np.nan)
    return np.stack([mean_over_dates(date_mean(level), weights) for level in below])


WIDTH_90 = Score("Width", "of the 90 % band", "target", 0, False, width_90)
COVERAGE_50 = Score("Inside", "50 % band", "percent", 1, False, coverage_50)
