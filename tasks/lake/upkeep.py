"""Upkeep of tables that grow by a few small files a night: fewer files, the same answers.

1. `compact` writes runs of small files anew as one file each, sorted by key. The rows keep their
   stamps, so that a read by two clocks gives what it gave before, bit for bit.
2. The files that it replaced stay for runs that still read them; `vacuum` deletes those that were
   replaced longer ago than a run lasts. It knows them by the log, where they are marked as removed;
   an append that is under way, and what a killed one left, is not in the log and not touched.
3. `tidy` sums the log up in a checkpoint, so that opening a table reads the night's entries alone.
   The log loses nothing: the table's retention keeps delta-rs from dropping the older ones.

A run is one of commits: a loaded history fills files of its own, which reads by symbol skip; a file
of packed nights spans few dates, which reads by date skip. delta-rs's own `optimize` is no way: of
two at once over the same files both succeed, and every row is there twice.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from tasks.lake.store import Lake, as_next
from tasks.lake.tables import TABLES, table_named

# Bytes. 4 MiB are some 300,000 bars: a loaded batch of symbols is left as it is, and what is
# written anew until it is full costs a tenth of a second.
_FULL = 4 << 20
# Compressed bytes that are in memory at once; unpacked they are some ten times as many.
_AT_ONCE = 16 * _FULL
# A symbol's ten years are 2,520 rows: a read of it skips all row groups but one or two.
_WRITE = WriterProperties(compression="ZSTD", max_row_group_size=1 << 17)
# A run reads the files of the version that it opened; none lasts this long.
LONGEST_RUN = timedelta(days=7)


@dataclass(frozen=True)
class Tidied:
    """What was done to one table: small files packed into others, replaced files deleted."""

    packed: int
    deleted: int


def tidy(lake: Lake, small_files: int = 24, keep: timedelta = LONGEST_RUN) -> dict[str, Tidied]:
    """Compacts the tables of more than `small_files` small files, then vacuums every table.

    Args:
        lake: The lake.
        small_files: How many files below 4 MiB a table may have.
        keep: How long a replaced file stays.

    Returns:
        What was done to each table that was ever written to.
    """
    done = {}
    for table in filter(lake.exists, TABLES):
        waiting = _runs(lake.open(table))["files"].sum()
        packed = compact(lake, table) if waiting > small_files else 0
        # Opening a table reads the log from its last checkpoint on.
        lake.open(table).create_checkpoint()
        done[table] = Tidied(packed, vacuum(lake, table, keep))
    return done


def compact(lake: Lake, table: str) -> int:
    """Packs the small files of `table`, run by run, and returns how many it replaced.

    It gives way to every other writer: where another commit comes first, it stops. An append that
    meets its commit tries again by itself.
    """
    shape = table_named(table)
    packed = 0
    for files, first, last in _runs(lake.open(table)).iter_rows():
        delta = lake.open(table)
        rows = pl.scan_delta(delta).filter(pl.col("commit").is_between(first, last)).collect()
        try:
            # Reads and replaces the same rows of the same version, or nothing.
            write_deltalake(
                delta,
                rows.sort(*shape.key, "known_at", "commit"),
                mode="overwrite",
                predicate=f"commit >= {first} AND commit <= {last}",
                writer_properties=_WRITE,
                commit_properties=as_next(delta),
            )
        except CommitFailedError:
            break
        packed += files
    return packed


def vacuum(lake: Lake, table: str, keep: timedelta = LONGEST_RUN) -> int:
    """Deletes the files that compaction replaced longer than `keep` ago; returns how many.

    Args:
        lake: The lake.
        table: A table that was written to.
        keep: How long a replaced file stays; rounded up to whole hours.
    """
    delta = lake.open(table)
    hours = math.ceil(keep / timedelta(hours=1))
    # The table's own retention guards against other programs' vacuum and is not meant here.
    listed = delta.vacuum(hours, dry_run=True, enforce_retention_duration=False)
    left = {name for name in listed if _may_exist(f"{lake.uri}/{table}", name)}
    if left:
        delta.vacuum(hours, dry_run=False, enforce_retention_duration=False)
    return len(left)


def _runs(delta: DeltaTable) -> pl.DataFrame:
    """Returns the runs of two or more small files: their number, first and last commit."""
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    if files.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(("files", "first", "last"), pl.Int64))
    small = pl.col("size_bytes") < _FULL
    return (
        files.sort("min.commit", "max.commit")
        .with_columns(run=small.rle_id(), part=pl.col("size_bytes").cum_sum() // _AT_ONCE)
        .filter(small)
        .group_by("run", "part", maintain_order=True)
        .agg(
            files=pl.len().cast(pl.Int64),
            first=pl.col("min.commit").min(),
            last=pl.col("max.commit").max(),
        )
        .filter(pl.col("files") > 1)
        .select("files", "first", "last")
    )


def _may_exist(folder: str, name: str) -> bool:
    """Tells whether a replaced file is not known to be gone: the log names it for ever."""
    return "://" in folder or Path(folder, name).exists()
