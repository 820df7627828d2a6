"""Rows of a table as frames: their shape, which of them a read sees, what is new, a digest."""

import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from models.errors import DataError
from tasks.lake.tables import STAMPS, Table


def conform(rows: pl.DataFrame, shape: Table) -> pl.DataFrame:
    """Returns the table's own columns of `rows`, in its types, sorted by key.

    Raises:
        DataError: Columns are missing or a key repeats.
    """
    missing = [c for c in shape.columns if c not in rows.columns]
    if missing:
        raise DataError(
            f"Rows for table {shape.name!r} lack the columns {', '.join(missing)}; "
            f"found {', '.join(rows.columns)}."
        )
    rows = rows.select(pl.col(c).cast(t) for c, t in shape.columns.items()).sort(shape.key)
    repeated = rows.filter(~_last_of_key(shape.key))
    if not repeated.is_empty():
        twice = repeated.row(0, named=True)
        raise DataError(
            f"Rows for table {shape.name!r} name one key twice: "
            f"{ {k: str(twice[k]) for k in shape.key} }; keep one of them."
        )
    return rows


def asked(
    shape: Table,
    known_by: datetime,
    symbols: Sequence[str] | None,
    since: date | None,
    cutoff: date | None,
) -> pl.Expr:
    """Returns the condition of `Lake.read`, in a form that lets a scan skip files and row groups.

    A row without a date meets all dates.
    """
    wanted = pl.col("known_at") <= pl.lit(known_by).cast(STAMPS["known_at"])
    if symbols is not None:
        wanted &= pl.col("symbol").is_in(list(symbols))
    if shape.happened:
        day = pl.col(shape.happened)
        if since is not None:
            wanted &= (day >= since) | day.is_null()
        if cutoff is not None:
            wanted &= (day <= cutoff) | day.is_null()
    return wanted


def newest(frame: pl.DataFrame, shape: Table) -> pl.DataFrame:
    """Returns the row of each key that was learned last, ties by commit, sorted by key."""
    # Only key and stamps are sorted; the wide rows are then gathered once. Most keys have one row.
    order = (
        frame.select(*shape.key, "known_at", "commit")
        .with_row_index("place")
        .sort(*shape.key, "known_at", "commit")
        .filter(_last_of_key(shape.key))
    )
    return frame[order["place"]]


def unlike(rows: pl.DataFrame, known: pl.DataFrame, shape: Table) -> pl.DataFrame:
    """Returns the `rows` whose content is not that of a row of `known`; nulls equal nulls."""
    content = list(shape.content)
    return rows.join(
        known.select(content), on=content, how="anti", nulls_equal=True, maintain_order="left"
    )


def digest_of(frame: pl.DataFrame) -> str:
    """Returns the SHA-256 of a frame's column names, types and values, in row order.

    It rests on plain values, never on a file format, so that it survives a change of writer.
    """
    seen = hashlib.sha256()
    for column in frame.iter_columns():
        seen.update(f"{column.name}:{column.dtype}:{len(column)};".encode())
        seen.update(column.is_null().to_numpy().tobytes())
        if column.dtype == pl.String:
            text = column.fill_null("")
            seen.update(text.str.len_bytes().to_numpy().tobytes())
            seen.update((text.str.join("").item() or "").encode())
        elif column.dtype.is_nested():
            seen.update(json.dumps(column.to_list()).encode())
        else:
            plain = column.to_physical() if column.dtype.is_temporal() else column
            seen.update(plain.fill_null(0).to_numpy().tobytes())
    return seen.hexdigest()


def _last_of_key(key: Sequence[str]) -> pl.Expr:
    """True on the last row of each key, in a frame sorted by key."""
    changes = pl.any_horizontal(pl.col(c).ne_missing(pl.col(c).shift(-1)) for c in key)
    return changes | (pl.int_range(pl.len()) == pl.len() - 1)
