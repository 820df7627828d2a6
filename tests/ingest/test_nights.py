"""Whole nights of ingestion: what the lake holds after each, whatever the source has done."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from models.errors import DataError
from tasks.ingest.providers.yahoo import YahooProvider
from tasks.ingest.spec import YahooSpec
from tasks.lake.factors import back_adjusted
from tasks.lake.upkeep import compact, vacuum
from tests.ingest.nights import DAYS, Nights, as_known, market
from tests.ingest.yahoo.market import demo_listings
from tests.ingest.yahoo.replay import Replay
from tests.ingest.yahoo.session import fresh_yfinance, use_replay

YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def nights(tmp_path):
    with fresh_yfinance(tmp_path / "yfinance"), Replay(market(), YEAR) as server:
        use_replay(server.url)
        yield Nights(server, tmp_path / "lake")


def test_the_first_night_brings_all_history_as_traded(nights):
    report = nights.run(DAYS[100])
    bars = nights.bars(DAYS[100])
    assert bars.height == 3 * 101
    for listing in nights.server.listings.values():
        truth = pl.DataFrame(
            listing.tape.bars[:101],
            schema=["date", "open", "high", "low", "close", "volume"],
            orient="row",
        )
        mine = bars.filter(symbol=listing.symbol).select(truth.columns)
        for column in ("open", "high", "low", "close", "volume"):
            assert (mine[column] / truth[column] - 1).abs().max() < 1e-6
    assert not bars["held"].any()
    assert report.symbols["outcome"].to_list() == ["ok"] * 3
    report.enforce()


def test_a_warm_night_asks_once_a_symbol_for_an_overlap_of_five_and_adds_one_bar(nights):
    nights.run(DAYS[100])
    nights.server.log.clear()
    batch = nights.ingest(DAYS[101])
    assert [len(nights.server.asked(s)) for s in nights.symbols] == [1, 1, 1]
    assert (batch.bars, batch.new_rows, batch.requests) == (18, 3, 3)
    assert nights.log(DAYS[101])["S0"]["asked_from"] == DAYS[96]


def test_a_night_that_is_run_again_asks_for_nothing(nights):
    nights.run(DAYS[100])
    nights.server.log.clear()
    again = nights.ingest(DAYS[100], now=nights.at(DAYS[100]) + timedelta(minutes=5))
    assert again.kept == 3
    assert nights.server.charts() == []


def test_only_the_symbols_that_failed_are_asked_for_again(nights):
    nights.server.fault("S1", "503")
    first = nights.ingest(DAYS[100])
    assert first.failed == 1
    with pytest.raises(DataError, match=r"1 of 3 symbols brought no answer \(S1"):
        nights.close(DAYS[100]).enforce()
    nights.server.heal()
    nights.server.log.clear()
    later = nights.at(DAYS[100]) + timedelta(minutes=5)
    nights.run(DAYS[100], now=later).enforce()
    assert [a.path[-2:] for a in nights.server.charts()] == ["S1"]
    assert nights.bars(DAYS[100], later)["symbol"].unique().len() == 3


def test_a_split_between_two_nights_changes_no_row_that_is_there(tmp_path):
    split, paid = {DAYS[101]: (4.0, 1.0)}, {DAYS[60]: 0.5, DAYS[101]: 0.25}
    with (
        fresh_yfinance(tmp_path / "yfinance"),
        Replay(market(splits=split, dividends=paid), YEAR) as server,
    ):
        use_replay(server.url)
        nights = Nights(server, tmp_path / "lake")
        nights.run(DAYS[100])
        before = nights.bars(DAYS[100])
        batch = nights.ingest(DAYS[101])
        assert batch.new_rows == 3
        assert nights.bars(DAYS[101]).filter(pl.col("date") <= DAYS[100]).equals(before)
        assert nights.log(DAYS[101])["S0"]["finding"] == "restated_dividend,restated_split"
        actions = nights.lake.read("actions", cutoff=None, known_by=nights.at(DAYS[101]))
        assert actions.select("date", "kind", "value").rows() == [
            (DAYS[60], "dividend", pytest.approx(0.5)),
            (DAYS[101], "dividend", pytest.approx(0.25)),
            (DAYS[101], "split", 4.0),
        ]
        assert not nights.bars(DAYS[101])["held"].any()


def test_a_revised_bar_is_a_new_row_and_past_nights_see_the_old_one(nights):
    nights.run(DAYS[100])
    old = nights.bar("S0", DAYS[99])["close"]
    nights.server.fault("S0", "revised", day=DAYS[99], factor=1.02)
    nights.run(DAYS[101])
    assert nights.log(DAYS[101])["S0"]["finding"] == "revised"
    assert nights.bar("S0", DAYS[99])["close"] == pytest.approx(1.02 * old)
    past = nights.lake.read("bars", cutoff=DAYS[100], known_by=nights.at(DAYS[100]))
    assert past.filter(symbol="S0", date=DAYS[99])["close"].item() == old


def test_a_held_bar_served_at_a_hundred_times_its_price_is_refused_and_the_held_one_stays(nights):
    nights.run(DAYS[100])
    old = nights.bar("S0", DAYS[99])
    nights.server.fault("S0", "revised", day=DAYS[99], factor=100.0)
    nights.run(DAYS[101])
    assert nights.bar("S0", DAYS[99]) == old
    refused = nights.lake.read("quarantine", cutoff=None, known_by=nights.at(DAYS[101]))
    assert refused.select("symbol", "date", "rule").rows() == [("S0", DAYS[99], "unit_error")]
    assert refused["close"].item() == pytest.approx(100 * old["close"])


def test_a_new_bar_at_a_hundred_times_the_level_is_held_until_the_source_mends_it(nights):
    nights.run(DAYS[100])
    nights.server.fault("S0", "revised", day=DAYS[101], factor=100.0)
    nights.run(DAYS[101])
    held = nights.bar("S0", DAYS[101])
    assert held["held"]
    assert "unit_error_level" in held["flags"]
    nights.run(DAYS[102])
    assert nights.bar("S0", DAYS[101])["held"], "a second equal fetch confirmed it"
    nights.server.heal()
    nights.run(DAYS[103])
    mended = nights.bar("S0", DAYS[101])
    assert not mended["held"]
    assert mended["close"] == pytest.approx(held["close"] / 100)


def test_a_jump_is_held_the_night_it_comes_and_released_by_the_next_one(nights):
    nights.run(DAYS[100])
    for day in DAYS[101:110]:
        nights.server.fault("S0", "revised", day=day, factor=0.69)
    nights.run(DAYS[101])
    assert nights.bar("S0", DAYS[101])["held"]
    assert nights.bar("S0", DAYS[101])["flags"] == "jump"
    nights.run(DAYS[102])
    assert nights.bar("S0", DAYS[101])["flags"] == "large_move"
    assert not nights.bar("S0", DAYS[101])["held"]
    assert not nights.bar("S0", DAYS[102])["held"]


def test_a_past_night_run_again_later_does_not_forget_what_is_known_since(nights):
    nights.run(DAYS[100])
    for day in DAYS[101:110]:
        nights.server.fault("S0", "revised", day=day, factor=0.69)
    for day in DAYS[101:104]:
        nights.run(day)
    view, now = nights.bars(DAYS[103]), nights.at(DAYS[103]) + timedelta(hours=1)
    assert nights.bar("S0", DAYS[101])["flags"] == "large_move"
    nights.server.log.clear()
    for day in (DAYS[101], DAYS[90]):
        assert nights.ingest(day, run="again", now=now).new_rows == 0
    assert nights.bars(DAYS[103], now).equals(view)
    # The night that was logged asks nothing, the one that was not its overlap alone.
    assert [len(nights.server.asked(s)) for s in nights.symbols] == [1, 1, 1]


def test_a_split_of_which_no_event_tells_yet_is_held_until_the_event_comes(tmp_path):
    split = {DAYS[101]: (4.0, 1.0)}
    with fresh_yfinance(tmp_path / "yfinance"), Replay(market(splits=split), YEAR) as server:
        use_replay(server.url)
        nights = Nights(server, tmp_path / "lake")
        nights.run(DAYS[100])
        before = nights.bars(DAYS[100])
        server.fault("S0", "missing_split")
        for day in DAYS[101:104]:
            nights.run(day)
            assert nights.bar("S0", day)["held"], day
        server.heal()
        nights.run(DAYS[104])
        bars = nights.bars(DAYS[104])
        assert not bars["held"].any()
        assert bars.filter(pl.col("date") <= DAYS[100]).equals(before)
        truth = [b[4] for b in server.listings["S0"].tape.bars[:105]]
        mine = bars.filter(symbol="S0")["close"].to_list()
        assert mine == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("night", [103, 104, 105, 106])
def test_an_answer_that_has_lost_its_splits_rewrites_and_withdraws_nothing(tmp_path, night):
    splits, paid = {DAYS[30]: (2.0, 1.0), DAYS[101]: (4.0, 1.0)}, {DAYS[20]: 0.7, DAYS[60]: 0.5}
    with (
        fresh_yfinance(tmp_path / "yfinance"),
        Replay(market(splits=splits, dividends=paid), YEAR) as server,
    ):
        use_replay(server.url)
        nights = Nights(server, tmp_path / "lake")
        for day in DAYS[100:night]:
            nights.run(day)
        before = as_known(nights.lake, DAYS[night - 1], nights.at(DAYS[night - 1]))
        server.fault("S0", "missing_split")
        nights.run(DAYS[night])
        after = nights.lake.read("actions", cutoff=None, known_by=nights.at(DAYS[night]))
        assert after.filter(kind="split").rows() == [
            ("S0", day, "split", new, "yahoo", "") for day, (new, _) in splits.items()
        ]
        assert as_known(nights.lake, DAYS[night - 1], nights.at(DAYS[night])) == before
        server.heal()
        for day in DAYS[night + 1 : night + 4]:
            nights.run(day)
        bars = nights.bars(DAYS[night + 3]).filter(symbol="S0")
        assert not bars["held"].any()
        truth = [b[4] for b in server.listings["S0"].tape.bars[: night + 4]]
        assert bars["close"].to_list() == pytest.approx(truth, rel=1e-6)


def test_a_source_that_forgets_most_symbols_stops_the_run(nights):
    nights.server.add(market(5)[3:])
    nights.run(DAYS[100])
    for symbol in ("S0", "S1", "S2"):
        nights.server.fault(symbol, "delisted")
    with pytest.raises(DataError, match=r"3 of 5 symbols brought no answer \(S0, S1, S2"):
        nights.run(DAYS[101]).enforce()


def test_a_night_without_an_answer_bears_out_no_jump(nights):
    nights.run(DAYS[100])
    nights.server.fault("S0", "revised", day=DAYS[101], factor=0.69)
    nights.run(DAYS[101])
    nights.server.fault("S0", "503")
    nights.run(DAYS[102])
    assert nights.bar("S0", DAYS[101])["held"]


def test_a_source_that_stood_still_through_a_pause_is_blamed(nights):
    nights.run(DAYS[80])
    nights.server.asof = DAYS[80]
    with pytest.raises(DataError, match=rf"3 of 3 symbols lack the session {DAYS[100]}"):
        nights.run(DAYS[100]).enforce()


def test_a_level_shift_is_asked_for_in_full_and_a_passing_one_leaves_no_trace(nights):
    nights.run(DAYS[100])
    before = nights.bars(DAYS[100])
    nights.server.log.clear()
    nights.server.fault("S0", "level_shift", factor=1.3, times=1)
    nights.run(DAYS[101])
    asked = nights.server.asked("S0")
    assert len(asked) == 2
    assert int(asked[1].params["period1"]) < int(asked[0].params["period1"])
    bars = nights.bars(DAYS[101])
    assert bars.filter(pl.col("date") <= DAYS[100]).equals(before)
    assert not bars["held"].any()


def test_a_level_shift_that_stays_is_reported_and_its_new_bars_are_held(nights):
    nights.run(DAYS[100])
    before = nights.bars(DAYS[100])
    nights.server.fault("S0", "level_shift", factor=1.3)
    report = nights.run(DAYS[101])
    assert nights.log(DAYS[101])["S0"]["finding"] == "level_shift"
    assert any("level_shift in S0" in w for w in report.warnings)
    new = nights.bar("S0", DAYS[101])
    assert new["held"]
    assert "level_shift" in new["flags"]
    assert nights.bars(DAYS[101]).filter(pl.col("date") <= DAYS[100]).equals(before)
    nights.server.heal()
    nights.run(DAYS[102])
    assert not nights.bars(DAYS[102])["held"].any()


@pytest.mark.parametrize("kind", ["nan_bar", "lost_session"])
def test_a_last_bar_that_is_missing_for_one_symbol_is_asked_for_the_next_night(nights, kind):
    nights.run(DAYS[100])
    nights.server.fault("S0", kind, day=DAYS[101])
    nights.run(DAYS[101]).enforce()
    held = nights.bars(DAYS[101]).filter(date=DAYS[101])["symbol"].to_list()
    assert held == ["S1", "S2"]
    nights.server.heal()
    nights.run(DAYS[102])
    assert nights.bars(DAYS[102]).filter(date=DAYS[101]).height == 3


def test_a_session_lost_for_all_is_the_fault_of_the_source_and_stops_the_run(nights):
    nights.run(DAYS[100])
    nights.server.fault("*", "lost_session", day=DAYS[101])
    report = nights.run(DAYS[101])
    with pytest.raises(DataError, match=rf"3 of 3 symbols lack the session {DAYS[101]}"):
        report.enforce()
    assert nights.bars(DAYS[101]).height == 3 * 101
    nights.server.heal()
    later = nights.at(DAYS[101]) + timedelta(hours=1)
    nights.run(DAYS[101], now=later).enforce()
    assert nights.bars(DAYS[101], later).height == 3 * 102


def test_a_live_partial_bar_never_enters(nights):
    # At noon of the next session the source serves half of its bar.
    noon = datetime.combine(DAYS[101], datetime.min.time(), UTC) + timedelta(hours=17)
    nights.server.fault("*", "live")
    nights.run(DAYS[100], now=noon)
    assert nights.bars(DAYS[101], noon)["date"].max() == DAYS[100]


def test_another_currency_is_refused_by_its_name(nights):
    nights.run(DAYS[100])
    before = nights.bars(DAYS[100])
    nights.server.fault("S0", "wrong_currency")
    nights.run(DAYS[101])
    refused = nights.lake.read("quarantine", cutoff=None, known_by=nights.at(DAYS[101]))
    assert refused["rule"].unique().to_list() == ["wrong_currency"]
    assert nights.bars(DAYS[101]).filter(symbol="S0").equals(before.filter(symbol="S0"))


def test_only_the_sources_word_on_three_sessions_in_a_row_makes_a_symbol_delisted(nights):
    nights.run(DAYS[100])
    states = []
    for number, day in enumerate(DAYS[101:107]):
        nights.server.heal()
        # One night in between it is merely out of order, and one it is there again.
        if number != 5:
            nights.server.fault("S0", "503" if number == 1 else "delisted")
        nights.run(day)
        rows = nights.lake.read("securities", cutoff=None, known_by=nights.at(day))
        states.append(rows.filter(symbol="S0")["status"].item())
    assert states == ["missing", "missing", "missing", "missing", "delisted", "listed"]


def seen_night_by_night(nights, days):
    return {day: (nights.run(day), as_known(nights.lake, day, nights.at(day)))[1] for day in days}


def grow(nights, commits):
    """Commits so many more nights of other symbols, one by one, after all that was seen."""
    bars = nights.bars(DAYS[-1]).head(1)
    for number in range(commits):
        row = bars.with_columns(symbol=pl.lit(f"OTHER{number % 7}"), close=pl.lit(1.0 + number))
        nights.lake.append("bars", row, nights.at(DAYS[-1]) + timedelta(minutes=number))


@pytest.mark.parametrize("commits", [20, pytest.param(250, marks=pytest.mark.slow)])
def test_thirty_nights_are_rebuilt_to_the_bit_and_equal_one_load_of_it_all(tmp_path, commits):
    days = DAYS[70:100]
    actions = {
        "splits": {days[12]: (3.0, 1.0)},
        "dividends": {DAYS[20]: 0.7, days[5]: 0.4, days[20]: 0.2},
    }
    with fresh_yfinance(tmp_path / "yfinance"), Replay(market(**actions), YEAR) as server:
        use_replay(server.url)
        nights = Nights(server, tmp_path / "lake")
        seen = seen_night_by_night(nights, days[:15])
        server.fault("S1", "revised", day=days[13], factor=1.01)
        seen |= seen_night_by_night(nights, days[15:])
        compacted = compact(nights.lake, "bars") + compact(nights.lake, "actions")
        assert compacted >= 30
        assert vacuum(nights.lake, "bars", timedelta(0)) >= 30
        grow(nights, commits)
        for day, digests in seen.items():
            assert as_known(nights.lake, day, nights.at(day)) == digests, day
        at_once = Nights(server, tmp_path / "another")
        at_once.run(days[-1])
        ours, theirs = (n.bars(days[-1]) for n in (nights, at_once))
        exact = ["symbol", "date", "flags", "held", "final", "source"]
        assert ours.select(exact).equals(theirs.select(exact))
        for column in ("open", "high", "low", "close", "volume"):
            assert (ours[column] / theirs[column] - 1).abs().max() < 1e-6


def test_back_adjusted_closes_are_the_sources_own(tmp_path):
    listings = [x for x in demo_listings(sessions=250) if x.symbol != "FUND"]
    with fresh_yfinance(tmp_path / "yfinance"), Replay(listings, YEAR) as server:
        use_replay(server.url)
        spec = YahooSpec(requests_per_second=100)
        served = YahooProvider(spec).fetch({x.symbol: None for x in listings}, YEAR.date(), YEAR)
    ours = back_adjusted(served.bars, served.actions)
    assert len(listings) == ours["symbol"].n_unique() == 11
    assert served.actions["kind"].unique().sort().to_list() == ["dividend", "split"]
    assert (ours["close"] / served.bars["adj_close"] - 1).abs().max() < 1e-6
