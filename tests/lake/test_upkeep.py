import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.lake import upkeep
from tasks.lake.rows import digest_of
from tasks.lake.store import Lake
from tasks.lake.tables import TABLES
from tests.lake.frames import at, bars, weekdays
from tests.lake.upkeep_nights import (
    DAYS,
    assert_every_row_is_there_once,
    digests,
    files,
    write,
)

AT_ONCE = timedelta(0)


def on_disk(lake):
    return {p.name for p in Path(lake.uri, "bars").glob("*.parquet")}


@pytest.mark.parametrize("more", [20, pytest.param(250, marks=pytest.mark.slow)])
def test_what_was_known_on_a_night_stays_the_same_for_ever(tmp_path, more):
    lake, past = Lake(tmp_path), range(15)
    write(lake, past)
    before = digests(lake, past)
    assert len(set(before)) == len(past)
    assert upkeep.compact(lake, "bars") == 15
    assert digests(lake, past) == before
    assert upkeep.vacuum(lake, "bars", AT_ONCE) == 15
    assert digests(lake, past) == before
    for n in range(15, 15 + more):
        write(lake, [n])
        upkeep.tidy(lake, small_files=6, keep=AT_ONCE)
    assert digests(lake, past) == before
    assert len(files(lake)) <= 7
    log = Path(lake.uri, "bars", "_delta_log")
    # Every entry of the log is there for an auditor, whatever checkpoints were made.
    entries = [int(p.stem) for p in sorted(log.glob("*.json"))]
    assert entries == list(range(lake.open("bars").version() + 1))
    if more > 100:
        assert json.loads((log / "_last_checkpoint").read_text())["version"] >= more


def full_and_empty(shape):
    """Two rows of a table: one with a value in each column, one with texts alone."""
    full = {pl.String: "b", pl.Float64: 0.1 + 0.2, pl.Int64: 7, pl.Boolean: True, pl.Date: DAYS[0],
            pl.Datetime: at(3), pl.List: [0.1, -0.0]}  # fmt: skip
    for row in (full, {pl.String: "a"}):
        values = {c: [row.get(t.base_type())] for c, t in shape.columns.items()}
        yield pl.DataFrame(values, schema=dict(shape.columns))


@pytest.mark.parametrize("table", TABLES)
def test_every_tables_values_and_nulls_outlast_being_packed(tmp_path, table):
    lake = Lake(tmp_path / "größe 100%")
    for n, rows in enumerate(full_and_empty(TABLES[table])):
        assert lake.append(table, rows, at(n)) == 1
    before = lake.read(table, cutoff=None, known_by=at(9), stamps=True)
    assert before.height == 2
    assert upkeep.compact(lake, table) == upkeep.vacuum(lake, table, AT_ONCE) == 2
    after = lake.read(table, cutoff=None, known_by=at(9), stamps=True)
    assert digest_of(after) == digest_of(before)


def test_commits_keep_their_order_and_appends_go_on(tmp_path):
    lake = Lake(tmp_path)
    for close in (1.0, 2.0):
        lake.append("bars", bars([("A", DAYS[0], close)]), at(0))
    assert upkeep.compact(lake, "bars") == 2
    assert lake.append("bars", bars([("A", DAYS[0], 2.0)]), at(0)) == 0
    for close in (1.0, 3.0):
        assert lake.append("bars", bars([("A", DAYS[0], close)]), at(0)) == 1
    assert upkeep.compact(lake, "bars") == 3
    assert lake.read("bars", cutoff=None, known_by=at(0))["close"].to_list() == [3.0]
    raw = assert_every_row_is_there_once(lake).sort("commit")
    assert raw["close"].to_list() == [1.0, 2.0, 1.0, 3.0]


def test_nothing_small_is_nothing_to_do(tmp_path):
    lake = Lake(tmp_path)
    write(lake, range(1))
    version = lake.open("bars").version()
    assert upkeep.compact(lake, "bars") == upkeep.vacuum(lake, "bars", AT_ONCE) == 0
    assert lake.open("bars").version() == version


def history(symbols, seed):
    """A batch of long histories: more than 4 MiB, because noise does not compress."""
    noise = np.random.default_rng(seed).normal(size=(len(symbols) * 2000, 4))
    days = weekdays(2000)
    frame = bars([(s, d, 1.0) for s in symbols for d in days])
    return frame.with_columns(
        **{c: noise[:, k] for k, c in enumerate(("open", "high", "low", "close"))}
    )


def test_loaded_histories_are_left_as_they_are_and_the_nights_between_are_packed(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", history([f"A{n:02d}" for n in range(70)], 1), at(0))
    load = files(lake)
    write(lake, range(1, 4))
    lake.append("bars", history([f"B{n:02d}" for n in range(70)], 2), at(4))
    loads = load | files(lake) - {f for f in files(lake) if _size(lake, f) < 4 << 20}
    write(lake, range(5, 8))
    assert (len(loads), len(files(lake))) == (2, 8)
    assert upkeep.compact(lake, "bars") == 6
    assert loads < files(lake)
    assert len(files(lake)) == 4


def _size(lake, name):
    return Path(lake.uri, "bars", name).stat().st_size


def test_packed_rows_are_sorted_so_that_a_read_of_a_symbol_skips_most(tmp_path):
    lake = Lake(tmp_path)
    write(lake, range(8))
    upkeep.compact(lake, "bars")
    (only,) = files(lake)
    packed = pl.read_parquet(Path(lake.uri, "bars", only))
    key = ["symbol", "date", "known_at", "commit"]
    assert packed.equals(packed.sort(key))


def age(lake, by):
    """Moves all that the log says to have been removed `by` into the past."""
    for entry in Path(lake.uri, "bars", "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] -= round(by.total_seconds() * 1000)
        entry.write_text("\n".join(map(json.dumps, actions)))


def test_only_what_compaction_replaced_longer_ago_than_asked_is_deleted(tmp_path):
    lake = Lake(tmp_path)
    write(lake, range(4))
    first = files(lake)
    under_way = Path(lake.uri, "bars", "part-of-an-append-under-way.parquet")
    under_way.write_bytes(b"")
    upkeep.compact(lake, "bars")
    age(lake, timedelta(days=6))
    assert upkeep.vacuum(lake, "bars") == 0
    age(lake, timedelta(days=2))
    write(lake, range(4, 6))
    second = files(lake)
    upkeep.compact(lake, "bars")
    assert on_disk(lake) == first | second | files(lake) | {under_way.name}
    assert upkeep.vacuum(lake, "bars") == 4
    assert on_disk(lake) == second | files(lake) | {under_way.name}
    assert upkeep.vacuum(lake, "bars", AT_ONCE) == 3
    assert on_disk(lake) == files(lake) | {under_way.name}
    version = lake.open("bars").version()
    assert upkeep.vacuum(lake, "bars", AT_ONCE) == 0
    assert lake.open("bars").version() == version


def test_tidy_touches_only_tables_of_many_small_files_and_says_what_it_did(tmp_path):
    lake = Lake(tmp_path)
    write(lake, range(7))
    acting = pl.DataFrame(
        {"symbol": "A", "date": [DAYS[0]], "kind": "split", "value": 2.0, "source": "test",
         "flags": ""}
    )  # fmt: skip
    lake.append("actions", acting, at(0))
    assert upkeep.tidy(lake, small_files=7) == dict.fromkeys(
        ("bars", "actions"), upkeep.Tidied(0, 0)
    )
    done = upkeep.tidy(lake, small_files=6)
    assert done == {"bars": upkeep.Tidied(7, 0), "actions": upkeep.Tidied(0, 0)}
    assert upkeep.tidy(lake, keep=AT_ONCE)["bars"] == upkeep.Tidied(0, 7)
