"""Prefect shells of publishing: the bundle, the registry, the ledger, the report."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from safetensors.torch import load_file

from models.bundle import load_bundle, save_bundle
from models.device import fingerprint, resolve_device
from tasks.lake.artifacts import Artifact, TableRef, write_artifact
from tasks.lake.store import Lake
from tasks.lake.task import WRITES_TO_LAKE, cached_stage
from tasks.publishing.card import write_card
from tasks.publishing.ledger import ledger_rows, not_forecast, published
from tasks.publishing.manifest import build_manifest
from tasks.publishing.material import report_material
from tasks.publishing.measures import in_percent
from tasks.publishing.novelty import unlike_training, with_novelty
from tasks.publishing.registry import Entry, manifest_of
from tasks.publishing.report import render_report

_SCORE_DIGITS = 4


@cached_stage("bundle", run_name="bundle of {recipe[name]}")
def write_bundle(
    root: Path,
    key: str,
    recipe: dict[str, Any],
    symbols: tuple[str, ...],
    windows: Artifact,
    refits: list[Artifact],
    evaluation: Artifact,
    proof: Artifact,
    certificate: Artifact,
    tables: list[TableRef],
    survivorship: str,
    device: str,
) -> Artifact:
    """Writes the refitted weights of all seeds, the manifest and the card as one bundle."""
    summary = evaluation.read_json(root)
    cutoff = tables[0].cutoff
    network, horizon = recipe["network"], recipe["target"]["horizon"]
    kind = network.get("cell", network["kind"])
    refit = refits[0].read_json(root)
    manifest = build_manifest(
        f"{kind}-h{horizon}-{cutoff:%Y%m%d}-{key[-8:]}",
        recipe,
        symbols,
        windows.read_json(root)["refit"],
        refit["epochs"],
        refit["known"],
        refit["levels"],
        evaluation,
        summary,
        tables,
        survivorship,
        fingerprint(resolve_device(device)),
        proof.read_json(root),
        certificate.read_json(root),
    )
    weights = [load_file(r.path(root, "weights.safetensors")) for r in refits]

    def fill(folder: Path) -> int:
        save_bundle(folder, weights, manifest, write_card(manifest, summary))
        return len(weights)

    proofs = (proof.sha256, certificate.sha256)
    parents = (windows.sha256, evaluation.sha256, *proofs, *(r.sha256 for r in refits))
    return write_artifact(root, "bundle", key, fill, parents)


@task(
    name="publish",
    task_run_name="publish {cutoff}",
    **WRITES_TO_LAKE,
)
def publish_night(
    root: Path,
    lake: str,
    model: Entry,
    forecast: Artifact,
    cutoff: date,
    known_by: datetime,
    now: datetime,
    members: Sequence[str],
) -> int:
    """Appends the night's forecasts to the ledger; returns the new rows, 0 the second time.

    Members of the universe without a forecast are named, each with the reason, and so are
    forecasts for symbols that look unlike anything the model was fitted on.
    """
    manifest = manifest_of(root, model)
    made = forecast.frame(root)
    left_out = [s for s in members if s not in set(made["symbol"])]
    reasons = not_forecast(Lake(lake), left_out, cutoff, known_by)
    if reasons:
        told = ", ".join(f"{symbol} ({reason})" for symbol, reason in reasons.items())
        get_run_logger().warning(f"Not forecast: {told}")
    odd = unlike_training(made)
    if odd:
        get_run_logger().warning(odd)
    rows = ledger_rows(made, manifest, cutoff, known_by, now, model.label)
    return Lake(lake).append("forecasts", rows, now)


@task(name="report", task_run_name="report {name}", cache_policy=NO_CACHE)
def write_report(
    root: Path,
    lake: str,
    name: str,
    standing: Entry,
    cutoff: date | None,
    now: datetime,
    forecast: Artifact | None = None,
    certified_in: tuple[float, float] | None = None,
) -> Path:
    """Writes the HTML report below `reports/`, and its gist as Prefect artifacts for the UI.

    Of the night's forecasts both show the main horizon.

    Args:
        root: The data root.
        lake: The lake's address.
        name: The report's file name without ending.
        standing: The model it is about, and what the registry says of it.
        cutoff: The night whose forecasts it shows; None shows the model alone.
        now: The run's instant.
        forecast: The night's forecast as it was made, which says what looks unlike training.
        certified_in: Seconds that the causality certificate took, and the whole run until then.
    """
    opened = load_bundle(root / standing.bundle.uri)
    model, main = opened.manifest["id"], opened.manifest["target"]["horizon"]
    tonight = None if cutoff is None else published(Lake(lake), model, cutoff, now, main)
    if tonight is not None and forecast is not None:
        tonight = with_novelty(tonight, forecast.frame(root))
    refused = _lost(lake, opened.manifest, now)
    material = report_material(root, opened, tonight, refused, standing, certified_in)
    target = root / "reports" / f"{name}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{name}-{uuid4().hex[:8]}")
    draft.write_text(render_report(material))
    draft.replace(target)
    _show_in_ui(opened.card, tonight)
    return target


def _lost(lake: str, manifest: dict[str, Any], now: datetime) -> pl.DataFrame:
    refused = Lake(lake).read(
        "quarantine",
        cutoff=date.fromisoformat(manifest["cutoff"]),
        known_by=now,
        symbols=manifest["universe"],
    )
    return refused.group_by("rule").len("rows").sort("rule")


def _show_in_ui(card: str, tonight: pl.DataFrame | None) -> None:
    create_markdown_artifact(card, key="nightcast-model", description="Card of the model")
    if tonight is not None and not tonight.is_empty():
        create_table_artifact(
            _table(tonight), key="nightcast-forecasts", description="Forecasts of the night"
        )


def _table(tonight: pl.DataFrame) -> list[dict[str, Any]]:
    measure = in_percent(tonight["unit"][0])
    # A median stands in for a mean that the head does not have; without either, the score.
    there = [c for c in ("mean", "q50") if tonight[c].null_count() == 0][:1]
    titles = {"mean": "mean", "q50": "median", "q05": "5", "q95": "95"}
    numbers = [
        (measure.factor * pl.col(c)).round(measure.digits).alias(f"{titles[c]} {measure.heading}")
        for c in (*there, "q05", "q95")
    ]
    looks = ["novel"] if "novel" in tonight.columns else []
    last = ["gate", "origin", "tradable", *looks]
    shown = numbers if there else [pl.col("score").round(_SCORE_DIGITS)]
    return tonight.select(
        "rank", "symbol", *shown, pl.col("cutoff").cast(pl.String), *last
    ).to_dicts()
