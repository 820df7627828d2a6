import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.lake import upkeep
from tasks.lake.rows import digest_of
from tasks.lake.store import Lake
from tests.lake.frames import at, bars, weekdays
from tests.lake.upkeep_child import NIGHTS, night

DAYS = weekdays(40)
AT_ONCE = timedelta(0)


def restatements(seed):
    """A few bars, some of which say anew what was said before; some without a volume, some held."""
    draw = random.Random(seed)
    keys = {(draw.choice("ABC"), draw.choice(DAYS)) for _ in range(6)}
    frame = bars([(s, d, draw.choice((1.0, 2.0, 0.1 + 0.2))) for s, d in keys])
    volume = [draw.choice((None, 5.0)) for _ in keys]
    return frame.with_columns(volume=pl.Series(volume, dtype=pl.Float64), held=draw.random() < 0.2)


def write(lake, nights):
    for n in nights:
        lake.append("bars", restatements(n), at(n))


def digests(lake, nights):
    """What was known at each night, down to the bit and with its stamps."""
    reads = (lake.read("bars", cutoff=None, known_by=at(n), stamps=True) for n in nights)
    return [digest_of(read) for read in reads]


def files(lake):
    return {Path(f).name for f in lake.open("bars").file_uris()}


def on_disk(lake):
    return {p.name for p in Path(lake.uri, "bars").glob("*.parquet")}


def assert_every_row_is_there_once(lake):
    raw = pl.read_delta(f"{lake.uri}/bars")
    assert not raw.select("symbol", "date", "commit").is_duplicated().any()
    return raw


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


class Meddled(Lake):
    """A lake in which somebody else comes first: `meddle` runs after the table was opened."""

    def __init__(self, uri, meddle):
        super().__init__(uri)
        self._meddle, self._opened = meddle, 0

    def open(self, table):
        delta = super().open(table)
        self._opened += 1
        # The first look only counts files.
        if self._opened == 2:
            self._meddle()
        return delta


def test_a_compaction_gives_way_to_another_compaction_and_to_an_append(tmp_path):
    lake = Lake(tmp_path)
    write(lake, range(5))
    held_up = Meddled(tmp_path, lambda: upkeep.compact(lake, "bars"))
    assert upkeep.compact(held_up, "bars") == 0
    assert_every_row_is_there_once(lake)
    assert len(files(lake)) == 1
    write(lake, range(5, 9))
    before = digests(lake, range(9))
    held_up = Meddled(tmp_path, lambda: write(lake, [9]))
    assert upkeep.compact(held_up, "bars") == 0
    assert len(files(lake)) == 6
    assert digests(lake, range(9)) == before
    assert upkeep.compact(lake, "bars") == 6
    assert_every_row_is_there_once(lake)


def test_appends_and_compactions_at_once_lose_and_double_nothing(tmp_path):
    lake = Lake(tmp_path)
    days = DAYS[:12]

    def append(symbol):
        return sum(lake.append("bars", bars([(symbol, d, 1.0)]), at(0)) for d in days)

    def compact():
        packed, end = 0, time.monotonic() + 20
        while packed < 12 and time.monotonic() < end:
            packed += upkeep.compact(lake, "bars") if lake.exists("bars") else 0
        return packed

    with ThreadPoolExecutor(4) as pool:
        compacting = [pool.submit(compact) for _ in range(2)]
        assert list(pool.map(append, "AB")) == [12, 12]
        assert sum(c.result() for c in compacting) >= 12
    assert assert_every_row_is_there_once(lake).height == 24


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


def test_killed_three_times_while_appending_and_compacting_a_lake_is_whole(tmp_path):
    draw = random.Random(0)
    command = [sys.executable, "-m", "tests.lake.upkeep_child", tmp_path]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            for _ in range(draw.randrange(3, 9)):
                assert child.stdout.readline(), "the child ended before it was killed"
            time.sleep(draw.uniform(0, 0.06))
            child.kill()
        lake = Lake(tmp_path)
        seen = lake.read("bars", cutoff=None, known_by=at(NIGHTS))
        assert not seen.is_empty()
        assert not seen.select("symbol", "date").is_duplicated().any()
        assert_every_row_is_there_once(lake)
    subprocess.run(command, stdout=subprocess.PIPE, check=True)
    assert_every_row_is_there_once(lake)
    expected = pl.concat([night(n) for n in range(NIGHTS)])
    seen = lake.read("bars", cutoff=None, known_by=at(NIGHTS))
    assert seen.equals(expected.unique(["symbol", "date"], keep="last").sort("symbol", "date"))
