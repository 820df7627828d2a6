"""The further horizons of a network: how well each orders, and whether its intervals hold.

Verdict, money and baselines are the main horizon's; these rows stand beside them. Each horizon is
scored on the same test dates, and its dates are resampled in blocks of its own length.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from tasks.evaluation.aligned import check_predictions, score_grid
from tasks.evaluation.metrics import IcKind
from tasks.evaluation.scores import model_row, score_dates
from tasks.evaluation.significance import resample_dates
from tasks.evaluation.spec import EvaluationSpec

_SHOWN = ("ic", "rank_ic", "coverage_90", "suspected_leak")


def horizon_rows(
    further: Mapping[int, pl.DataFrame],
    spec: EvaluationSpec,
    network: str,
    head: str,
    ic_kind: IcKind,
) -> list[dict[str, Any]]:
    """Returns horizon, name, ic, rank_ic, coverage_90 and suspected_leak of each horizon.

    Args:
        further: by horizon the network's predictions on the test spans, with that horizon's target.
        spec: confidence, resamples.
        network: the model's name in the predictions.
        head: kind of its head.
        ic_kind: that of the main horizon, so that the rows compare.

    Raises:
        DataError: too few dates have a target at a horizon.
    """
    rows = []
    for horizon, predictions in further.items():
        check_predictions(predictions, network)
        grid = score_grid(predictions, horizon, spec.min_names_for_ic, head)
        scored = replace(grid, ic_kind=ic_kind)
        weights = resample_dates(scored.dates.len(), horizon, spec.bootstrap_samples, spec.seed)
        scores = score_dates(scored.models[0], scored)
        row = model_row(scores, scored, weights, horizon, spec.confidence)
        rows.append(
            {
                "horizon": horizon,
                "name": f"{network} over {horizon} sessions",
                **{key: row[key] for key in _SHOWN},
            }
        )
    return rows
