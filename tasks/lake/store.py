"""Appending to the lake and reading it by two clocks.

1. `append` drops rows whose content equals the newest row of their key that was known by then,
   stamps the rest with `known_at` and the commit's number, and commits.
2. All commits of one table carry the same application id, so of several writers at once exactly
   one wins; the others reload, compare again and try again. Nothing is duplicated or lost.
3. `read` sees rows that happened on or before `cutoff` and were known by `known_by`, and of each
   key the newest: by `known_at`, then by commit.
"""

import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from models.errors import DataError, UsageError
from tasks.lake.artifacts import TableRef
from tasks.lake.tables import STAMPS, Table, table_named

# delta-rs drops old log entries after 30 days by default; an auditor needs all of them.
_KEEP = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
_WRITER = "nightcast"
_ATTEMPTS = 40


class Lake:
    """The tables below one folder or object-store address."""

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri).rstrip("/")

    def exists(self, table: str) -> bool:
        """Tells whether anything was ever written to `table`."""
        return DeltaTable.is_deltatable(self._address(table_named(table)))

    def append(self, table: str, rows: pl.DataFrame, known_at: datetime) -> int:
        """Adds what is new in `rows` and returns the number of rows written.

        Args:
            table: A name out of `tables.TABLES`.
            rows: The table's columns, in any order, at most one row a key.
            known_at: The UTC instant at which the rows were learned.

        Raises:
            DataError: Columns are missing, a key repeats, or no commit got through.
            UsageError: `known_at` has no time zone, or the folder cannot be written.
        """
        shape = table_named(table)
        if known_at.tzinfo is None:
            raise UsageError(f"known_at={known_at} has no time zone; give a UTC instant.")
        rows = _conform(rows, shape)
        if rows.is_empty():
            return 0
        for attempt in range(_ATTEMPTS):
            delta = self._open_or_create(shape)
            fresh = self._unknown(delta, rows, shape, known_at)
            if fresh.is_empty():
                return 0
            number = delta.version() + 1
            stamped = fresh.with_columns(
                pl.lit(known_at).cast(STAMPS["known_at"]).alias("known_at"),
                pl.lit(number, pl.Int64).alias("commit"),
            ).select(list(shape.stored))
            try:
                write_deltalake(
                    delta,
                    stamped,
                    mode="append",
                    commit_properties=CommitProperties(
                        app_transactions=[Transaction(_WRITER, number)], max_commit_retries=0
                    ),
                )
                return fresh.height
            except CommitFailedError:
                # Another writer came first: what it wrote may be what we hold.
                time.sleep(random.uniform(0.01, 0.05) * min(attempt + 1, 10))  # noqa: S311
        raise DataError(
            f"Table {table!r} refused {_ATTEMPTS} commits in a row because others wrote at the "
            "same time; run the command again when they have finished."
        )

    def read(
        self,
        table: str,
        *,
        cutoff: date | None,
        known_by: datetime,
        symbols: Sequence[str] | None = None,
        stamps: bool = False,
    ) -> pl.DataFrame:
        """Returns the newest known row of each key, sorted by key.

        Args:
            table: A name out of `tables.TABLES`.
            cutoff: Last date a row may have happened on; None reads all dates.
            known_by: UTC instant; rows learned later are not seen.
            symbols: Only these symbols; None reads all.
            stamps: Also return `known_at` and `commit`.
        """
        shape = table_named(table)
        columns = list(shape.stored) if stamps else list(shape.columns)
        if not self.exists(table):
            return pl.DataFrame(schema={c: shape.stored[c] for c in columns})
        scan = pl.scan_delta(DeltaTable(self._address(shape)))
        scan = scan.filter(pl.col("known_at") <= pl.lit(known_by).cast(STAMPS["known_at"]))
        if cutoff is not None and shape.happened:
            day = pl.col(shape.happened)
            scan = scan.filter((day <= cutoff) | day.is_null())
        if symbols is not None:
            scan = scan.filter(pl.col("symbol").is_in(list(symbols)))
        return _newest(scan.collect(), shape).select(columns)

    def _address(self, shape: Table) -> str:
        return f"{self.uri}/{shape.name}"

    def _open_or_create(self, shape: Table) -> DeltaTable:
        address = self._address(shape)
        try:
            if not DeltaTable.is_deltatable(address):
                empty = pl.DataFrame(schema=shape.stored)
                # Of several writers that create the table at once one wins, and it is there.
                with suppress(CommitFailedError):
                    write_deltalake(address, empty, mode="ignore", configuration=_KEEP)
            return DeltaTable(address)
        except (OSError, DeltaError) as error:
            raise UsageError(
                f"The lake at {self.uri!r} cannot be written ({error}); "
                "choose another --root or mend its permissions."
            ) from error

    def _unknown(
        self, delta: DeltaTable, rows: pl.DataFrame, shape: Table, known_at: datetime
    ) -> pl.DataFrame:
        """Returns the rows whose content differs from the newest row of their key at `known_at`.

        A run of a later instant may have come first: what it wrote is unknown at this instant.
        """
        scan = pl.scan_delta(delta)
        scan = scan.filter(pl.col("known_at") <= pl.lit(known_at).cast(STAMPS["known_at"]))
        if "symbol" in shape.key:
            scan = scan.filter(pl.col("symbol").is_in(rows["symbol"].unique().to_list()))
        known = _newest(scan.collect(), shape).select(shape.content)
        return rows.join(known, on=list(shape.content), how="anti", nulls_equal=True)


def take_reference(
    lake: str, table: str, symbols: Sequence[str], cutoff: date, known_by: datetime
) -> TableRef:
    """Returns a reference to what `Lake.read` gives: the clocks and a digest of the content."""
    frame = Lake(lake).read(table, cutoff=cutoff, known_by=known_by, symbols=symbols)
    return TableRef(
        table=table,
        cutoff=cutoff,
        known_by=known_by,
        symbols=tuple(symbols),
        rows=frame.height,
        digest=digest_of(frame.select(table_named(table).content)),
    )


def read_reference(lake: str, reference: TableRef) -> pl.DataFrame:
    """Reads again what a reference saw.

    Raises:
        DataError: The lake gives other rows than it gave then.
    """
    table, seen = reference.table, reference.symbols
    frame = Lake(lake).read(
        table, cutoff=reference.cutoff, known_by=reference.known_by, symbols=seen
    )
    digest = digest_of(frame.select(table_named(table).content))
    if digest != reference.digest:
        raise DataError(
            f"Table {table!r} read as of {reference.cutoff}, known by {reference.known_by}, "
            f"has digest {digest[:12]} where {reference.digest[:12]} was recorded; "
            "rows of the lake were changed or lost. Restore it from a backup."
        )
    return frame


def _conform(rows: pl.DataFrame, shape: Table) -> pl.DataFrame:
    missing = [c for c in shape.columns if c not in rows.columns]
    if missing:
        raise DataError(
            f"Rows for table {shape.name!r} lack the columns {', '.join(missing)}; "
            f"found {', '.join(rows.columns)}."
        )
    rows = rows.select(pl.col(c).cast(t) for c, t in shape.columns.items())
    if rows.select(shape.key).is_duplicated().any():
        twice = rows.filter(rows.select(shape.key).is_duplicated()).row(0, named=True)
        raise DataError(
            f"Rows for table {shape.name!r} name one key twice: "
            f"{ {k: str(twice[k]) for k in shape.key} }; keep one of them."
        )
    return rows


def _newest(frame: pl.DataFrame, shape: Table) -> pl.DataFrame:
    ordered = frame.sort(*shape.key, "known_at", "commit", maintain_order=True)
    return ordered.unique(list(shape.key), keep="last", maintain_order=True)


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
            seen.update("".join(text.to_list()).encode())
        elif column.dtype.is_nested():
            seen.update(json.dumps(column.to_list()).encode())
        else:
            plain = column.to_physical() if column.dtype.is_temporal() else column
            seen.update(plain.fill_null(0).to_numpy().tobytes())
    return seen.hexdigest()


def check_writable(folder: Path) -> None:
    """Creates the data root `folder` if need be; a UsageError says why it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"The data root {str(folder)!r} cannot be written ({error.strerror}); "
            "choose another --root or mend its permissions."
        ) from error
