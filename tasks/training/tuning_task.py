"""Stages of a study: the past it may see, the fits of its trials, its trials, its outcome."""

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
import tomli_w

from models.device import keep_freed_memory, make_deterministic, resolve_device
from tasks.lake.artifacts import Artifact, write_artifact, write_frames
from tasks.lake.target_spec import TARGET_COLUMNS
from tasks.lake.task import cached_stage
from tasks.training.network_spec import NetworkSpec
from tasks.training.orders import panel_of, rows_of
from tasks.training.spec import TrainingSpec
from tasks.training.tuning import METRICS, Pruning, fit_tuned
from tasks.training.tuning_spec import TuningSpec


@cached_stage("past", run_name="past up to {end}")
def cut_past(root: Path, key: str, features: Artifact, end: date) -> Artifact:
    """Writes the feature frame as it was known at the close of `end`, as `frame`.

    Rows after it are not there, and labels that were not yet known are masked: what is made of
    this frame cannot have seen anything later.
    """
    labels = cs.matches(TARGET_COLUMNS) | cs.by_name("label_end")
    frame = (
        features.frame(root)
        .filter(pl.col("date") <= end)
        .with_columns(pl.when(pl.col("label_end") <= end).then(labels))
    )
    fill = write_frames({"frame": frame}, {"end": str(end)})
    return write_artifact(root, "past", key, fill, (features.sha256,))


@cached_stage("tuned", run_name="try fold {fold} seed {seed}")
def tune_fold(
    root: Path,
    key: str,
    features: Artifact,
    windows: Artifact,
    names: tuple[str, ...],
    earlier_bars: int,
    lookback: int,
    fold: int,
    seed: int,
    network: NetworkSpec,
    training: TrainingSpec,
    device: str,
    rivals: list[Artifact],
    spared: int,
) -> Artifact:
    """Fits one fold of a trial with one seed, or prunes it beside its rivals.

    Nothing of the study but the rivals is an input: other studies take the finished fit too.
    """
    make_deterministic()
    keep_freed_memory()
    panel = panel_of(root, features, names, lookback, earlier_bars)
    curves = [r.frame(root, "curve.parquet")["stop_score"].to_list() for r in rivals]
    fitted = fit_tuned(
        panel,
        rows_of(root, windows, fold),
        network,
        training,
        seed,
        lookback,
        resolve_device(device),
        Pruning(curves, spared),
    )
    epochs = range(1, len(fitted.reports) + 1)
    curve = pl.DataFrame(
        {"epoch": epochs, "stop_score": fitted.reports},
        schema={"epoch": pl.Int64, "stop_score": pl.Float64},
    )
    facts = {
        "fold": fold,
        "seed": seed,
        "best_epoch": fitted.best_epoch,
        "scores": fitted.scores,
        "reports": list(fitted.reports),
    }
    parents = (features.sha256, windows.sha256, *(r.sha256 for r in rivals))
    return write_artifact(root, "tuned", key, write_frames({"curve": curve}, facts), parents)


@cached_stage("tried", run_name="judge a trial")
def judge_trial(root: Path, key: str, values: dict[str, Any], fits: list[Artifact]) -> Artifact:
    """Writes what a trial comes to: the means over its fits, or that it was pruned."""
    facts = [fit.read_json(root) for fit in fits]
    pruned = any(fact["scores"] is None for fact in facts)
    scores = None if pruned else {m: _mean(fact["scores"][m] for fact in facts) for m in METRICS}
    state = "pruned" if pruned else "completed"
    summary = {
        "values": values,
        "state": state,
        "scores": scores,
        "reports": [reported for fact in facts for reported in fact["reports"]],
        "epochs": [fact["best_epoch"] for fact in facts],
        # A tuning score is an IC like that of an evaluation; daily returns come with one.
        "trial": {"score": scores["ic"] if scores else None, "status": state},
    }
    parents = tuple(fit.sha256 for fit in fits)
    return write_artifact(root, "tried", key, write_frames({}, summary), parents)


@cached_stage("study", run_name="study")
def write_study(
    root: Path,
    key: str,
    trials: list[dict[str, Any]],
    tried: list[Artifact],
    tuning: TuningSpec,
    best: int,
    recipe: dict[str, Any],
) -> Artifact:
    """Writes the trials as `trials` and the best configuration, whole, as `best.toml`.

    Args:
        root: The data root.
        key: The stage's.
        trials: Number, state, values, scores and reason of each, in order.
        tried: Artifacts of those that did not fail.
        tuning: The study's specification.
        best: Number of the best trial.
        recipe: The configuration with the best values laid over it, without `tuning`.
    """
    rows = [{**row, "values": json.dumps(row["values"], sort_keys=True)} for row in trials]
    values = next(row["values"] for row in trials if row["number"] == best)
    summary = {
        "best": best,
        "values": values,
        "tuning": tuning.model_dump(mode="json"),
        "trials": len(trials),
    }
    text = dict.fromkeys(("state", "values", "reason"), pl.String)
    frame = pl.DataFrame(
        rows, schema={"number": pl.Int64, **text, **dict.fromkeys(METRICS, pl.Float64)}
    )
    write = write_frames({"trials": frame}, summary)

    def fill(folder: Path) -> int:
        body = tomli_w.dumps(_without_none(recipe))
        (folder / "best.toml").write_text(
            f"# Trial {best + 1} of a study.\n{body}", encoding="utf-8"
        )
        return write(folder)

    return write_artifact(root, "study", key, fill, tuple(t.sha256 for t in tried))


def _mean(values: Iterable[float | None]) -> float | None:
    """Returns the mean of the fits' scores, None where the head has none."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _without_none(value: Any) -> Any:
    """Returns a value without the keys whose value is None, which TOML does not know."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
