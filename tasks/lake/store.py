"""Appending to the lake and reading it by two clocks.

1. `append` drops rows whose content equals the newest row of their key that was known by then,
   stamps the rest with `known_at` and the commit's number, and commits.
2. All commits of one table carry the same application id, so of several writers at once exactly
   one wins; the others reload, compare again and try again. Nothing is duplicated or lost.
3. `read` sees rows that happened on or before `cutoff` and were known by `known_by`, and of each
   key the newest: by `known_at`, then by commit.
"""

import os
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from models.errors import DataError, UsageError
from tasks.lake.artifacts import TableRef
from tasks.lake.rows import asked, conform, digest_of, newest, unlike
from tasks.lake.tables import STAMPS, Table, table_named

# delta-rs drops old log entries after 30 days by default; an auditor needs all of them.
_KEEP = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
_WRITER = "nightcast"
_ATTEMPTS = 40
# One lock for each table that this process writes to.
_WRITING: dict[str, Lock] = {}


class _Opened(DeltaTable):
    """One version of a table. delta-rs percent-encodes local paths, polars takes them literally."""

    def file_uris(self, *filters: Any, **pruning: Any) -> list[str]:
        uris = super().file_uris(*filters, **pruning)
        return [uri if "://" in uri else unquote(uri) for uri in uris]


class Lake:
    """The tables below one folder or object-store address."""

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri).rstrip("/")

    def exists(self, table: str) -> bool:
        """Tells whether anything was ever written to `table`."""
        return DeltaTable.is_deltatable(self._address(table_named(table)))

    def append(
        self, table: str, rows: pl.DataFrame, known_at: datetime, first: bool = False
    ) -> int:
        """Adds what is new in `rows` and returns the number of rows written.

        Args:
            table: A name out of `tables.TABLES`.
            rows: The table's columns, in any order, at most one row a key.
            known_at: The UTC instant at which the rows were learned.
            first: Leave out what is there of this very instant: another run of it has come first,
                and may already have put right what this one is about to say.

        Raises:
            DataError: Columns are missing, a key repeats, or no commit got through.
            UsageError: `known_at` has no time zone, or the folder cannot be written.
        """
        shape = table_named(table)
        if known_at.tzinfo is None:
            raise UsageError(f"known_at={known_at} has no time zone; give a UTC instant.")
        rows = conform(rows, shape)
        if rows.is_empty():
            return 0
        for attempt in range(_ATTEMPTS):
            try:
                # Threads of one process would mostly lose their commits to one another.
                with _WRITING.setdefault(self._address(shape), Lock()):
                    return self._append_once(rows, shape, known_at, first)
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
        since: date | None = None,
        stamps: bool = False,
    ) -> pl.DataFrame:
        """Returns the newest known row of each key, sorted by key.

        Args:
            table: A name out of `tables.TABLES`.
            cutoff: Last date a row may have happened on; None reads all dates.
            known_by: UTC instant; rows learned later are not seen.
            symbols: Only these symbols; None reads all.
            since: First date a row may have happened on; None reads from the beginning. A row
                without a date is seen whatever the dates asked for.
            stamps: Also return `known_at` and `commit`.
        """
        shape = table_named(table)
        columns = list(shape.stored) if stamps else list(shape.columns)
        if not self.exists(table):
            return pl.DataFrame(schema={c: shape.stored[c] for c in columns})
        scan = pl.scan_delta(self.open(table))
        scan = scan.filter(asked(shape, known_by, symbols, since, cutoff))
        return newest(scan.collect(), shape).select(columns)

    def newest_dates(
        self, table: str, symbols: Sequence[str], cutoff: date | None, known_by: datetime
    ) -> dict[str, date]:
        """Returns of each symbol the last date the table holds; a symbol without rows is absent.

        Args:
            table: A table of symbols and dates.
            symbols: The symbols asked for.
            cutoff: Last date a row may have happened on; None reads all dates.
            known_by: UTC instant; rows learned later are not seen.
        """
        shape = table_named(table)
        if not shape.happened or "symbol" not in shape.key:
            raise UsageError(
                f"Table {table!r} dates no symbols, so that none has a last date; ask for a table "
                "that does, such as 'bars'."
            )
        if not self.exists(table):
            return {}
        scan = pl.scan_delta(self.open(table))
        scan = scan.filter(asked(shape, known_by, symbols, None, cutoff))
        last = scan.group_by("symbol").agg(pl.col(shape.happened).max()).drop_nulls().collect()
        return dict(last.iter_rows())

    def every_row(self, table: str) -> pl.DataFrame:
        """Returns all rows ever written to `table`, the older ones of a key too.

        With them `known_at`, `commit`, and `committed_at`: when the commit was made by the clock of
        the machine that made it.
        """
        shape = table_named(table)
        schema = {**shape.stored, "committed_at": STAMPS["known_at"]}
        if not self.exists(table):
            return pl.DataFrame(schema=schema)
        delta = self.open(table)
        made = [(entry["version"], entry["timestamp"]) for entry in delta.history()]
        clock = pl.DataFrame(made, schema={"commit": pl.Int64, "ms": pl.Int64}, orient="row")
        instant = (
            pl.from_epoch("ms", time_unit="ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        )
        dated = clock.select("commit", committed_at=instant)
        rows = pl.scan_delta(delta).select(list(shape.stored)).collect()
        return rows.join(dated, on="commit", how="left").select(list(schema))

    def open(self, table: str) -> DeltaTable:
        """Returns the newest version of `table`, which must exist.

        Raises:
            DataError: It lacks columns: another version of nightcast wrote it.
        """
        shape = table_named(table)
        delta = _Opened(self._address(shape))
        lacking = set(shape.stored) - {field.name for field in delta.schema().fields}
        if lacking:
            raise DataError(
                f"Table {table!r} at {self.uri!r} lacks the columns {', '.join(sorted(lacking))}: "
                "another version of nightcast wrote it. Load the data anew under another --root."
            )
        return delta

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
            return self.open(shape.name)
        except (OSError, DeltaError) as error:
            raise UsageError(
                f"The lake at {self.uri!r} cannot be written ({error}); "
                "choose another --root or mend its permissions."
            ) from error

    def _append_once(
        self, rows: pl.DataFrame, shape: Table, known_at: datetime, first: bool
    ) -> int:
        """Commits what is new in `rows`, or raises a CommitFailedError where others came first."""
        delta = self._open_or_create(shape)
        fresh = self._unknown(delta, rows, shape, known_at, first)
        if fresh.is_empty():
            return 0
        stamped = fresh.with_columns(
            pl.lit(known_at).cast(STAMPS["known_at"]).alias("known_at"),
            pl.lit(delta.version() + 1, pl.Int64).alias("commit"),
        ).select(list(shape.stored))
        write_deltalake(delta, stamped, mode="append", commit_properties=as_next(delta))
        return fresh.height

    def _unknown(
        self, delta: DeltaTable, rows: pl.DataFrame, shape: Table, known_at: datetime, first: bool
    ) -> pl.DataFrame:
        """Returns the rows whose content differs from the newest row of their key at `known_at`.

        A run of a later instant may have come first: what it wrote is unknown at this instant.
        """
        symbols = rows["symbol"].unique().to_list() if "symbol" in shape.key else None
        since = until = None
        if shape.happened:
            day = pl.col(shape.happened)
            since, until = rows.select(first=day.min(), last=day.max()).row(0)
        scan = pl.scan_delta(delta).filter(asked(shape, known_at, symbols, since, until))
        held = scan.collect()
        fresh = unlike(rows, newest(held, shape), shape)
        if first:
            said = held.filter(pl.col("known_at") == known_at)
            return fresh.join(said, on=list(shape.key), how="anti", nulls_equal=True)
        return fresh


def as_next(delta: DeltaTable) -> CommitProperties:
    """Returns what makes a commit succeed only as the version that follows `delta`'s."""
    mine = Transaction(_WRITER, delta.version() + 1)
    return CommitProperties(app_transactions=[mine], max_commit_retries=0)


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
