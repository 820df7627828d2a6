"""Bars of one's own, from CSV or Parquet.

1. Every file is read, CSV as text, and its columns are turned into dates and numbers. An empty
   cell stays empty, for quality to refuse the bar; a cell that says something else stops the run.
2. Split-adjusted prices are freed from the splits of the column `split`.
3. Actions come from the columns `split` (new shares per old) and `dividend` (cash per share), in
   which 0 and, for splits, 1 mean none. Without either column they are recovered from
   `adj_close`; without that one too, none are known, and an as-traded split reads as a crash.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from models.errors import DataError, UsageError
from tasks.ingest.actions import recover_actions, undo_split_adjustment
from tasks.ingest.contracts import ACTION_COLUMNS, RAW_BAR_COLUMNS
from tasks.ingest.providers.base import History, StaticProvider
from tasks.ingest.quality import check_actions
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.spec import FilesSpec
from tasks.ingest.symbols import described_fault

_ENDINGS = (".csv", ".csv.gz", ".parquet")
_REQUIRED = ("symbol", "date", "open", "high", "low", "close", "volume")
_OPTIONAL = ("adj_close", "dividend", "split")
# What other programs write for a missing number.
_EMPTY = ("", "null", "na", "n/a")


class FilesProvider(StaticProvider):
    """Serves the bars of a file, or of all files in a folder."""

    source = "files"

    def __init__(self, spec: FilesSpec) -> None:
        fingerprint = _fingerprint(_find(spec.path.expanduser()), spec)
        super().__init__(_history(spec, fingerprint), spec.benchmark, fingerprint)


@lru_cache(maxsize=2)
def _history(spec: FilesSpec, fingerprint: str) -> History:
    """Returns what the files hold; the same content is read once a process."""
    del fingerprint  # It is there for the cache: other content is another history.
    rows = pl.concat(_read_alike(_find(spec.path.expanduser())))
    if rows.is_empty():
        raise DataError(f"path={spec.path} has a header but no rows; give it bars.")
    said = {"source": pl.lit(FilesProvider.source), "currency": pl.lit(None, pl.String)}
    rows = rows.with_columns(**said)
    if spec.prices == "split_adjusted":
        # Only splits that quality lets pass: bars and actions must tell the same story.
        splits = check_actions(_stated(rows, "split"), rows, NO_REVIEWS)[0]
        rows = undo_split_adjustment(rows, splits)
    actions = _actions(spec, rows).select(list(ACTION_COLUMNS))
    bars = (
        rows
        if "adj_close" in rows.columns
        else rows.with_columns(adj_close=pl.lit(None, pl.Float64))
    )
    return History(
        bars.select(RAW_BAR_COLUMNS).sort("symbol", "date", maintain_order=True),
        actions.sort("symbol", "date", "kind", maintain_order=True),
        _notes(spec, rows.columns),
    )


def _actions(spec: FilesSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Returns the actions that the files state, or else those that their adjusted close implies."""
    if spec.prices == "fully_adjusted":
        return pl.DataFrame(schema=ACTION_COLUMNS)
    if "adj_close" in rows.columns and not {"split", "dividend"} & set(rows.columns):
        recovered = recover_actions(rows, with_splits=spec.prices == "as_traded")
        return recovered.with_columns(source=pl.lit(FilesProvider.source))
    return pl.concat(_stated(rows, kind) for kind in ("split", "dividend"))


def _notes(spec: FilesSpec, columns: Sequence[str]) -> tuple[str, ...]:
    survival = (
        "A share that is left out of the files is missed by nobody: its failure does not show."
    )
    if spec.prices == "fully_adjusted":
        return (survival, "Prices with dividends in them change with every later dividend.")
    if {"split", "dividend", "adj_close"} & set(columns):
        return (survival,)
    lost = "dividends" if spec.prices == "split_adjusted" else "splits and dividends"
    return (
        survival,
        f"The files have none of the columns split, dividend and adj_close: {lost} are not known, "
        "and each reads as a fall of the price.",
    )


def _find(path: Path) -> list[Path]:
    if not path.exists():
        raise UsageError(
            f"path={path} does not exist; give a {', '.join(_ENDINGS)} file or a folder of them."
        )
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [f for f in candidates if f.is_file() and f.name.lower().endswith(_ENDINGS)]
    if not files:
        raise UsageError(
            f"path={path} holds no bars; give a {', '.join(_ENDINGS)} file or a folder of them."
        )
    return files


def _read_alike(files: Sequence[Path]) -> list[pl.DataFrame]:
    """Reads all files; an optional column must be in each or in none."""
    frames = [_read(f) for f in files]
    for file, frame in zip(files, frames, strict=True):
        if frame.columns != frames[0].columns:
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))
            raise UsageError(
                f"{files[0].name} and {file.name} differ in {', '.join(odd)}: one of them would "
                "lack its actions; give the column to every file or to none."
            )
    return frames


def _read(file: Path) -> pl.DataFrame:
    try:
        return _parsed(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{file.name} cannot be read ({reason}); write it anew as CSV in UTF-8 or as Parquet."
        ) from error


def _parsed(file: Path) -> pl.DataFrame:
    if file.name.lower().endswith(".parquet"):
        table = pl.scan_parquet(file, glob=False)
    else:
        table = pl.scan_csv(file, glob=False, infer_schema=False)
    found = table.collect_schema().names()
    missing = [c for c in _REQUIRED if c not in found]
    if missing:
        raise UsageError(
            f"{file.name} lacks the columns {', '.join(missing)}; found {', '.join(found)}. "
            "Rename the columns or add the missing ones."
        )
    numbers = [c for c in (*_REQUIRED[2:], *_OPTIONAL) if c in found]
    rows = table.select("symbol", "date", *numbers).collect()
    return pl.DataFrame(
        [
            _symbols(rows["symbol"], file),
            _dates(rows["date"], file),
            *(_numbers(rows[c], file) for c in numbers),
        ]
    )


def _symbols(column: pl.Series, file: Path) -> pl.Series:
    names = column.cast(pl.String).str.strip_chars(" ")
    _refuse(file, column, names.fill_null("") == "", "no symbol", "name the symbol of every row")
    for name in names.unique(maintain_order=True):
        if sentence := described_fault(name):
            row = (names == name).arg_max()
            raise DataError(f"{file.name}: row {row + 1}: {sentence}")
    return names


def _dates(column: pl.Series, file: Path) -> pl.Series:
    """Turns days, instants (by their own time zone) and ISO texts into days."""
    if column.dtype == pl.Date or column.dtype == pl.Datetime:
        return column.dt.date()
    text = column.cast(pl.String).str.strip_chars()
    days = text.str.extract(r"^(\d{4}-\d{2}-\d{2})([T ].*)?$").str.to_date(strict=False)
    wrong = days.is_null() & (text.fill_null("") != "")
    _refuse(file, column, wrong, "no date", "write dates as 2024-01-31")
    return days


def _numbers(column: pl.Series, file: Path) -> pl.Series:
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    text = column.cast(pl.String, strict=False).str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & ~text.fill_null("").str.to_lowercase().is_in(_EMPTY)
    _refuse(file, column, wrong, "no number", "write plain numbers such as 1234.5, or leave empty")
    return numbers


def _refuse(file: Path, column: pl.Series, wrong: pl.Series, what: str, remedy: str) -> None:
    rows = wrong.arg_true()
    if len(rows):
        raise DataError(
            f"{file.name}: column {column.name} holds {what} in {len(rows)} of {len(column)} rows, "
            f"the first being {column[rows[0]]!r} in row {rows[0] + 1}; {remedy}."
        )


def _stated(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Returns the actions that column `kind` states; without that column there are none."""
    if kind not in rows.columns:
        return pl.DataFrame(schema=ACTION_COLUMNS)
    none = (0.0, 1.0) if kind == "split" else (0.0,)
    return rows.filter(pl.col(kind).is_not_null() & ~pl.col(kind).is_in(none)).select(
        "symbol", "date", kind=pl.lit(kind), value=kind, source="source"
    )


def _fingerprint(files: Sequence[Path], spec: FilesSpec) -> str:
    digest = hashlib.sha256(f"{spec.prices} {spec.benchmark}".encode())
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
