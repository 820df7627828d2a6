"""The scores of one model: a number a date, and the row of the report made of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.evaluation.aligned import ModelForecasts, Scored
from tasks.evaluation.metrics import (
    FloatArray,
    covered,
    date_mean,
    directional_hits,
    ic_per_date,
    mean_over_dates,
    pinball,
    ranks,
    ratio_over_dates,
    ts_ic_over_dates,
)
from tasks.evaluation.significance import Interval, dependence_length, interval, t_interval
from tasks.lake.tables import QUANTILES

# No honest daily forecast is known to do better; more is a leak until shown otherwise.
SUSPECT_IC = 0.10


@dataclass(frozen=True)
class DateScores:
    """One model's means over the symbols of each date [D].

    `ic` and `rank_ic` are NaN on dates with too few names, and on all of them under ts_ic. The
    coverage is that of the 90 % interval, the pinball loss the mean of five quantiles; both
    are None for a model without quantiles. The errors of a model without a mean are NaN, and so
    are the hits of one whose score has no sign.
    """

    model: ModelForecasts
    ic: FloatArray
    rank_ic: FloatArray
    squared_error: FloatArray
    squared_error_zero: FloatArray
    absolute_error: FloatArray
    absolute_error_zero: FloatArray
    hits: FloatArray
    covered: FloatArray | None
    pinball: FloatArray | None


def score_dates(model: ModelForecasts, scored: Scored) -> DateScores:
    """Returns the scores of one model on each date."""
    score, target, quantiles = model.score, scored.target, model.quantiles
    nothing = np.full(target.shape, np.nan)
    mean = nothing if model.mean is None else model.mean
    blind = (np.isfinite(target).sum(axis=1) < scored.min_names) | (scored.ic_kind == "ts_ic")
    rank_ic = ic_per_date(ranks(score, axis=1), ranks(target, axis=1))
    losses = None
    if quantiles is not None:
        levels = zip(quantiles, QUANTILES, strict=True)
        losses = np.stack([pinball(target, quantile, level) for quantile, level in levels])
    return DateScores(
        model=model,
        ic=np.where(blind, np.nan, ic_per_date(score, target)),
        rank_ic=np.where(blind, np.nan, rank_ic),
        squared_error=date_mean((target - mean) ** 2),
        squared_error_zero=date_mean(target**2),
        absolute_error=date_mean(np.abs(target - mean)),
        absolute_error_zero=date_mean(np.abs(target)),
        hits=date_mean(directional_hits(score if model.signed else nothing, target)),
        covered=None if quantiles is None else date_mean(covered(target, *quantiles[[0, -1]])),
        pinball=None if losses is None else date_mean(losses.mean(axis=0)),
    )


def ic_over_dates(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray:
    """Returns the IC, or the ts_ic, under each weighting of the dates [N]."""
    if scored.ic_kind == "ic":
        return mean_over_dates(scores.ic, weights)
    return ts_ic_over_dates(scores.model.score, scored.target, weights)


def rank_ic_over_dates(scores: DateScores, scored: Scored, weights: FloatArray) -> FloatArray:
    """Returns the rank IC, or its time-series version, under each weighting of the dates [N]."""
    if scored.ic_kind == "ic":
        return mean_over_dates(scores.rank_ic, weights)
    # Ranks are those within the whole span; a resample keeps them.
    score, target = ranks(scores.model.score, axis=0), ranks(scored.target, axis=0)
    return ts_ic_over_dates(score, target, weights)


def block_share(scored: Scored, weights: FloatArray, horizon: int) -> float:
    """Returns the mean block of the resamples as a share of the dates that the first row counts."""
    return dependence_length(scored.dates.len(), horizon) / float(weights[0].sum())


def ic_interval(
    scores: DateScores, scored: Scored, weights: FloatArray, horizon: int, confidence: float
) -> Interval:
    """Returns the IC, or the ts_ic, on the dates that the first row counts."""
    draws = ic_over_dates(scores, scored, weights)
    return t_interval(draws, block_share(scored, weights, horizon), confidence)


def rank_ic_interval(
    scores: DateScores, scored: Scored, weights: FloatArray, horizon: int, confidence: float
) -> Interval:
    """Returns the same of the ranks."""
    draws = rank_ic_over_dates(scores, scored, weights)
    return t_interval(draws, block_share(scored, weights, horizon), confidence)


def model_row(
    scores: DateScores, scored: Scored, weights: FloatArray, horizon: int, confidence: float
) -> dict[str, Any]:
    """Returns a model's row of the summary, intervals from the resampled dates."""
    ic = ic_interval(scores, scored, weights, horizon, confidence)
    mse = ratio_over_dates(scores.squared_error, scores.squared_error_zero, weights)
    mae = ratio_over_dates(scores.absolute_error, scores.absolute_error_zero, weights)
    coverage = pinball_loss = None
    if scores.covered is not None and scores.pinball is not None:
        coverage = interval(mean_over_dates(scores.covered, weights), confidence)
        pinball_loss = interval(mean_over_dates(scores.pinball, weights), confidence)
    return {
        "name": scores.model.name,
        "role": scores.model.role,
        "ic": ic,
        "rank_ic": rank_ic_interval(scores, scored, weights, horizon, confidence),
        "mse_ratio": interval(mse, confidence),
        "mae_ratio": interval(mae, confidence),
        "directional_accuracy": interval(mean_over_dates(scores.hits, weights), confidence),
        "coverage_90": coverage,
        "pinball": pinball_loss,
        "suspected_leak": ic.value > SUSPECT_IC,
    }
