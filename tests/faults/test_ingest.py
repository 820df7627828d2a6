"""Ingestion that is killed, or runs twice at once, ends in the lake of an undisturbed run."""

import multiprocessing
import random
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks.ingest.holdings import Night
from tasks.lake.calendar import session_close
from tasks.lake.store import Lake
from tasks.lake.tables import table_named
from tests.faults.ingest_child import QUALITY, SYMBOLS, run_night, run_when_told
from tests.ingest.nights import DAYS
from tests.ingest.yahoo.market import Listing, Tape, random_tape
from tests.ingest.yahoo.replay import Replay

# Imports and the calendar take seconds: one process has them, and every child begins as its copy.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.faults.ingest_child", "tests.ingest.nights"])
FIRST, LATER = DAYS[60], DAYS[62]
SATURDAY = date(2025, 10, 4)
SEEN = ("bars", "actions", "quarantine", "securities")
A_WHILE = timedelta(minutes=5)


def repeating(tape: Tape, *places: int) -> Tape:
    """The tape with the bars at `places` repeating the prices before them."""
    bars = list(tape.bars)
    for place in places:
        bars[place] = (bars[place][0], *bars[place - 1][1:])
    return replace(tape, bars=bars)


def listings() -> list[Listing]:
    """Twelve shares: a split and dividends in the first, two sessions that three others repeat."""
    paid = {DAYS[20]: 0.5, LATER: 0.25}
    tapes = [random_tape(DAYS[:70], 0, {LATER: (4.0, 1.0)}, paid)]
    tapes += [random_tape(DAYS[:70], k) for k in range(1, len(SYMBOLS))]
    for k in (3, 6, 9):
        tapes[k] = repeating(tapes[k], 30, 61)
    return [Listing(s, tape) for s, tape in zip(SYMBOLS, tapes, strict=True)]


class World:
    """A source as it stands on two nights; on the later one it has changed what it said."""

    def __init__(self, server: Replay) -> None:
        self.server = server

    def turn_to(self, session: date) -> None:
        self.server.heal()
        self.server.log.clear()
        self.server.now = self.night(session).now
        self.server.fault("S07", "filled_holiday", day=SATURDAY)
        if session == LATER:
            self.server.fault("S01", "revised", day=DAYS[59], factor=1.02)
            self.server.fault("S02", "revised", day=DAYS[58], factor=100.0)

    def night(self, session: date, after: timedelta = timedelta(0), run: str = "run") -> Night:
        now = session_close("XNYS", session) + timedelta(hours=2) + after
        return Night(session, "XNYS", now, run, QUALITY)

    def run(self, folder: Path, night: Night, lake: Lake | None = None, **options) -> None:
        run_night(lake or Lake(folder / "lake"), self.server.url, folder / "own", night, **options)

    def asked(self) -> set[str]:
        return {asked.path.rpartition("/")[2] for asked in self.server.charts()}

    @contextmanager
    def child(self, folder: Path, night: Night):
        """A process that is ready to run the night, and the connection by which to tell it."""
        own = folder / night.run
        own.mkdir(parents=True, exist_ok=True)
        here, there = PROCESSES.Pipe()
        process = PROCESSES.Process(
            target=run_when_told,
            args=(there, folder / "lake", self.server.url, own, night),
            daemon=True,
        )
        process.start()
        there.close()
        with here:
            assert here.recv() == "ready"
            yield process, here
        process.join()
        process.close()


def view(folder: Path, session: date, now: datetime) -> dict[str, pl.DataFrame]:
    """What is known of the world at `now`, by content."""
    lake = Lake(folder / "lake")
    return {
        t: lake.read(t, cutoff=session, known_by=now).select(table_named(t).content) for t in SEEN
    }


def differing(ours: dict[str, pl.DataFrame], theirs: dict[str, pl.DataFrame]) -> list[str]:
    return [t for t in SEEN if not ours[t].equals(theirs[t])]


@pytest.fixture(scope="module")
def world():
    with Replay(listings(), session_close("XNYS", FIRST)) as server:
        yield World(server)


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """Two nights in one go: their folders, their views, and how long each took in a process."""
    folders, views, seconds = {}, {}, {}
    folder = tmp_path_factory.mktemp("undisturbed")
    for session in (FIRST, LATER):
        night = world.night(session)
        world.turn_to(session)
        with world.child(folder, night) as (_, child):
            begun = time.monotonic()
            child.send("begin")
            assert child.recv() == "done"
            seconds[session] = time.monotonic() - begun
        views[session] = view(folder, session, night.now)
        folders[session] = tmp_path_factory.mktemp("after") / "root"
        shutil.copytree(folder / "lake", folders[session] / "lake")
    return folders, views, seconds


def test_the_undisturbed_nights_have_all_that_can_go_wrong_in_them(undisturbed):
    _, views, _ = undisturbed
    first, later = views[FIRST], views[LATER]
    stale = [(s, DAYS[30]) for s in ("S03", "S06", "S09")]
    assert first["bars"].filter("held").select("symbol", "date").rows() == stale
    held = later["bars"].filter("held").select("symbol", "date").rows()
    assert held == sorted([*stale, *((s, DAYS[61]) for s in ("S03", "S06", "S09"))])
    assert first["actions"].select("date", "kind").rows() == [(DAYS[20], "dividend")]
    assert later["actions"].select("date", "kind").rows() == [
        (DAYS[20], "dividend"),
        (LATER, "dividend"),
        (LATER, "split"),
    ]
    closed = ("S07", SATURDAY, "off_calendar")
    assert first["quarantine"].select("symbol", "date", "rule").rows() == [closed]
    assert later["quarantine"].select("symbol", "date", "rule").rows() == [
        ("S02", DAYS[58], "unit_error"),
        closed,
    ]
    was, now = (
        v["bars"].filter(symbol="S01", date=DAYS[59])["close"].item() for v in views.values()
    )
    assert now == pytest.approx(1.02 * was)


class Stopped(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


class StoppingLake(Lake):
    """A lake whose process dies just before its first append to `table`, or at its `number`-th."""

    def __init__(self, folder: Path, table: str, number: int = 1) -> None:
        super().__init__(folder)
        self.table, self.left = table, number

    def append(
        self, table: str, rows: pl.DataFrame, known_at: datetime, first: bool = False
    ) -> int:
        self.left -= table == self.table
        if self.left == 0:
            raise Stopped
        return super().append(table, rows, known_at, first)


def complete(world: World, folder: Path, session: date, undisturbed) -> None:
    """Runs the night once more: it asks for nothing logged, and ends in the undisturbed view."""
    _, views, _ = undisturbed
    night = world.night(session, A_WHILE, "again")
    broken = view(folder, session, night.now)
    log = Lake(folder / "lake").read("fetch_log", cutoff=session, known_by=night.now, since=session)
    assert all(rows.height <= views[session][t].height for t, rows in broken.items())
    world.server.log.clear()
    world.run(folder, night)
    assert world.asked() == set(SYMBOLS) - set(log["symbol"])
    assert differing(view(folder, session, night.now), views[session]) == []


def as_after(session: date, undisturbed, folder: Path) -> Path:
    """A folder that stands as it did before the night of `session`."""
    if session == LATER:
        shutil.copytree(undisturbed[0][FIRST] / "lake", folder / "lake")
    return folder


@pytest.mark.parametrize(
    ("session", "table"),
    [
        pytest.param(FIRST, "fetch_log", id="first night, log"),
        pytest.param(LATER, "actions", id="later night, actions"),
        pytest.param(LATER, "bars", id="later night, bars"),
        pytest.param(LATER, "fetch_log", id="later night, log"),
    ],
)
def test_a_batch_that_is_stopped_before_a_table_is_written_ends_the_same(
    world, undisturbed, tmp_path, session, table
):
    folder = as_after(session, undisturbed, tmp_path)
    world.turn_to(session)
    stopping = StoppingLake(folder / "lake", table)
    with pytest.raises(Stopped):
        world.run(folder, world.night(session), stopping, batches=1)
    complete(world, folder, session, undisturbed)


def test_a_night_that_is_stopped_before_it_is_closed_ends_the_same(world, undisturbed, tmp_path):
    folder = as_after(LATER, undisturbed, tmp_path)
    world.turn_to(LATER)
    # One batch has written its bars; the next ones are those that many symbols repeat.
    stopping = StoppingLake(folder / "lake", "bars", number=2)
    with pytest.raises(Stopped):
        world.run(folder, world.night(LATER), stopping, batches=1)
    complete(world, folder, LATER, undisturbed)


def kill_one_moment(world: World, undisturbed, folder: Path, number: int, of: int) -> None:
    """Kills the process of a night in the `number`-th part of `of` of the two nights' time."""
    seconds = undisturbed[2]
    moment = (number + random.Random(number).random()) / of * sum(seconds.values())
    session = FIRST if moment < seconds[FIRST] else LATER
    as_after(session, undisturbed, folder)
    world.turn_to(session)
    with world.child(folder, world.night(session)) as (process, child):
        child.send("begin")
        time.sleep(moment - (seconds[FIRST] if session == LATER else 0))
        process.kill()
    complete(world, folder, session, undisturbed)
    if session == FIRST:
        world.turn_to(LATER)
        world.run(folder, world.night(LATER))
        after = view(folder, LATER, world.night(LATER).now)
        assert differing(after, undisturbed[1][LATER]) == []


@pytest.mark.parametrize("number", range(3))
def test_a_night_killed_at_one_of_three_moments_is_completed(world, undisturbed, tmp_path, number):
    kill_one_moment(world, undisturbed, tmp_path, number, of=3)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_a_night_killed_at_one_of_twenty_moments_is_completed(world, undisturbed, tmp_path, number):
    kill_one_moment(world, undisturbed, tmp_path, number, of=20)


@pytest.mark.parametrize(
    ("session", "apart"), [(FIRST, 0), (LATER, 3)], ids=["at once", "3 s apart"]
)
def test_two_runs_at_once_leave_what_one_undisturbed_run_does(
    world, undisturbed, tmp_path, session, apart
):
    folder = as_after(session, undisturbed, tmp_path)
    world.turn_to(session)
    nights = [world.night(session, timedelta(seconds=k * apart), f"run-{k}") for k in range(2)]
    with world.child(folder, nights[0]) as (_, one), world.child(folder, nights[1]) as (_, other):
        for child in (one, other):
            child.send("begin")
        assert [one.recv(), other.recv()] == ["done", "done"]
    for table in (*SEEN, "fetch_log"):
        shape = table_named(table)
        stored = pl.read_delta(f"{folder}/lake/{table}")
        # What a run of an earlier instant relies on is known at that instant too.
        assert not stored.select(*shape.content, "known_at").is_duplicated().any(), table
        seen = Lake(folder / "lake").read(table, cutoff=session, known_by=nights[1].now)
        assert not seen.select(shape.key).is_duplicated().any(), table
    for night in nights:
        assert differing(view(folder, session, night.now), undisturbed[1][session]) == []
