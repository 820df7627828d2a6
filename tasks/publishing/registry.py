"""Which models there are, and which of them is champion.

Models of one name (one configuration's `name`) follow one another: the newest champion makes the
forecasts. Until a gate judges challengers, the newest model is champion, with the state `ungated`.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from models.bundle import load_bundle
from models.errors import RunError
from tasks.lake.artifacts import Artifact
from tasks.lake.calendar import next_session, session_open
from tasks.lake.store import Lake

UNGATED = "ungated"


@dataclass(frozen=True)
class Entry:
    """One event of the registry: `model` became `event` on the strength of `evidence`."""

    name: str
    model: str
    event: str
    gate: str
    cutoff: date
    label_end: date
    bundle: Artifact
    evidence: dict[str, Any]


def register(
    lake: Lake, name: str, manifest: dict[str, Any], bundle: Artifact, now: datetime
) -> int:
    """Enters a new model as champion and returns the rows written; doing it again adds none."""
    events = _events(lake, name, now)
    if not events.is_empty() and events.row(-1, named=True)["model"] == manifest["id"]:
        return 0
    row = {
        "name": name,
        "model": manifest["id"],
        "event": "champion",
        "sequence": events.height,
        "gate": UNGATED,
        "bundle": bundle.model_dump_json(),
        "cutoff": date.fromisoformat(manifest["cutoff"]),
        "label_end": date.fromisoformat(manifest["label_end"]),
        "evidence": json.dumps({"verdict": manifest["verdict"]}),
    }
    return lake.append("registry", pl.DataFrame([row]), now)


def champion(lake: Lake, name: str, cutoff: date, known_by: datetime, exchange: str) -> Entry:
    """Returns the champion of the night of `cutoff`.

    That is the newest model, all of whose labels had matured at the cutoff, that was champion
    before the next session opened. A night that had none takes the newest such model of today.

    Raises:
        RunError: There is no model yet, or every model was trained beyond the cutoff.
    """
    events = _events(lake, name, known_by)
    if events.is_empty():
        raise RunError(f"There is no model named {name!r} yet; run `nightcast train` first.")
    fit = events.filter(pl.col("label_end") <= cutoff)
    if fit.is_empty():
        closest = events.sort("label_end").row(0, named=True)
        raise RunError(
            f"The night of {cutoff} lies before the training end of every model: "
            f"{closest['model']} has seen labels up to {closest['label_end']}. Train one with "
            f"`nightcast train --as-of {cutoff}` first, or forecast a later night."
        )
    opening = session_open(exchange, next_session(exchange, cutoff))
    then = fit.filter(pl.col("known_at") < opening)
    return _entry((fit if then.is_empty() else then).row(-1, named=True))


def manifest_of(root: Path, entry: Entry) -> dict[str, Any]:
    """Returns the manifest of an entry's bundle, which is verified on the way."""
    return load_bundle(root / entry.bundle.uri).manifest


def entries(lake: Lake, known_by: datetime) -> list[Entry]:
    """Returns all events, oldest first."""
    known = lake.read("registry", cutoff=None, known_by=known_by, stamps=True)
    return [_entry(r) for r in known.sort("known_at", "commit").iter_rows(named=True)]


def _events(lake: Lake, name: str, known_by: datetime) -> pl.DataFrame:
    known = lake.read("registry", cutoff=None, known_by=known_by, stamps=True)
    return known.filter((pl.col("name") == name) & (pl.col("event") == "champion")).sort("sequence")


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        **{k: row[k] for k in ("name", "model", "event", "gate", "cutoff", "label_end")},
        bundle=Artifact.model_validate_json(row["bundle"]),
        evidence=json.loads(row["evidence"]),
    )
