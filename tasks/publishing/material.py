"""What a report shows, gathered from a bundle, its evaluation and the night's forecasts."""

from pathlib import Path
from typing import Any

import polars as pl

from models.bundle import Bundle
from tasks.lake.artifacts import Artifact
from tasks.lake.target_spec import TargetSpec
from tasks.publishing.canaries import (
    canaries_said,
    code_now,
    measured,
    selection_code_now,
    selection_said,
)
from tasks.publishing.manifest import (
    causality_of,
    certificate_of,
    leaking,
    proved,
    reproducible,
)
from tasks.publishing.registry import Entry
from tasks.publishing.report import ReportMaterial

LIMITS = (
    "The history was loaded after the fact: the walk-forward is point-in-time by date, while "
    "restatements made before the load are already in it.",
    "The metrics belong to the procedure over its test spans, not to the published weights.",
    "Free data can be wrong and late. This is research software, not investment advice.",
)


def report_material(
    root: Path,
    bundle: Bundle,
    tonight: pl.DataFrame | None,
    refused: pl.DataFrame,
    standing: Entry,
    certified_in: tuple[float, float] | None = None,
) -> ReportMaterial:
    """Gathers the material of one report.

    Args:
        root: The data root.
        bundle: The model.
        tonight: Rows of the ledger for one night, with `distance` and `novel` where they are
            known, or None.
        refused: rule, rows: what lies in quarantine for the model's universe.
        standing: What the registry says of the model: champion, by what and why, or rejected.
        certified_in: seconds that the causality certificate took, and the whole run until then,
            where this run made it.
    """
    manifest = bundle.manifest
    evaluation = Artifact.model_validate(manifest["evaluation"])
    frames = {
        name: evaluation.frame(root, f"{name}.parquet")
        for name in ("daily", "equity", "curves", "predictions")
    }
    if "score" not in frames["predictions"].columns:
        # As evaluations were written while every head had a mean.
        frames["predictions"] = frames["predictions"].with_columns(score="mean")
    night = None if tonight is None or tonight.is_empty() else tonight
    day = manifest["cutoff"] if night is None else str(night["cutoff"][0])
    leak = leaking(manifest)
    state = "refused: it leaks" if leak else standing.state
    summary = evaluation.read_json(root)
    # Evaluations were once written without the portfolios' rule.
    facts = _facts(manifest, refused, night) | summary.get("rule", {})
    facts["Gate"] = f"{standing.state}: {standing.reason}"
    if certified_in is not None:
        seconds, whole = certified_in
        facts["Certificate made in"] = f"{seconds:.1f} s, {seconds / whole:.1%} of this run so far"
    return ReportMaterial(
        title=f"nightcast · {manifest['name']} · {day}",
        facts=facts,
        summary=summary,
        forecasts=night,
        target=TargetSpec.model_validate(manifest["target"]),
        model={"id": manifest["id"], "state": state, "trained through": manifest["label_end"]},
        notes=[manifest["survivorship"], *LIMITS],
        card=bundle.card,
        causality=causality_of(manifest),
        certificate=certificate_of(manifest),
        causal=None if leak is None else not leak and proved(manifest),
        **frames,
    )


def _facts(
    manifest: dict[str, Any], refused: pl.DataFrame, night: pl.DataFrame | None
) -> dict[str, str]:
    recipe, training, network = manifest["recipe"], manifest["training"], manifest["network"]
    target = TargetSpec.model_validate(manifest["target"])
    drawn = training["max_windows_per_epoch"]
    rules = ", ".join(f"{rule} {rows}" for rule, rows in refused.iter_rows())
    splits = recipe["splits"]
    facts = {
        "Provider": recipe["provider"]["kind"],
        "Universe": f"{len(manifest['universe'])} symbols on {manifest['exchange']}",
        "Bars in quarantine": rules or "none",
        "Training cutoff": f"{manifest['cutoff']} (last label {manifest['label_end']})",
        "Target": f"{target.name}; unit: {target.unit}",
        "Features": f"{len(manifest['features'])}, window of {manifest['lookback']} bars",
        "Network": ", ".join(f"{k} {v}" for k, v in network.items()),
        "Folds": _folds(splits),
        "Seeds": ", ".join(map(str, manifest["seeds"])),
        "Windows in an epoch": "all" if drawn is None else f"at most {drawn}, drawn by seed",
        "Reproducible": reproducible(training),
        "Certificate tried by": canaries_said(measured(), code_now()),
        "Deflation tried by": selection_said(measured(), selection_code_now()),
        "Device": str(manifest["fingerprint"].get("device", "–")),
        "Lake known by": manifest["tables"][0]["known_by"],
    }
    if target.also:
        facts["Further horizons"] = f"{', '.join(map(str, target.also))} sessions"
    if night is not None:
        facts["Night known by"] = str(night["known_by"][0])
    return facts


def _folds(splits: dict[str, Any]) -> str:
    walk = "expanding" if splits["scheme"] == "combinatorial" else splits["scheme"]
    folds = f"{splits['folds']} {walk}, {splits['test']} test sessions each"
    if splits["scheme"] != "combinatorial":
        return folds
    return (
        f"{folds}; {splits['test_groups']} of {splits['groups']} groups tested in every combination"
    )
