"""Two models on the same symbols and dates, compared date by date.

1. Only rows count that both have forecast and whose truth is known. Both are scored against the
   candidate's truths: where the lake has learned of a restatement, its are the newer ones.
2. The gain is the share by which the candidate's mean squared error is lower, or by how much its
   IC is higher. Above 0 the candidate is better.
3. Dates are resampled in blocks (`resample_dates`), the same for both. The deviation of the gain
   over the resamples is its standard error, and Student's t takes the uncertainty of that into
   account (`resampled_freedom`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl
from scipy.stats import t as student_t

from tasks.evaluation.aligned import Scored, score_grid
from tasks.evaluation.metrics import FloatArray, ratio_over_dates
from tasks.evaluation.scores import DateScores, block_share, ic_over_dates, score_dates
from tasks.evaluation.significance import (
    resample_dates,
    resampled_freedom,
    standard_error,
)
from tasks.evaluation.spec import EvaluationSpec
from tasks.lake.tables import QUANTILE_COLUMNS

Measure = Literal["loss", "ic", "ts_ic"]
_CANDIDATE, _CHAMPION = "candidate", "champion"


@dataclass(frozen=True)
class Paired:
    """How much better the candidate is; `gain` is NaN where there is nothing to compare.

    Attributes:
        measure: what is compared; `ts_ic` stands for the IC where dates have few names.
        gain: above 0 where the candidate is better.
        error: standard error of the gain.
        freedom: degrees of freedom of Student's t.
    """

    measure: Measure
    gain: float
    error: float
    freedom: float

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Returns the lower and the upper bound of the gain, each one-sided."""
        reach = float(student_t.ppf(confidence, self.freedom)) * self.error
        return self.gain - reach, self.gain + reach

    def p_above(self, hurdle: float) -> float:
        """Returns the p-value of a gain above `hurdle`; 1 where two models never differ."""
        if not self.error > 0.0:
            return 0.0 if self.gain > hurdle else 1.0
        return float(student_t.sf((self.gain - hurdle) / self.error, self.freedom))

    def p_below(self, hurdle: float) -> float:
        """Returns the p-value of a gain below `hurdle`."""
        return Paired(self.measure, -self.gain, self.error, self.freedom).p_above(-hurdle)


def common_rows(
    candidate: pl.DataFrame, champion: pl.DataFrame, alike: Sequence[str] = ()
) -> pl.DataFrame:
    """Returns symbol, date, target, and score and mean of both, on the rows that both know.

    Args:
        candidate: symbol, date, score, mean, target.
        champion: the same; its column target tells only whether a truth is known.
        alike: further columns in which a row of both must be equal.
    """
    keys = ["symbol", "date", *alike]
    theirs = champion.filter(pl.col("target").is_finite()).select(
        *keys, champion_score="score", champion_mean="mean"
    )
    own = candidate.filter(pl.col("target").is_finite()).select(*keys, "target", "score", "mean")
    return own.join(theirs, on=keys).drop(alike).sort("symbol", "date")


def compare(
    rows: pl.DataFrame, measure: Literal["loss", "ic"], horizon: int, spec: EvaluationSpec
) -> Paired:
    """Returns how much better the candidate is on common rows.

    Args:
        rows: as of `common_rows`; both means are there where `measure` is the loss.
        measure: what is compared.
        horizon: bars ahead, by which labels overlap.
        spec: resamples, their seed, and the names that an IC across symbols needs.

    Raises:
        DataError: too few dates for the horizon.
    """
    scored = score_grid(_as_predictions(rows), horizon, spec.min_names_for_ic)
    models = {model.name: score_dates(model, scored) for model in scored.models}
    dates = scored.dates.len()
    weights = resample_dates(dates, horizon, spec.bootstrap_samples, spec.seed)
    draws = _gains(models[_CANDIDATE], models[_CHAMPION], scored, weights, measure)
    kind: Measure = "loss" if measure == "loss" else scored.ic_kind
    error = standard_error(draws)
    # Neither without the other: some resamples of constant forecasts have no IC.
    gain = float(draws[0]) if math.isfinite(error) else math.nan
    return Paired(kind, gain, error, resampled_freedom(block_share(scored, weights, horizon)))


def _gains(
    candidate: DateScores,
    champion: DateScores,
    scored: Scored,
    weights: FloatArray,
    measure: Literal["loss", "ic"],
) -> FloatArray:
    if measure == "ic":
        own, theirs = (ic_over_dates(m, scored, weights) for m in (candidate, champion))
        return own - theirs
    return 1.0 - ratio_over_dates(candidate.squared_error, champion.squared_error, weights)


def _as_predictions(rows: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows in the shape of an evaluation's predictions, of two networks in one fold."""
    keys = ("symbol", "date", "target")
    bands = {quantile: pl.lit(None, pl.Float64) for quantile in QUANTILE_COLUMNS}
    alike = {"role": pl.lit("network"), "fold": pl.lit(0, pl.Int64), **bands}
    own = rows.select(*keys, "score", "mean", model=pl.lit(_CANDIDATE), **alike)
    theirs = rows.select(
        *keys, score="champion_score", mean="champion_mean", model=pl.lit(_CHAMPION), **alike
    )
    return pl.concat([own, theirs.select(own.columns)])
