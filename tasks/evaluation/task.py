"""Prefect shell of evaluation."""

from pathlib import Path
from typing import Any

import polars as pl

from tasks.evaluation.benchmark import held_benchmark
from tasks.evaluation.evaluate import evaluate, json_values
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.paths import by_path, on_path, path_section, score_path
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.predictions import assemble
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trials import against_trials, others_of
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.factors import index_prices
from tasks.lake.membership import Membership
from tasks.lake.panel import panel_arrays
from tasks.lake.store import read_reference
from tasks.lake.target_spec import TargetSpec, further_name
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
    windows: Artifact,
    folds: list[Artifact],
    baselines: list[Artifact],
    actions: TableRef,
    benchmark: TableRef | None,
    trials: TrialsRef,
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
    the offsets of its intervals. All these are the walk-forward's; combinatorial folds, where there
    are any, add the section "paths".
    """
    panel = panel_arrays(features.frame(root), names, lookback, earlier_bars)
    plan = windows.read_json(root)
    walked = [fold["fold"] for fold in plan["folds"] if "tested" not in fold]
    fits, nulls = (_forecasts(root, made, walked) for made in (folds, baselines))
    sessions = spec.calibration_sessions
    predictions = assemble(panel, target, network, fits, nulls, head, sessions)
    further = {}
    for horizon in target.also:
        own = _forecasts(root, folds, walked, further_name("forecasts", horizon))
        further[horizon] = assemble(
            panel.at(horizon), target.at(horizon), network, own, [], head, sessions
        )
    acted, index = read_reference(lake, actions), None
    if benchmark is not None and benchmark.rows:
        index = index_prices(read_reference(lake, benchmark), acted)
    prices = features.frame(root, "panel.parquet")
    frames = {horizon: made.frame for horizon, made in further.items()}
    spells = members.frame()
    result = evaluate(predictions.frame, prices, index, target, spec, network, head, frames, spells)
    held = held_benchmark(benchmark, acted, result.equity)
    crossed = [fold for fold in plan["folds"] if "tested" in fold]
    paths = []
    for tests in by_path(crossed):
        fits, nulls = (
            [(n, on_path(panel, f, tests[n])) for n, f in _forecasts(root, made, [*tests])]
            for made in (folds, baselines)
        )
        # A calibrate span may follow the tests: intervals cannot roll on from it.
        path = assemble(panel, target, network, fits, nulls, head, sessions=None).frame
        paths.append(score_path(path, prices, target, spec, network, head, spells))
    net, equal = (_returns(result.equity, name) for name in (_TRADED, _EQUAL))
    others = others_of(other_trials(lake, trials), trials, net.size)
    tried = against_trials(net, equal, others, (1.0 + spec.confidence) / 2.0)
    summary = {
        **result.summary,
        "significance": result.summary["significance"] | json_values(tried),
        "rule": {**result.summary["rule"], "Benchmark": held["rule"]},
        "benchmark_limit": held["limit"],
        "paths": json_values(path_section(paths, crossed, network)) if crossed else None,
        "plan": [
            {"fold": f["fold"], "tested": "tested" in f, "runs": f["runs"]}
            for f in (*plan["folds"], plan["refit"])
        ],
        "offsets": predictions.offsets,
        "further_offsets": {str(horizon): made.offsets for horizon, made in further.items()},
        "trial": _trial(result.summary, net, network),
    }
    tables = {
        "predictions": predictions.frame,
        **{further_name("predictions", horizon): frame for horizon, frame in frames.items()},
        "daily": result.daily,
        "equity": result.equity,
        "curves": _curves(root, folds, walked),
    }
    parents = (features.sha256, *(a.sha256 for a in (*folds, *baselines)))
    return write_artifact(root, "evaluation", key, write_frames(tables, summary), parents)


def _trial(summary: dict[str, Any], net: FloatArray, network: str) -> dict[str, Any]:
    row = next(m for m in summary["models"] if m["name"] == network)
    return {"score": row["ic"]["value"] if row["ic"] else None, "returns": net.tolist()}


def _returns(equity: pl.DataFrame, portfolio: str) -> FloatArray:
    traded = equity.filter(pl.col("portfolio") == portfolio).sort("date")
    return simple_returns(traded["equity"].to_numpy())


def _forecasts(
    root: Path, made: list[Artifact], numbers: list[int], name: str = "forecasts"
) -> list[tuple[int, pl.DataFrame]]:
    """Returns number and forecasts of those artifacts that belong to one of the folds."""
    folds = [(artifact.read_json(root)["fold"], artifact) for artifact in made]
    return [(n, a.frame(root, f"{name}.parquet")) for n, a in folds if n in numbers]


def _curves(root: Path, folds: list[Artifact], numbers: list[int]) -> pl.DataFrame:
    pieces = []
    for artifact in folds:
        facts = artifact.read_json(root)
        if facts["fold"] not in numbers:
            continue
        curve = artifact.frame(root, "curve.parquet")
        pieces.append(
            curve.select(
                pl.lit(facts["fold"], pl.Int64).alias("fold"),
                pl.lit(facts["seed"], pl.Int64).alias("seed"),
                *curve.columns,
            )
        )
    return pl.concat(pieces)
