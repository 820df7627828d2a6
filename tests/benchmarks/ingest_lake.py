"""What the benchmark `ingest` does with the lake alone: reads by both clocks, nightly appends."""

import shutil
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from tasks.lake.calendar import sessions
from tasks.lake.store import Lake, read_reference, take_reference
from tasks.lake.tables import BARS
from tasks.lake.upkeep import tidy
from tests.benchmarks.meter import Meter
from tests.benchmarks.synthetic import INDEX, make_market

# Sessions of a past that is closed whenever this is run.
_LAST = date(2025, 12, 31)
_YEAR = 252
# Sessions already held that each night's rows bring again.
_OVERLAP = 5
# Sessions that a night reads back to judge one: context, and what is asked for again.
_LOOKED_BACK = 80
_LAKE, _FILE, _NIGHTLY = "lake", "bars.parquet", "nightly.parquet"


def last_sessions(count: int) -> list[date]:
    """Returns the last `count` sessions that the benchmark knows of."""
    return sessions("XNYS", _LAST - timedelta(days=2 * count + 14), _LAST)[-count:]


def prepare_read(sizes: Namespace) -> dict[str, Any]:
    """Writes a lake that was loaded a year ago and has grown by a commit a night, and the file."""
    days, lake, meter = last_sessions(sizes.years * _YEAR), Lake(sizes.work / _LAKE), Meter()
    batches = list(_market(sizes.read_symbols, sizes.batch, days))
    loaded = days[-_YEAR - 1]
    with meter("load"):
        for bars in batches:
            lake.append("bars", bars.filter(pl.col("date") <= loaded), _evening(loaded))
    recent = pl.concat(batches).filter(pl.col("date") >= loaded)
    with meter("nights"):
        for before, day in zip(days[-_YEAR - 1 :], days[-_YEAR:], strict=False):
            # Some volumes of the session before are restated, so that the clocks differ.
            restated = recent.filter(pl.col("date") == before)[::20]
            restated = restated.with_columns(pl.col("volume") + 1)
            new = recent.filter(pl.col("date") == day)
            lake.append("bars", pl.concat([restated, new]), _evening(day))
            tidy(lake)
    bars = lake.read("bars", cutoff=_LAST, known_by=_evening(_LAST))
    bars.write_parquet(sizes.work / _FILE)
    return {**meter.result(), "rows": bars.height, "files": len(lake.open("bars").file_uris())}


def read(by: str, sizes: Namespace) -> dict[str, Any]:
    """Reads all symbols as known today and a year ago, by the lake, a reference or the file."""
    meter, work = Meter(), sizes.work
    names = _names(sizes.read_symbols)
    readers: dict[str, Callable[[Sequence[str], date], pl.DataFrame]] = {
        "lake": partial(_read_lake, work),
        "reference": partial(_read_by_reference, work),
        "parquet": partial(_read_file, work),
    }
    rows = {}
    # What a process does once is not what is compared.
    readers[by](names[:1], _LAST)
    for stage, day in (("today", _LAST), ("year_ago", last_sessions(_YEAR + 1)[0])):
        with meter(stage):
            rows[f"{stage}_rows"] = readers[by](names, day).height
    return {**meter.result(), **rows}


def _read_lake(work: Path, symbols: Sequence[str], day: date) -> pl.DataFrame:
    lake = Lake(work / _LAKE)
    return lake.read("bars", cutoff=day, known_by=_evening(day), symbols=symbols)


def _read_by_reference(work: Path, symbols: Sequence[str], day: date) -> pl.DataFrame:
    uri = str(work / _LAKE)
    return read_reference(uri, take_reference(uri, "bars", symbols, day, _evening(day)))


def _read_file(work: Path, symbols: Sequence[str], day: date) -> pl.DataFrame:
    wanted = pl.col("symbol").is_in(list(symbols)) & (pl.col("date") <= day)
    return pl.scan_parquet(work / _FILE).filter(wanted).collect()


def prepare_append(sizes: Namespace) -> dict[str, Any]:
    """Writes a lake of many years in batches, and apart from it what its next nights bring."""
    days, lake, meter = last_sessions(sizes.years * _YEAR), Lake(sizes.work / _LAKE), Meter()
    before = days[-sizes.nights - 1]
    tail, rows = [], 0
    for bars in _market(sizes.append_symbols, sizes.batch, days):
        with meter("load"):
            rows += lake.append("bars", bars.filter(pl.col("date") <= before), _evening(before))
        tail.append(bars.filter(pl.col("date") >= days[-sizes.nights - _OVERLAP]))
    pl.concat(tail).write_parquet(sizes.work / _NIGHTLY)
    return {**meter.result(), "rows": rows}


def append(tidying: bool, sizes: Namespace) -> dict[str, Any]:
    """Appends the nights to a copy of that lake; then reads a batch as the next night would."""
    meter, days = Meter(), last_sessions(sizes.nights + _OVERLAP)
    bars = pl.read_parquet(sizes.work / _NIGHTLY)
    names = _names(sizes.append_symbols)
    batches = [names[i : i + sizes.batch] for i in range(0, len(names), sizes.batch)]
    last, found, new_rows = len(days) - 1, {}, 0
    with (
        tempfile.TemporaryDirectory(dir=sizes.work) as folder,
        ThreadPoolExecutor(sizes.threads) as pool,
    ):
        shutil.copytree(sizes.work / _LAKE, Path(folder) / _LAKE)
        lake = Lake(Path(folder) / _LAKE)
        for place in range(_OVERLAP, last + 1):
            stage = {_OVERLAP: "first_night", last: "last_night"}.get(place, "nights_between")
            span = pl.col("date").is_between(days[place - _OVERLAP], days[place])
            served = [bars.filter(span, pl.col("symbol").is_in(b)) for b in batches]
            with meter(stage):
                took = list(pool.map(partial(_append, lake, _evening(days[place])), served))
            found[stage] = statistics.median(seconds for seconds, _ in took)
            new_rows += sum(rows for _, rows in took)
            if tidying:
                with meter("tidy"):
                    tidy(lake)
        since = last_sessions(_LOOKED_BACK)[0]
        with meter("read_batch"):
            now = _evening(_LAST)
            lake.read("bars", cutoff=_LAST, known_by=now, symbols=batches[0], since=since)
        files = len(lake.open("bars").file_uris())
    per_batch = {f"{stage}_batch_seconds": round(took, 4) for stage, took in found.items()}
    return {**meter.result(), **per_batch, "new_rows": new_rows, "files": files}


def _append(lake: Lake, known_at: datetime, rows: pl.DataFrame) -> tuple[float, int]:
    """Appends one batch; returns the seconds that it took and the rows that were new."""
    began = time.perf_counter()
    new = lake.append("bars", rows, known_at)
    return time.perf_counter() - began, new


def _market(symbols: int, batch: int, days: Sequence[date]) -> Iterator[pl.DataFrame]:
    """Yields the bars of one batch of symbols after the other, in the columns of the lake.

    Some symbols are listed after the first session, as `synthetic.py` has it.
    """
    names = _names(symbols)
    for start in range(0, symbols, batch):
        own = names[start : start + batch]
        made = make_market(len(own), days, seed=start).bars.filter(pl.col("symbol") != INDEX)
        renamed = dict(zip([f"S{k:04d}" for k in range(len(own))], own, strict=True))
        bars = made.with_columns(
            pl.col("symbol").replace_strict(renamed),
            source=pl.lit("synthetic"),
            flags=pl.lit(""),
            held=pl.lit(False),
            final=pl.lit(True),
        )
        yield bars.select(list(BARS.columns))


def _names(symbols: int) -> list[str]:
    return [f"S{k:05d}" for k in range(symbols)]


def _evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, tzinfo=UTC)


KINDS: dict[str, Callable[[Namespace], dict[str, Any]]] = {
    "prepare read": prepare_read,
    **{by: partial(read, by) for by in ("lake", "reference", "parquet")},
    "prepare append": prepare_append,
    "append untidied": partial(append, False),
    "append tidied": partial(append, True),
}
