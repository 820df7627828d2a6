"""Prefect shell of evaluation."""

from pathlib import Path
from typing import Any

import polars as pl

from tasks.evaluation.evaluate import evaluate
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.predictions import assemble
from tasks.evaluation.spec import EvaluationSpec
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.factors import index_prices
from tasks.lake.membership import Membership
from tasks.lake.panel import panel_arrays
from tasks.lake.store import read_reference
from tasks.lake.target_spec import TargetSpec, further_name
from tasks.lake.task import cached_stage

# The portfolio whose daily returns stand for the trial.
_TRADED = "long_only"


@cached_stage("evaluation", run_name="evaluate {network}")
def evaluate_folds(
    root: Path,
    key: str,
    lake: str,
    features: Artifact,
    folds: list[Artifact],
    baselines: list[Artifact],
    benchmark: TableRef | None,
    names: tuple[str, ...],
    earlier_bars: int,
    lookback: int,
    target: TargetSpec,
    network: str,
    spec: EvaluationSpec,
    head: str,
    members: Membership,
) -> Artifact:
    """Writes predictions, daily scores, equity and learning curves, and the summary of all.

    Predictions of a further horizon are a table of their own, such as `predictions_5`, and so are
    the offsets of its intervals.
    """
    panel = panel_arrays(features.frame(root), names, lookback, earlier_bars)
    fits, nulls = _forecasts(root, folds), _forecasts(root, baselines)
    sessions = spec.calibration_sessions
    predictions = assemble(panel, target, network, fits, nulls, head, sessions)
    further = {}
    for horizon in target.also:
        own = _forecasts(root, folds, further_name("forecasts", horizon))
        further[horizon] = assemble(
            panel.at(horizon), target.at(horizon), network, own, [], head, sessions
        )
    index = None
    if benchmark is not None and benchmark.rows:
        index = index_prices(read_reference(lake, benchmark))
    prices = features.frame(root, "panel.parquet")
    frames = {horizon: made.frame for horizon, made in further.items()}
    result = evaluate(
        predictions.frame, prices, index, target, spec, network, head, frames, members.frame()
    )
    summary = {
        **result.summary,
        "offsets": predictions.offsets,
        "further_offsets": {str(horizon): made.offsets for horizon, made in further.items()},
        "trial": _trial(result.summary, result.equity, network),
    }
    tables = {
        "predictions": predictions.frame,
        **{further_name("predictions", horizon): frame for horizon, frame in frames.items()},
        "daily": result.daily,
        "equity": result.equity,
        "curves": _curves(root, folds),
    }
    parents = (features.sha256, *(a.sha256 for a in (*folds, *baselines)))
    return write_artifact(root, "evaluation", key, write_frames(tables, summary), parents)


def _forecasts(
    root: Path, artifacts: list[Artifact], name: str = "forecasts"
) -> list[tuple[int, pl.DataFrame]]:
    return [(a.read_json(root)["fold"], a.frame(root, f"{name}.parquet")) for a in artifacts]


def _trial(summary: dict[str, Any], equity: pl.DataFrame, network: str) -> dict[str, Any]:
    row = next(m for m in summary["models"] if m["name"] == network)
    traded = equity.filter(pl.col("portfolio") == _TRADED).sort("date")
    return {
        "score": row["ic"]["value"] if row["ic"] else None,
        "returns": simple_returns(traded["equity"].to_numpy()).tolist(),
    }


def _curves(root: Path, folds: list[Artifact]) -> pl.DataFrame:
    pieces = []
    for artifact in folds:
        facts = artifact.read_json(root)
        curve = artifact.frame(root, "curve.parquet")
        pieces.append(
            curve.select(
                pl.lit(facts["fold"], pl.Int64).alias("fold"),
                pl.lit(facts["seed"], pl.Int64).alias("seed"),
                *curve.columns,
            )
        )
    return pl.concat(pieces)
