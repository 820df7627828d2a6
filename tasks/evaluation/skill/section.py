"""The section "skill" of the summary: what there is to say of forecasts beside IC and errors."""

from collections.abc import Mapping

import polars as pl

from tasks.evaluation.aligned import Scored
from tasks.evaluation.column import columns
from tasks.evaluation.metrics import FloatArray, mean_over_dates
from tasks.evaluation.scores import DateScores
from tasks.evaluation.sectors import Sectors
from tasks.evaluation.significance import interval
from tasks.evaluation.skill import SCORES
from tasks.evaluation.skill.bands import below_levels
from tasks.evaluation.skill.decay import decay_rows
from tasks.evaluation.skill.slices import sector_slices, slice_rows
from tasks.evaluation.skill.spreads import fifth_means
from tasks.evaluation.spec import EvaluationSpec
from tasks.lake.tables import QUANTILES


def skill_section(
    scores: Mapping[str, DateScores],
    scored: Scored,
    panel: pl.DataFrame,
    weights: FloatArray,
    network: str,
    horizon: int,
    spec: EvaluationSpec,
    sectors: Sectors | None,
) -> dict[str, object]:
    """Returns the registered scores of every model, and of the network what has more numbers.

    Args:
        scores: of all models by name.
        scored: what they are scored on.
        panel: adjusted bars of the universe.
        weights: ways of counting the dates [N, D], the first all once.
        network: the model to judge.
        horizon: of the target, in sessions.
        spec: confidence and resamples.
        sectors: of what is scored; None where nothing names any.
    """
    own = scores[network]
    below = below_levels(own, scored, weights)
    fifths = fifth_means(own.model.score, scored.target)
    return {
        "columns": columns(SCORES),
        "models": {
            name: {
                column: None if draws is None else interval(draws, spec.confidence)
                for column, score in SCORES.items()
                for draws in [score.function(mine, scored, weights)]
            }
            for name, mine in scores.items()
        },
        "fifths": [
            {"fifth": n, "target": interval(mean_over_dates(row, weights), spec.confidence)}
            for n, row in enumerate(fifths, start=1)
        ],
        "calibration": []
        if below is None
        else [
            {"level": level, "below": interval(draws, spec.confidence)}
            for level, draws in zip(QUANTILES, below, strict=True)
        ],
        "decay": decay_rows(own.model.score, scored, panel, horizon, spec),
        "slices": slice_rows(own, scored, panel, weights, horizon, spec.confidence),
        "sectors": sector_slices(own, scored, sectors, weights, horizon, spec.confidence),
    }
