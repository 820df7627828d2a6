"""Which models there are, and which of them is champion.

Models of one name (one configuration's `name`) follow one another: the newest champion makes the
forecasts. The gate, or a person, decides which model becomes it; every decision is a few events:

    event      of which model                                        gate
    candidate  one that came before the gate                         what it was to the champion
    champion   one that the gate promoted                            the same
    rejected   one that it did not                                   the same
    manual     one that a person made champion                       manual
    retired    the champion before                                   what it was champion by

A champion whose gate is `past` stands for past nights only. Lakes from before there was a gate hold
champions whose gate is `ungated`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from models.bundle import load_bundle
from models.errors import RunError, UsageError, near
from tasks.lake.artifacts import Artifact
from tasks.lake.calendar import next_session, session_open
from tasks.lake.decision import Decision, not_certified
from tasks.lake.store import Lake

UNGATED, MANUAL, PAST = "ungated", "manual", "past"
CROWNED = ("champion", "manual")
_BEFORE_THE_GATE = "it was entered before there was a gate, and compared with no predecessor."


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
    known_at: datetime

    @property
    def label(self) -> str:
        """By what it is champion and what its verdict is, such as `first, no edge`."""
        return self.gate if self.gate == UNGATED else f"{self.gate}, {self.verdict}"

    @property
    def verdict(self) -> str:
        """The label of its evaluation."""
        return str(self.evidence["verdict"]["label"])

    @property
    def state(self) -> str:
        """What the event made of it, such as `champion (first, no edge)`."""
        return f"champion ({self.label})" if self.event in CROWNED else self.event

    @property
    def reason(self) -> str:
        """Why, in plain words."""
        return str(self.evidence.get("reason", _BEFORE_THE_GATE))


def enter(
    lake: Lake, manifest: Mapping[str, Any], bundle: Artifact, decision: Decision, now: datetime
) -> int:
    """Enters a judged model in one commit and returns the rows written.

    The champion judged again, and a rejection for the very same reason, add none.
    """
    name = manifest["name"]
    known = [e for e in entries(lake, now) if e.name == name]
    standing = _standing(known)
    evidence = {"verdict": manifest["verdict"], **asdict(decision)}
    model = _Judged(manifest, bundle, decision.kind)
    before = [e for e in known if e.model == model.id]
    if standing is not None and standing.model == model.id:
        return 0
    if decision.kind == PAST and any(e.event in CROWNED for e in before):
        return 0
    if before and before[-1].event == "rejected" and before[-1].evidence == evidence:
        return 0
    came = {"verdict": manifest["verdict"], "reason": "it was trained and brought to the gate."}
    rows = [model.row("candidate", came)]
    rows += [model.row("champion" if decision.promoted else "rejected", evidence)]
    if decision.promoted and decision.kind != PAST and standing is not None:
        rows += [_retired(standing, model.id)]
    return _append(lake, name, rows, len(known), now)


def promote(
    root: Path, lake: Lake, model: str, reason: str, person: str, now: datetime
) -> tuple[Entry, Entry | None]:
    """Makes a model champion by hand; returns its entry and that of the champion before.

    Args:
        root: The data root, where its bundle lies.
        lake: Where the registry is.
        model: Its id.
        reason: Why; kept for auditors.
        person: Who decides.
        now: The instant.

    Raises:
        UsageError: No reason is given, or there is no such model.
        RunError: It is champion already, or its causality certificate is not clean: no reason
            makes up for that.
    """
    if not reason.strip():
        raise UsageError(f"Promoting {model} needs a reason; say why with --reason.")
    known = entries(lake, now)
    own = [e for e in known if e.model == model]
    if not own:
        names = list(dict.fromkeys(e.model for e in known))
        raise UsageError(
            f"There is no model {model!r}.{near(model, names)} `nightcast models` shows those "
            f"there are: {len(names)}."
        )
    name = own[-1].name
    named = [e for e in known if e.name == name]
    standing = _standing(named)
    if standing is not None and standing.model == model:
        raise RunError(f"{model} is the champion of {name!r} already ({standing.label}).")
    manifest = manifest_of(root, own[-1])
    if distrust := not_certified(manifest):
        raise RunError(f"{model} cannot become champion, by hand neither: {distrust}")
    judged = [e for e in own if e.event in ("champion", "rejected", "manual")]
    evidence = {
        "verdict": own[-1].evidence["verdict"],
        "reason": reason.strip(),
        "person": person,
        "against": None if standing is None else standing.model,
        "judged": judged[-1].evidence if judged else None,
    }
    row = _Judged(manifest, own[-1].bundle, MANUAL).row("manual", evidence)
    rows = [row] if standing is None else [row, _retired(standing, model)]
    _append(lake, name, rows, len(named), now)
    return _entry({**row, "name": name, "known_at": now}), standing


def champion(lake: Lake, name: str, cutoff: date, known_by: datetime, exchange: str) -> Entry:
    """Returns the champion of the night of `cutoff`.

    That is the newest model, all of whose labels had matured at the cutoff, that was champion
    before the next session opened. A night that had none takes the newest such model of today; or
    one that was entered for past nights, if it was trained to a later cutoff than that.

    Raises:
        RunError: There is no model yet, or every model was trained beyond the cutoff.
    """
    crowned = _crowned([e for e in entries(lake, known_by) if e.name == name])
    if not crowned:
        raise RunError(f"There is no model named {name!r} yet; run `nightcast train` first.")
    fit = [e for e in crowned if e.label_end <= cutoff]
    if not fit:
        closest = min(crowned, key=lambda entry: entry.label_end)
        raise RunError(
            f"The night of {cutoff} lies before the training end of every model: "
            f"{closest.model} has seen labels up to {closest.label_end}. Train one with "
            f"`nightcast train --as-of {cutoff}` first, or forecast a later night."
        )
    opening = session_open(exchange, next_session(exchange, cutoff))
    regular = [e for e in fit if e.gate != PAST]
    older = [e for e in fit if e.gate == PAST]
    then = [e for e in regular if e.known_at < opening]
    if then:
        return then[-1]
    if regular:
        older = [e for e in older if e.cutoff > regular[-1].cutoff]
    return (older or regular)[-1]


def standing_champion(lake: Lake, name: str, known_by: datetime) -> Entry | None:
    """Returns the newest champion of a name, whatever night it may forecast; None without any."""
    return _standing([e for e in entries(lake, known_by) if e.name == name])


def manifest_of(root: Path, entry: Entry) -> dict[str, Any]:
    """Returns the manifest of an entry's bundle, which is verified on the way."""
    return load_bundle(root / entry.bundle.uri).manifest


def entries(lake: Lake, known_by: datetime) -> list[Entry]:
    """Returns all events, oldest first."""
    known = lake.read("registry", cutoff=None, known_by=known_by, stamps=True)
    return [_entry(r) for r in known.sort("known_at", "commit", "sequence").iter_rows(named=True)]


def newest_of(lake: Lake, model: str, known_by: datetime) -> Entry:
    """Returns the newest decision about a model: champion, by hand too, or rejected.

    Raises:
        UsageError: Nothing was decided about a model of that id.
    """
    decided = [e for e in entries(lake, known_by) if e.event in (*CROWNED, "rejected")]
    own = [e for e in decided if e.model == model]
    if not own:
        raise UsageError(
            f"Nothing was decided about a model {model!r}.{near(model, [e.model for e in decided])}"
            " `nightcast models` shows those there are."
        )
    return own[-1]


@dataclass(frozen=True)
class _Judged:
    """What all rows about one model share."""

    manifest: Mapping[str, Any]
    bundle: Artifact
    gate: str

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    def row(self, event: str, evidence: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a row of the registry without its name and sequence."""
        return {
            "model": self.id,
            "event": event,
            "gate": self.gate,
            "bundle": self.bundle.model_dump_json(),
            "cutoff": date.fromisoformat(self.manifest["cutoff"]),
            "label_end": date.fromisoformat(self.manifest["label_end"]),
            "evidence": json.dumps(evidence, allow_nan=False),
        }


def _retired(entry: Entry, successor: str) -> dict[str, Any]:
    evidence = {"verdict": entry.evidence["verdict"], "reason": f"{successor} has taken its place."}
    return {
        **{k: getattr(entry, k) for k in ("model", "gate", "cutoff", "label_end")},
        "event": "retired",
        "bundle": entry.bundle.model_dump_json(),
        "evidence": json.dumps(evidence),
    }


def _append(lake: Lake, name: str, rows: list[dict[str, Any]], count: int, now: datetime) -> int:
    numbered = [{**row, "name": name, "sequence": count + n} for n, row in enumerate(rows)]
    return lake.append("registry", pl.DataFrame(numbered), now)


def _crowned(known: list[Entry]) -> list[Entry]:
    return [e for e in known if e.event in CROWNED]


def _standing(known: list[Entry]) -> Entry | None:
    regular = [e for e in _crowned(known) if e.gate != PAST]
    return regular[-1] if regular else None


def _entry(row: dict[str, Any]) -> Entry:
    plain = (f.name for f in fields(Entry) if f.name not in ("bundle", "evidence"))
    return Entry(
        **{name: row[name] for name in plain},
        bundle=Artifact.model_validate_json(row["bundle"]),
        evidence=json.loads(row["evidence"]),
    )
