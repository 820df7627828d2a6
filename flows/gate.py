"""The gate in the flow `train`: gathers what it looks at, asks it, and enters the decision."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from prefect import task
from pydantic import ValidationError

from flows.config import RunConfig
from models.bundle import load_bundle
from tasks.evaluation.gate import Contender, judge
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.spec import EvaluationSpec
from tasks.ingest.lost import too_much_lost
from tasks.ingest.spec import QualitySpec
from tasks.lake.artifacts import Artifact
from tasks.lake.store import Lake
from tasks.lake.target_spec import TargetSpec
from tasks.lake.task import WRITES_TO_LAKE, log
from tasks.publishing.registry import Entry, enter, newest_of, standing_champion
from tasks.training.trials import specification

_LIVE = ("symbol", "date", "score", "mean", "target", "origin", "tradable")


@task(name="gate", task_run_name="gate", **WRITES_TO_LAKE)
def ask_gate(
    root: Path,
    lake: str,
    bundle: Artifact,
    features: Artifact,
    spec: GateSpec,
    evaluation: EvaluationSpec,
    quality: QualitySpec,
    now: datetime,
) -> Entry:
    """Decides whether a new model becomes champion, enters it, and returns the decision's entry.

    A model that is champion already is not judged again.
    """
    store, manifest = Lake(lake), load_bundle(root / bundle.uri).manifest
    standing = standing_champion(store, manifest["name"], now)
    if standing is None or standing.model != manifest["id"]:
        truths = features.frame(root).select("symbol", "date", "target")
        champion = None
        if standing is not None:
            champion = contender(root, store, standing.bundle, truths, now)
        candidate = contender(root, store, bundle, truths, now)
        cutoff = date.fromisoformat(manifest["cutoff"])
        lost = too_much_lost(store, manifest["universe"], cutoff, now, quality)
        decision = judge(candidate, champion, lost, spec, evaluation)
        enter(store, manifest, bundle, decision, now)
    entry = newest_of(store, manifest["id"], now)
    log(f"gate model={entry.model} {outcome_of(entry)}")
    return entry


def outcome_of(entry: Entry) -> str:
    """Returns what became of a model and why, in a sentence."""
    return f"{entry.state}: {entry.reason}"


def contender(
    root: Path, lake: Lake, bundle: Artifact, truths: pl.DataFrame, now: datetime
) -> Contender:
    """Returns a model as the gate sees it.

    Args:
        root: The data root.
        lake: Where its live forecasts are.
        bundle: The model's.
        truths: symbol, date, target: what has come true by now.
        now: The run's instant.
    """
    manifest = load_bundle(root / bundle.uri).manifest
    evaluation = Artifact.model_validate(manifest["evaluation"])
    return Contender.of(
        manifest,
        evaluation.read_json(root),
        evaluation.frame(root, "predictions.parquet"),
        live_rows(lake, manifest, truths, now),
        specification(_as_read_today(manifest["recipe"])),
    )


def live_rows(
    lake: Lake, manifest: dict[str, Any], truths: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """Returns a model's published forecasts of its main horizon with what came true.

    There are none of a target that is published in another unit than it is learned in: its
    truths are not at hand in that unit.
    """
    target = TargetSpec.model_validate(manifest["target"])
    ledger = lake.read("forecasts", cutoff=None, known_by=now)
    comparable = target.published == target
    own = (pl.col("model") == manifest["id"]) & (pl.col("horizon") == target.horizon)
    rows = ledger.filter(own & comparable).rename({"cutoff": "date", "target": "named"})
    return rows.join(truths, on=["symbol", "date"], how="left").select(_LIVE)


def _as_read_today(recipe: dict[str, Any]) -> dict[str, Any]:
    """Returns a recipe with the settings that have been added since it was written.

    One that cannot be read any more is another specification than any of today's.
    """
    try:
        return RunConfig.model_validate(recipe).recipe()
    except ValidationError:
        return recipe
