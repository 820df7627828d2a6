"""Prefect shell of evaluation."""

from pathlib import Path
from typing import Any

import polars as pl

from tasks.evaluation.evaluate import evaluate, json_values
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.predictions import assemble
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trials import against_trials, others_of
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.factors import index_prices
from tasks.lake.panel import panel_arrays
from tasks.lake.store import read_reference
from tasks.lake.target_spec import TargetSpec
from tasks.lake.task import cached_stage
from tasks.lake.trials import TrialsRef, other_trials

# The portfolio whose daily returns stand for the trial.
_TRADED = "long_only"
_EQUAL = "equal_weight"


@cached_stage("evaluation", run_name="evaluate {network}")
def evaluate_folds(
    root: Path,
    key: str,
    lake: str,
    features: Artifact,
    folds: list[Artifact],
    baselines: list[Artifact],
    benchmark: TableRef | None,
    trials: TrialsRef,
    names: tuple[str, ...],
    earlier_bars: int,
    lookback: int,
    target: TargetSpec,
    network: str,
    spec: EvaluationSpec,
    head: str,
) -> Artifact:
    """Writes predictions, daily scores, equity and learning curves, and the summary of all."""
    panel = panel_arrays(features.frame(root), names, lookback, earlier_bars)
    fits = [(a.read_json(root)["fold"], a.frame(root, "forecasts.parquet")) for a in folds]
    nulls = [(a.read_json(root)["fold"], a.frame(root, "forecasts.parquet")) for a in baselines]
    predictions = assemble(panel, target, network, fits, nulls, head, spec.calibration_sessions)
    index = None
    if benchmark is not None and benchmark.rows:
        index = index_prices(read_reference(lake, benchmark))
    prices = features.frame(root, "panel.parquet")
    result = evaluate(predictions.frame, prices, index, target, spec, network, head)
    net, equal = (_returns(result.equity, name) for name in (_TRADED, _EQUAL))
    others = others_of(other_trials(lake, trials), trials, net.size)
    tried = against_trials(net, equal, others, (1.0 + spec.confidence) / 2.0)
    summary = {
        **result.summary,
        "significance": result.summary["significance"] | json_values(tried),
        "offsets": predictions.offsets,
        "trial": _trial(result.summary, net, network),
    }
    tables = {
        "predictions": predictions.frame,
        "daily": result.daily,
        "equity": result.equity,
        "curves": _curves(root, folds),
    }
    parents = (features.sha256, *(a.sha256 for a in (*folds, *baselines)))
    return write_artifact(root, "evaluation", key, write_frames(tables, summary), parents)


def _trial(summary: dict[str, Any], net: FloatArray, network: str) -> dict[str, Any]:
    row = next(m for m in summary["models"] if m["name"] == network)
    return {"score": row["ic"]["value"] if row["ic"] else None, "returns": net.tolist()}


def _returns(equity: pl.DataFrame, portfolio: str) -> FloatArray:
    traded = equity.filter(pl.col("portfolio") == portfolio).sort("date")
    return simple_returns(traded["equity"].to_numpy())


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
