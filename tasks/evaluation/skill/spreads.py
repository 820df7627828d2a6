"""What came true by fifths of the forecasts, date by date."""

import numpy as np

from tasks.evaluation.aligned import Scored
from tasks.evaluation.metrics import FloatArray, date_mean, divide, mean_over_dates
from tasks.evaluation.scores import DateScores
from tasks.evaluation.skill.entry import Score

FIFTHS = 5


def fifth_means(score: FloatArray, target: FloatArray) -> FloatArray:
    """Returns the mean target of each date's fifths by score, the lowest first [FIFTHS, D].

    Names are ordered by score, ties by their place; n names fall into fifths of floor or ceil
    n / 5. NaN on a date with fewer names than fifths, or whose scores are all alike.
    """
    seen = np.isfinite(score) & np.isfinite(target)
    order = np.argsort(np.where(seen, score, np.inf), axis=1, kind="stable")
    ranked = np.take_along_axis(np.where(seen, target, np.nan), order, axis=1)
    count = seen.sum(axis=1)
    place = np.arange(score.shape[1])
    fifth = np.floor(divide(place * FIFTHS, np.maximum(count, 1)[:, None]))
    means = np.stack([date_mean(np.where(fifth == k, ranked, np.nan)) for k in range(FIFTHS)])
    highest = np.where(seen, score, -np.inf).max(axis=1)
    moves = highest > np.where(seen, score, np.inf).min(axis=1)
    return np.where((count >= FIFTHS) & moves, means, np.nan)


def spread(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray:
    """Returns the mean target of the top fifth minus that of the bottom fifth, over the dates."""
    means = fifth_means(scores.model.score, scored.target)
    return mean_over_dates(means[-1] - means[0], weights)


SPREAD = Score("Fifth spread", "top − bottom", "target", 0, True, spread)
