"""The end of a night: ceilings, the universe's repeats, sessions that the source has lost."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from models.errors import DataError
from tasks.ingest.closing import NightReport, close_night
from tasks.ingest.holdings import Night
from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import session_close, sessions
from tasks.lake.store import Lake
from tasks.lake.tables import FETCH_LOG, SECURITIES
from tests.ingest.nights import DAYS
from tests.lake.frames import bars

SESSION = DAYS[40]
TEN = [f"S{k}" for k in range(10)]
CLOSE = session_close("XNYS", SESSION)


def at(minutes: int) -> datetime:
    return CLOSE + timedelta(minutes=60 + minutes)


class World:
    """A lake into which a night's answers and bars are written by hand."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def logged(self, symbols: Sequence[str], minutes: int = 0, **changes) -> None:
        texts = {"source": "here", "outcome": "ok", "finding": "same", "detail": "", "run": "one"}
        days = {"session": SESSION, "asked_from": DAYS[36], "first": DAYS[36], "last": SESSION}
        numbers = {"rows": 5, "new_rows": 1, "refused": 0, "held": 0, "requests": 1}
        row = {**texts, "fingerprint": "", **days, **numbers, **changes}
        rows = [{"symbol": s, **row} for s in symbols]
        self.lake.append("fetch_log", pl.DataFrame(rows, dict(FETCH_LOG.columns)), at(minutes))

    def failed(self, symbols: Sequence[str], outcome: str = "transient", **changes) -> None:
        nothing = {"rows": 0, "new_rows": 0, "first": None, "last": None, "finding": ""}
        self.logged(symbols, **{"outcome": outcome, "detail": "HTTP 503", **nothing, **changes})

    def listed(
        self, symbols: Sequence[str], status: str = "listed", exchange: str = "XNYS"
    ) -> None:
        rows = [{"symbol": s, "status": status, "exchange": exchange} for s in symbols]
        self.lake.append("securities", pl.DataFrame(rows, dict(SECURITIES.columns)), at(0))

    def holds(
        self,
        symbols: Sequence[str],
        days: Sequence[date],
        repeats: Sequence[date] = (),
        minutes: int = 0,
        flags: str = "",
    ) -> None:
        """Stores bars that rise by 1 a session; on `repeats` they repeat the one before."""
        rows, close = [], 10.0
        for day in days:
            close += day not in repeats
            rows += [(s, day, close + k) for k, s in enumerate(symbols)]
        frame = bars(rows).with_columns(flags=pl.lit(flags), held=pl.lit(flags == "jump"))
        self.lake.append("bars", frame, at(minutes))

    def close(self, symbols: Sequence[str], minutes: int = 0, **choices) -> NightReport:
        quality = QualitySpec(**{"stale_symbols": 3, **choices})
        night = Night(SESSION, "XNYS", at(minutes), "one", quality)
        return close_night(self.lake, symbols, night)

    def verdicts(self, day: date, minutes: int = 0) -> list[tuple[str, str, bool]]:
        seen = self.lake.read("bars", cutoff=day, since=day, known_by=at(minutes))
        return seen.select("symbol", "flags", "held").rows()


@pytest.fixture
def world(tmp_path):
    return World(Lake(tmp_path))


# Ceilings.


def test_a_refusal_ceiling_stops_the_run_and_every_run_after_it_until_something_changes(world):
    world.logged(["A"], rows=300, refused=20)
    world.logged(["B"], rows=3000)
    message = (
        r"A lost 20 of 300 bars to quarantine \(6.67% of 300\), more than "
        "max_refused_per_symbol=0.05 allows"
    )
    for minutes in (0, 5):
        with pytest.raises(DataError, match=message):
            world.close(["A", "B"], minutes).enforce()
    world.logged(["A"], minutes=10, run="two", rows=300, refused=2)
    world.close(["A", "B"], minutes=10).enforce()


def test_the_ceiling_on_all_bars_counts_what_no_symbol_alone_exceeds(world):
    # 4 of 300 bars are 1.33 % of each symbol and of the whole.
    world.logged(["A", "B"], rows=300, refused=4)
    with pytest.raises(DataError, match=r"8 of 600 bars went to quarantine \(1.33% of 600\)"):
        world.close(["A", "B"]).enforce()
    world.close(["A", "B"], max_refused_total=0.014).enforce()


@pytest.mark.parametrize("outcome", ["transient", "rate_limited", "malformed"])
def test_more_than_a_tenth_of_the_symbols_without_an_answer_stop_the_run(world, outcome):
    world.logged(TEN[1:])
    world.failed(TEN[:1], outcome)
    report = world.close(TEN)
    report.enforce()
    assert report.warnings == ("No answer for S0; the next run asks for them again.",)
    world.failed(TEN[:2], outcome, run="two", minutes=1)
    message = (
        rf"2 of 10 symbols brought no answer \(S0, S1; S0: {outcome}, HTTP 503\), more than "
        "max_failed_symbols=0.1 allows; run again later: what has come is kept"
    )
    with pytest.raises(DataError, match=message):
        world.close(TEN, minutes=1).enforce()


def test_a_symbol_that_the_source_does_not_know_is_named_and_does_not_stop_the_run(world):
    world.logged(TEN[5:])
    world.failed(TEN[:5], "unknown_symbol")
    report = world.close(TEN)
    report.enforce()
    assert report.warnings == ("The source has no such symbol: S0, S1, S2, S3, S4.",)


def test_a_night_on_which_nothing_was_served_stops_the_run(world):
    world.failed(TEN, "unknown_symbol")
    message = rf"No source served a bar up to {SESSION} for any of 10 symbols \(S0: unknown_symbol"
    with pytest.raises(DataError, match=message):
        world.close(TEN).enforce()


def test_the_newest_answer_of_a_source_counts(world):
    world.failed(TEN)
    world.logged(TEN, minutes=5, run="two")
    assert world.close(TEN, minutes=4).symbols["outcome"].unique().to_list() == ["transient"]
    report = world.close(TEN, minutes=5)
    report.enforce()
    assert report.symbols["outcome"].unique().to_list() == ["ok"]
    assert report.symbols.height == 10


@pytest.mark.parametrize("good", ["here", "there"])
def test_of_two_sources_the_one_with_bars_tells_of_the_symbol(world, good):
    sources = {"here", "there"}
    world.failed(["A"], source=(sources - {good}).pop(), minutes=1)
    world.logged(["A"], source=good)
    report = world.close(["A"], minutes=1)
    assert report.symbols.select("symbol", "source", "outcome").rows() == [("A", good, "ok")]


def test_the_log_of_other_sessions_and_symbols_is_left_out(world):
    world.logged(["A", "OTHER"])
    world.failed(["A"], session=DAYS[39], run="yesterday", minutes=1)
    report = world.close(["A"], minutes=1)
    assert report.symbols.select("symbol", "outcome").rows() == [("A", "ok")]


def test_the_summary_counts_outcomes_and_sums(world):
    world.logged(["A", "B"], rows=6, refused=1, held=2)
    world.failed(["C"], requests=4)
    assert world.close(["A", "B", "C"]).summary == (
        "ok=2 transient=1 rows=12 new_rows=2 refused=2 held=4 requests=6"
    )


def test_what_is_not_plain_is_noteworthy_and_findings_are_warned_of(world):
    world.logged(["SAME"])
    world.logged(["NEW"], finding="")
    world.logged(["REVISED"], finding="revised")
    world.logged(["REFUSED"], refused=1)
    world.logged(["HELD"], held=1)
    world.logged(["SHIFTED"], finding="level_shift,restated_dividend")
    report = world.close(["SAME", "NEW", "REVISED", "REFUSED", "HELD", "SHIFTED"])
    noteworthy = report.symbols.filter("noteworthy")["symbol"].sort().to_list()
    assert noteworthy == ["HELD", "REFUSED", "REVISED", "SHIFTED"]
    (warning,) = report.warnings
    assert warning.startswith("level_shift in SHIFTED: ")


# Bars that many symbols repeat.


def test_bars_that_three_symbols_repeat_are_held_and_told_of(world):
    world.logged(["A", "B", "C", "D"])
    world.holds(["A", "B", "C"], DAYS[30:41], repeats=[DAYS[38]])
    world.holds(["D"], DAYS[30:41])
    report = world.close(["A", "B", "C", "D"])
    stale = "stale_across_symbols"
    assert world.verdicts(DAYS[38]) == [
        ("A", stale, True), ("B", stale, True), ("C", stale, True), ("D", "", False),
    ]  # fmt: skip
    assert {v[2] for v in (*world.verdicts(DAYS[37]), *world.verdicts(DAYS[39]))} == {False}
    assert report.stale == 3
    assert report.warnings == ("3 bars repeat the session before across symbols: held.",)


def test_repeats_that_the_source_mends_free_those_that_are_too_few_by_then(world):
    world.logged(["A", "B", "C"])
    world.holds(["A", "B", "C"], DAYS[30:41], repeats=[DAYS[38]])
    world.close(["A", "B", "C"])
    mended = bars([("C", DAYS[38], 99.0)])
    world.lake.append("bars", mended, at(1))
    report = world.close(["A", "B", "C"], minutes=2)
    assert world.verdicts(DAYS[38], minutes=2) == [(s, "", False) for s in "ABC"]
    assert report.stale == 0
    # What was believed before is still there to be read.
    assert world.verdicts(DAYS[38], minutes=0)[0] == ("A", "stale_across_symbols", True)


def test_closing_a_night_again_writes_nothing(world):
    world.logged(["A", "B", "C"])
    world.holds(["A", "B", "C"], DAYS[30:41], repeats=[DAYS[38]])
    world.close(["A", "B", "C"])
    version = world.lake.open("bars").version()
    assert world.close(["A", "B", "C"], minutes=5).stale == 3
    assert world.lake.open("bars").version() == version


def test_other_flags_stay_and_a_bar_held_for_another_reason_stays_held(world):
    world.logged(["A", "B", "C"])
    repeats = [DAYS[38]]
    world.holds(["A"], DAYS[30:41], repeats, flags="gap,zero_volume")
    world.holds(["B"], DAYS[30:41], repeats, flags="jump")
    world.holds(["C"], DAYS[30:41], repeats)
    world.close(["A", "B", "C"])
    assert world.verdicts(DAYS[38]) == [
        ("A", "gap,stale_across_symbols,zero_volume", True),
        ("B", "jump,stale_across_symbols", True),
        ("C", "stale_across_symbols", True),
    ]
    world.lake.append("bars", bars([("C", DAYS[38], 99.0)]), at(1))
    world.close(["A", "B", "C"], minutes=2)
    assert world.verdicts(DAYS[38], minutes=2) == [
        ("A", "gap,zero_volume", False), ("B", "jump", True), ("C", "", False),
    ]  # fmt: skip


def test_a_repeat_that_a_person_has_released_is_not_held_again(world):
    world.logged(["A", "B", "C"])
    world.holds(["A"], DAYS[30:41], [DAYS[38]], flags="released,stale_across_symbols")
    world.holds(["B", "C"], DAYS[30:41], [DAYS[38]])
    report = world.close(["A", "B", "C"])
    assert world.verdicts(DAYS[38])[0] == ("A", "released,stale_across_symbols", False)
    assert report.stale == 2


def test_only_as_far_back_as_enough_symbols_were_asked_for_are_repeats_looked_for(world):
    symbols = ["A", "B", "C", "D"]
    # A is new; of three symbols the third was asked for from DAYS[25] on.
    starts = (None, DAYS[20], DAYS[25], DAYS[36])
    for symbol, asked in zip(symbols, starts, strict=True):
        world.logged([symbol], asked_from=asked, first=DAYS[0])
    world.holds(symbols, DAYS[:41], repeats=[DAYS[24], DAYS[25]])
    report = world.close(symbols)
    assert {v[2] for v in world.verdicts(DAYS[24])} == {False}
    assert {v[2] for v in world.verdicts(DAYS[25])} == {True}
    assert report.stale == 4


def test_a_first_night_is_judged_back_to_its_first_session(world):
    world.logged(["A", "B", "C"], asked_from=None, first=DAYS[0])
    world.holds(["A", "B", "C"], DAYS[:41], repeats=[DAYS[1]])
    world.close(["A", "B", "C"])
    assert {v[2] for v in world.verdicts(DAYS[1])} == {True}


def test_a_repeat_of_the_last_session_of_a_span_on_the_first_of_the_next_is_found(world):
    # A history is gone through by 250 sessions: the 250th and the 251st lie in two spans.
    days = sessions("XNYS", date(2024, 8, 1), SESSION)
    world.logged(["A", "B", "C"], asked_from=None, first=days[0])
    world.holds(["A", "B", "C"], days, repeats=[days[249], days[250]])
    report = world.close(["A", "B", "C"])
    assert report.stale == 6
    assert {v[2] for d in (249, 250) for v in world.verdicts(days[d])} == {True}


# Sessions that symbols lack.


def test_a_session_that_most_symbols_lack_stops_the_run_and_is_the_sources_fault(world):
    world.logged(["A", "B", "C"])
    world.listed(["A", "B", "C"])
    world.holds(["A"], DAYS[25:41])
    world.holds(["B", "C"], DAYS[25:40])
    report = world.close(["A", "B", "C"])
    blamed = report.missing.filter("blamed").select("session", "missing", "expected").rows()
    assert blamed == [(SESSION, 2, 3)]
    assert report.warnings == (f"2 of 3 symbols lack {SESSION}: the source has lost the session.",)
    with pytest.raises(DataError, match=f"2 of 3 symbols lack the session {SESSION}: the source"):
        report.enforce()


def test_an_earlier_session_that_most_lack_is_warned_of_for_ten_sessions(world):
    world.logged(["A", "B"])
    world.listed(["A", "B"])
    world.holds(["A", "B"], [d for d in DAYS[20:41] if d not in (DAYS[30], DAYS[29], DAYS[35])])
    report = world.close(["A", "B"])
    report.enforce()
    # DAYS[30] is the first of the sessions looked at, before which nothing tells who was alive.
    assert report.warnings == (f"2 of 2 symbols lack {DAYS[35]}: the source has lost the session.",)


def test_half_of_the_symbols_lacking_a_session_are_not_the_sources_fault(world):
    world.logged(["A", "B"])
    world.listed(["A", "B"])
    world.holds(["A"], DAYS[25:41])
    world.holds(["B"], DAYS[25:40])
    report = world.close(["A", "B"])
    report.enforce()
    assert report.missing.filter(session=SESSION).select("missing", "expected").rows() == [(1, 2)]


def test_the_dead_the_new_and_those_that_trade_elsewhere_are_not_missed(world):
    symbols = ["A", "DEAD", "MISSING", "ABROAD", "NEW"]
    world.logged(symbols)
    world.listed(["A", "NEW"])
    world.listed(["DEAD"], status="delisted")
    world.listed(["MISSING"], status="missing")
    world.listed(["ABROAD"], exchange="XLON")
    world.holds(["A"], DAYS[25:41])
    world.holds(["ABROAD"], DAYS[25:41])
    world.holds(["DEAD", "MISSING"], DAYS[25:39])
    world.holds(["NEW"], DAYS[40:41])
    report = world.close(symbols)
    report.enforce()
    # A at home, ABROAD on its own exchange.
    expected = report.missing.filter(pl.col("session") > DAYS[30])["expected"].to_list()
    assert expected == [1] * 20
    assert report.missing["missing"].sum() == 0
