"""Reads one answer of Tiingo's daily prices: the rows it holds, or why it holds none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from tasks.ingest.contracts import ACTION_COLUMNS, RAW_BAR_COLUMNS
from tasks.ingest.providers.base import Outcome

# A key that is used up is told so in plain text, at times with status 200.
_USED_UP = "run over your"
_LONGEST = 200


class Row(TypedDict):
    """A bar under the service's own names; one lacking a name may hide a split: malformed."""

    date: datetime
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    adjClose: float | None
    divCash: float | None
    splitFactor: float | None


_ROWS = TypeAdapter(list[Row])
_COLUMNS = {
    name: pl.Datetime("us", "UTC") if name == "date" else pl.Float64()
    for name in Row.__annotations__
}


@dataclass(frozen=True)
class Reply:
    """The outcome of one request, the source's own words, and the rows where there are any."""

    outcome: Outcome
    detail: str = ""
    rows: list[Row] = field(default_factory=list)


def read_answer(status: int, content: bytes, start: date, end: date) -> Reply:
    """Returns what an answer amounts to; of its rows those from `start` to `end`."""
    if status == 200 and content.lstrip()[:1] == b"[":
        return _rows(content, start, end)
    words, said = words_of(content), f"HTTP {status}: {words_of(content)}"
    if status == 429 or _USED_UP in words:
        return Reply("rate_limited", said)
    if status == 404 and content.lstrip()[:1] == b"{" and words:
        return Reply("unknown_symbol", words)
    if status >= 500 or status == 408:
        return Reply("transient", said)
    return Reply("malformed", said)


def words_of(content: bytes) -> str:
    """Returns what the source says beside its data: the detail of an error, or plain text."""
    text = content.decode("utf-8", "replace")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(text.split())[:_LONGEST]
    detail = answer.get("detail") if isinstance(answer, dict) else None
    return detail[:_LONGEST] if isinstance(detail, str) else ""


def _rows(content: bytes, start: date, end: date) -> Reply:
    try:
        rows = _ROWS.validate_json(content, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "".join(f"{part}: " for part in fault["loc"])
        return Reply("malformed", f"{place}{fault['msg']}")
    inside = [row for row in rows if start <= row["date"].date() <= end]
    return Reply("ok", rows=inside) if inside else Reply("empty", "no bars in the span")


def frames(rows: Mapping[str, list[Row]], source: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the bars and the actions of all symbols, sorted by symbol and date."""
    served = [
        pl.DataFrame(found, schema=_COLUMNS).with_columns(symbol=pl.lit(symbol))
        for symbol, found in sorted(rows.items())
    ]
    empty = pl.DataFrame(schema={**_COLUMNS, "symbol": pl.String})
    table = (
        pl.concat([empty, *served])
        .with_columns(
            pl.col("date").dt.date(),
            adj_close="adjClose",
            currency=pl.lit(None, pl.String),
            source=pl.lit(source),
        )
        .sort("symbol", "date", maintain_order=True)
    )
    split, paid = pl.col("splitFactor"), pl.col("divCash")
    stated = [
        table.filter(split != 1).with_columns(kind=pl.lit("split"), value=split),
        table.filter(paid != 0).with_columns(kind=pl.lit("dividend"), value=paid),
    ]
    actions = pl.concat(f.select(list(ACTION_COLUMNS)) for f in stated)
    ordered = actions.sort("symbol", "date", "kind", maintain_order=True)
    return table.select(RAW_BAR_COLUMNS), ordered
