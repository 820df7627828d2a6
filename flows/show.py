"""What the command shows of the lake: rows for programs, tables for people."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.environment import Place
from models.errors import RunError, UsageError, near
from tasks.features import catalogue
from tasks.ingest import review
from tasks.lake.artifacts import Artifact
from tasks.lake.store import Lake
from tasks.publishing.measures import in_percent
from tasks.publishing.registry import entries, manifest_of, newest_of
from tasks.publishing.registry import promote as promote_by_hand

# A cell this short is not broken over two lines.
_UNBROKEN = 20


def forecasts(
    place: Place, as_of: date | None, symbol: str | None, audit: bool, model: str | None = None
) -> list[dict[str, Any]]:
    """Returns the ledger's rows of one night, the main horizon's first, each best rank first.

    Args:
        place: The data root.
        as_of: The night's cutoff; None is the newest published.
        symbol: Only this symbol.
        audit: Also `known_by`.
        model: Only this model's; None takes the model that published the night last.

    Raises:
        UsageError: No such night or symbol was published.
    """
    ledger = Lake(place.lake).read("forecasts", cutoff=None, known_by=_now(), stamps=True)
    if ledger.is_empty():
        raise RunError("No forecast was published yet; run `nightcast demo` or `nightcast daily`.")
    newest: date = ledger["cutoff"].sort()[-1]
    night = as_of or newest
    rows = ledger.filter(pl.col("cutoff") == night)
    if rows.is_empty():
        raise UsageError(f"No forecast was published for {night}; the newest night is {newest}.")
    newest_model = rows.sort("known_at", "commit")["model"][-1]
    chosen = model or newest_model
    rows = rows.filter(pl.col("model") == chosen)
    if symbol is not None:
        known = rows["symbol"].to_list()
        if symbol not in known:
            raise UsageError(
                f"{symbol!r} has no forecast for {night}; {len(known)} symbols have one."
                f"{near(symbol, known)}"
            )
        rows = rows.filter(pl.col("symbol") == symbol)
    hidden = ["commit"] if audit else ["commit", "known_by"]
    ahead = pl.col("horizon") != _main_horizon(place, chosen, rows)
    return rows.sort(ahead, "horizon", "rank").drop(hidden).to_dicts()


def _main_horizon(place: Place, model: str, rows: pl.DataFrame) -> int:
    horizons = rows["horizon"].unique()
    if len(horizons) == 1:
        return int(horizons[0])
    entry = next(e for e in entries(Lake(place.lake), _now()) if e.model == model)
    return int(manifest_of(place.root, entry)["target"]["horizon"])


def forecast_table(rows: list[dict[str, Any]], most: int = 20) -> RenderableType:
    """Returns the ranking as a table of at most `most` rows; log returns in per cent.

    Of several horizons it is that of the first row's, and the others are named.
    """
    first, measure = rows[0], in_percent(rows[0]["unit"])
    others = dict.fromkeys(str(row["horizon"]) for row in rows)
    del others[str(first["horizon"])]
    rows = [row for row in rows if row["horizon"] == first["horizon"]]
    plain = first["target"] == "open_to_open"
    begins = "this close" if first["target"].startswith("close_to_close") else "the next open"
    kind = "tradable" if first["tradable"] else f"{first['origin']}, not tradable"
    table = Table(
        title=f"Forecasts after the close of {first['cutoff']} by {first['model']} "
        f"({first['gate']}) · {'' if plain else first['target'] + ' · '}"
        f"{first['horizon']} session(s) from {begins} · {kind}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    # A median stands in for a mean that the head does not have; without either, the score.
    point = next((name for name in ("mean", "q50") if first[name] is not None), None)
    titles = {"mean": f"forecast {measure.heading}", "q50": f"median {measure.heading}"}
    for name in ("rank", "symbol", titles[point] if point else "score", "90 % interval"):
        table.add_column(name, justify="left" if name == "symbol" else "right")
    for row in rows[:most]:
        number, band = f"{row['score']:+.4f}", "–"
        if point:
            number = f"{measure.factor * row[point]:+.{measure.digits}f}"
        if row["q05"] is not None:
            ends = (measure.factor * row[q] for q in ("q05", "q95"))
            band = " … ".join(f"{end:+.{measure.coarse}f}" for end in ends)
        table.add_row(str(row["rank"]), row["symbol"], number, band)
    notes = [f"… and {len(rows) - most} more"] if len(rows) > most else []
    notes += [f"also forecast: {', '.join(others)} session(s)"] if others else []
    if notes:
        return Group(table, Text(f"{'; '.join(notes)}; `nightcast forecasts --json`."))
    return table


def models(place: Place) -> list[dict[str, Any]]:
    """Returns the registry's events, newest first."""
    return [
        {
            "name": e.name,
            "model": e.model,
            "event": e.event,
            "gate": e.gate,
            "cutoff": str(e.cutoff),
            "label_end": str(e.label_end),
            "verdict": e.verdict,
            "reason": e.reason,
        }
        for e in reversed(entries(Lake(place.lake), _now()))
    ]


def features(kind: str | None) -> list[dict[str, Any]]:
    """Returns the indicators, of one kind or all, and after all of them the transforms."""
    rows = catalogue.indicators()
    kinds = list(dict.fromkeys(row.kind for row in rows))
    if kind is not None and kind not in kinds:
        raise UsageError(
            f"No feature is of the kind {kind!r}.{near(kind, kinds)} Choose among: "
            f"{', '.join(kinds)}."
        )
    chosen = [row for row in rows if kind in (None, row.kind)]
    if kind is None:
        chosen += [row._replace(name=f"…|{row.name}") for row in catalogue.transforms()]
    return [row._asdict() for row in chosen]


def model_table(rows: list[dict[str, Any]]) -> RenderableType:
    """Returns the registry for people; names and training ends are in --json."""
    short = [{k: v for k, v in row.items() if k not in ("name", "label_end")} for row in rows]
    return plain_table("Models", short)


def feature_table(rows: list[dict[str, Any]]) -> RenderableType:
    """Returns features for people; who defined them is in the README and in --json."""
    short = [{k: v for k, v in row.items() if k not in ("source", "warm_up")} for row in rows]
    return plain_table("Features, with default periods, and transforms behind a bar", short)


def quarantine(place: Place, symbol: str | None) -> list[dict[str, Any]]:
    """Returns the refused rows and the held bars, by symbol and date."""
    rows = review.pending(Lake(place.lake), _now(), symbol)
    return rows.with_columns(pl.col("date").cast(pl.String)).to_dicts()


def release(
    place: Place, symbol: str, day: date, reason: str, reviewer: str
) -> list[dict[str, Any]]:
    """Releases what is refused or held of a symbol on a day; returns the reviews written."""
    rows = review.release(Lake(place.lake), symbol, day, reason, reviewer, _now())
    return rows.with_columns(pl.col("date").cast(pl.String)).to_dicts()


def promote(place: Place, model: str, reason: str, person: str) -> str:
    """Makes a model champion by hand and returns what was done, in a sentence."""
    entry, before = promote_by_hand(place.root, Lake(place.lake), model, reason, person, _now())
    succeeded = f", in place of {before.model} ({before.label})" if before else ""
    return f"{model} is the champion of {entry.name!r} by hand{succeeded}."


def newest_report(place: Place, as_of: date | None) -> Path:
    """Returns the path of the report written last, or of the night asked for."""
    pattern = f"night-*-{as_of}.html" if as_of else "*.html"
    found = sorted((place.root / "reports").glob(pattern), key=lambda p: p.stat().st_mtime)
    if not found:
        raise RunError(
            f"No report lies below {place.root / 'reports'}; run `nightcast train` or "
            "`nightcast daily` first."
        )
    return found[-1]


def verdict_panel(place: Place, model: str) -> RenderableType:
    """Returns the verdict on a model, in words, and what the gate has made of it."""
    decided = newest_of(Lake(place.lake), model, _now())
    manifest = manifest_of(place.root, decided)
    summary = Artifact.model_validate(manifest["evaluation"]).read_json(place.root)
    lines = Text("\n").join(
        [
            Text(summary["verdict"]["sentence"], style="bold"),
            Text(summary["pays"]["sentence"]),
            Text(f"Gate: {decided.state}: {decided.reason}"),
            *(Text(f"! {w}", style="yellow") for w in summary["warnings"]),
        ]
    )
    title = f"Does {model} beat doing nothing?"
    return Panel(lines, title=title, title_align="left", box=box.ROUNDED)


def quarantine_table(title: str, rows: list[dict[str, Any]]) -> RenderableType:
    """Returns refused, held or released rows for people: what matters, prices to six digits."""
    number = re.compile(r"-?\d+\.\d+(e-?\d+)?")
    told = ("symbol", "date", "state", "rule", "value", "reason")
    short = [{name: row[name] for name in told if name in row} for row in rows]
    for row in short:
        row["value"] = number.sub(lambda found: f"{float(found.group()):.6g}", row["value"])
    return plain_table(title, short)


def plain_table(title: str, rows: list[dict[str, Any]]) -> RenderableType:
    """Returns rows as a table."""
    if not rows:
        return Text(f"{title}: nothing.")
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in rows[0]:
        longest = max(len(str(row[name])) for row in rows)
        table.add_column(name, overflow="fold", no_wrap=longest <= _UNBROKEN)
    for row in rows:
        table.add_row(*(Text("–" if v is None else str(v)) for v in row.values()))
    return table


def _now() -> datetime:
    return datetime.now(UTC)
