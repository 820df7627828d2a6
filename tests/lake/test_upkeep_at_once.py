import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event

import polars as pl

from tasks.lake import upkeep
from tasks.lake.store import Lake
from tests.lake.frames import at, bars
from tests.lake.upkeep_child import NIGHTS, night
from tests.lake.upkeep_nights import (
    DAYS,
    assert_every_row_is_there_once,
    digests,
    files,
    write,
)


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
        while not appended.is_set():
            if lake.exists("bars"):
                upkeep.compact(lake, "bars")

    appended = Event()
    with ThreadPoolExecutor(4) as pool:
        compacting = [pool.submit(compact) for _ in range(2)]
        written = [pool.submit(append, symbol) for symbol in "AB"]
        wait(written)
        appended.set()
    assert [done.result() for done in compacting] == [None, None]
    assert [done.result() for done in written] == [12, 12]
    upkeep.compact(lake, "bars")
    assert len(files(lake)) == 1
    assert assert_every_row_is_there_once(lake).height == 24


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
