"""Another source stands in for single symbols: what it may fill, and what it may not."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tasks.ingest.providers.tiingo import KEY as KEY_NAME
from tasks.ingest.providers.tiingo import TiingoProvider
from tasks.ingest.spec import QualitySpec, TiingoSpec
from tests.ingest.nights import DAYS, Nights, market
from tests.ingest.tiingo_replay import KEY, TiingoReplay, row
from tests.ingest.yahoo.market import Listing, random_tape
from tests.ingest.yahoo.replay import Replay
from tests.ingest.yahoo.session import fresh_yfinance, use_replay

LAST, NEXT, AFTER = DAYS[40], DAYS[41], DAYS[42]


def told(listing: Listing, factor: float = 1.0, last: date = DAYS[-1]) -> list[dict]:
    """A listing's as-traded bars as Tiingo writes them, all prices times `factor`."""
    rows = []
    for day, *prices, volume in listing.tape.bars:
        new, old = listing.tape.splits.get(day, (1, 1))
        o, h, low, c = (price * factor for price in prices)
        events = {"splitFactor": new / old, "divCash": listing.tape.dividends.get(day, 0.0)}
        if day <= last:
            rows.append(row(str(day), c, open=o, high=h, low=low, volume=volume, **events))
    return rows


@dataclass
class Pair:
    """Nights of Yahoo with Tiingo behind it."""

    nights: Nights
    other: TiingoReplay

    def tells(self, symbol: str, factor: float = 1.0, last: date = DAYS[-1]) -> None:
        self.other.rows[symbol] = told(self.nights.server.listings[symbol], factor, last)

    def asked(self) -> set[str]:
        return {asked.ticker for asked in self.other.asked}

    def log(self, session: date) -> dict[tuple[str, str], dict]:
        rows = self.nights.lake.read(
            "fetch_log", cutoff=session, since=session, known_by=self.nights.at(DAYS[-1])
        )
        return {(r["symbol"], r["source"]): r for r in rows.iter_rows(named=True)}

    def sources(self, symbol: str, since: date) -> dict[date, str]:
        bars = self.nights.bars().filter(pl.col("date") >= since, symbol=symbol)
        return dict(bars.select("date", "source").iter_rows())

    def refused(self) -> pl.DataFrame:
        return self.nights.lake.read("quarantine", cutoff=None, known_by=self.nights.at(DAYS[-1]))


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_NAME, KEY)
    now = datetime(2027, 1, 1, tzinfo=UTC)
    # One failed symbol of three is too many for a run, and here the subject.
    quality = QualitySpec(max_failed_symbols=1.0)
    with (
        fresh_yfinance(tmp_path / "yfinance"),
        Replay(market(splits={AFTER: (2.0, 1.0)}), now) as server,
        TiingoReplay({}) as other,
    ):
        use_replay(server.url)
        spec = TiingoSpec(url=other.url, requests_per_second=1000, timeout_seconds=5)
        nights = Nights(server, tmp_path / "lake", quality)
        nights.fallback = TiingoProvider(spec, sleep=nights.waits.append)
        yield Pair(nights, other)


def test_symbols_that_the_primary_serves_are_never_asked_of_the_fallback(pair):
    pair.nights.run(LAST)
    pair.nights.run(NEXT)
    assert pair.asked() == set()
    pair.nights.server.fault("S1", "503")
    pair.tells("S1")
    pair.nights.run(AFTER)
    assert pair.asked() == {"S1"}


@pytest.mark.parametrize("kind", ["503", "delisted", "lost_session", "nan_bar"])
def test_a_session_that_the_primary_fails_to_serve_comes_from_a_fallback_that_agrees(pair, kind):
    pair.nights.run(LAST)
    before = pair.nights.bars(LAST)
    pair.nights.server.fault("S0", kind, day=NEXT)
    pair.tells("S0")
    report = pair.nights.run(NEXT)
    report.enforce()
    assert pair.sources("S0", LAST) == {LAST: "yahoo", NEXT: "tiingo"}
    truth = pair.nights.server.listings["S0"].tape.bars[41]
    bar = pair.nights.bar("S0", NEXT)
    assert [bar[c] for c in ("open", "high", "low", "close", "volume")] == pytest.approx(truth[1:])
    assert bar["final"]
    assert not bar["held"]
    assert pair.nights.bars(NEXT).filter(pl.col("date") <= LAST).equals(before)
    shown = report.symbols.filter(symbol="S0")
    assert shown.select("source", "outcome").rows() == [("tiingo", "ok")]
    assert pair.refused().filter(source="tiingo").is_empty()
    assert report.warnings == ()


def test_the_fallback_is_asked_for_an_overlap_of_five_and_what_is_missing(pair):
    pair.nights.run(LAST)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    pair.nights.run(NEXT)
    assert [a.query["startDate"] for a in pair.other.asked] == [str(DAYS[36])]
    assert pair.log(NEXT)["S0", "tiingo"]["asked_from"] == DAYS[36]
    assert pair.log(NEXT)["S0", "tiingo"]["new_rows"] == 1


def test_a_fallback_that_disagrees_is_refused_with_a_finding_and_a_warning(pair):
    pair.nights.run(LAST)
    before = pair.nights.bars(LAST)
    pair.nights.server.fault("S0", "503")
    # Two thousandths off: more than two sources of one tape differ by.
    pair.tells("S0", factor=1.002)
    report = pair.nights.run(NEXT)
    assert pair.nights.bars(NEXT).filter(symbol="S0").equals(before.filter(symbol="S0"))
    assert pair.log(NEXT)["S0", "tiingo"]["finding"] == "source_mismatch"
    refused = pair.refused()
    assert refused.select("symbol", "date", "rule", "source").rows() == [
        ("S0", day, "source_mismatch", "tiingo") for day in DAYS[36:42]
    ]
    warned = [w for w in report.warnings if w.startswith("source_mismatch in S0: ")]
    assert len(warned) == 1
    assert "S0" in report.symbols.filter("noteworthy")["symbol"]


def test_a_fallback_with_one_bar_of_five_that_disagrees_is_refused(pair):
    pair.nights.run(LAST)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    at = DAYS.index(DAYS[38])
    pair.other.rows["S0"][at] |= {"close": pair.other.rows["S0"][at]["low"]}
    pair.nights.run(NEXT)
    assert NEXT not in pair.sources("S0", LAST)
    assert pair.log(NEXT)["S0", "tiingo"]["finding"] == "source_mismatch"


@pytest.mark.parametrize(("overlap", "filled"), [(4, False), (5, True)])
def test_agreement_needs_five_sessions_in_common(pair, overlap, filled):
    pair.nights.run(LAST)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    pair.other.rows["S0"] = pair.other.rows["S0"][41 - overlap :]
    pair.nights.run(NEXT)
    assert (NEXT in pair.sources("S0", LAST)) is filled
    assert pair.refused().filter(rule="source_mismatch").is_empty() is filled


@pytest.mark.parametrize(
    "said",
    [{"splitFactor": 3.0}, {"divCash": 0.0}],
    ids=["a split of its own", "no dividend where there is one"],
)
def test_the_actions_of_a_fallback_that_disagrees_are_refused_with_its_bars(pair, said):
    tape = pair.nights.server.listings["S0"].tape
    tape.dividends[DAYS[38]] = 0.5
    pair.nights.run(LAST)
    stated = pair.nights.lake.read("actions", cutoff=None, known_by=pair.nights.at(LAST))
    assert stated.select("date", "kind", "value").rows() == [
        (DAYS[38], "dividend", pytest.approx(0.5))
    ]
    pair.nights.server.fault("S0", "503")
    # Another company of that name, say.
    pair.tells("S0", factor=7.0)
    pair.other.rows["S0"][38] |= said
    pair.nights.run(NEXT)
    assert pair.log(NEXT)["S0", "tiingo"]["finding"] == "source_mismatch"
    after = pair.nights.lake.read("actions", cutoff=None, known_by=pair.nights.at(NEXT))
    assert after.equals(stated)


def test_held_bars_are_no_overlap_to_agree_on(pair):
    for day in DAYS[36:]:
        pair.nights.server.fault("S0", "revised", day=day, factor=100.0)
    pair.nights.run(LAST)
    assert pair.nights.bars(LAST).filter("held")["date"].to_list() == DAYS[36:41]
    pair.nights.server.fault("S0", "503")
    # The fallback repeats the very values that are held.
    pair.tells("S0")
    for number in range(36, 60):
        sound = pair.other.rows["S0"][number]
        scaled = {c: 100 * sound[c] for c in ("open", "high", "low", "close")}
        pair.other.rows["S0"][number] = sound | scaled
    pair.other.rows["S0"] = pair.other.rows["S0"][36:]
    pair.nights.run(NEXT)
    assert NEXT not in pair.sources("S0", LAST)


def test_a_symbol_that_only_the_fallback_knows_comes_from_it_whole(pair):
    new = Listing("NEW", random_tape(DAYS, 9, {DAYS[10]: (3.0, 1.0)}, {DAYS[20]: 0.5}))
    pair.nights.server.add([new])
    pair.nights.server.fault("NEW", "delisted")
    pair.tells("NEW")
    report = pair.nights.run(LAST)
    assert [a.query["startDate"] for a in pair.other.asked] == ["1960-01-01"]
    bars = pair.nights.bars(LAST).filter(symbol="NEW")
    assert bars["source"].unique().to_list() == ["tiingo"]
    assert bars["close"].to_list() == pytest.approx([b[4] for b in new.tape.bars[:41]])
    assert not bars["held"].any()
    actions = pair.nights.lake.read("actions", cutoff=None, known_by=pair.nights.at(LAST))
    assert actions.select("symbol", "date", "kind", "value").rows() == [
        ("NEW", DAYS[10], "split", 3.0),
        ("NEW", DAYS[20], "dividend", 0.5),
    ]
    assert report.symbols.filter(symbol="NEW")["source"].to_list() == ["tiingo"]
    report.enforce()


def test_a_symbol_that_neither_knows_is_named_and_has_no_bars(pair):
    pair.nights.server.add([Listing("NONE", random_tape(DAYS, 9))])
    pair.nights.server.fault("NONE", "delisted")
    report = pair.nights.run(LAST)
    assert "The source has no such symbol: NONE." in report.warnings
    assert pair.nights.bars(LAST).filter(symbol="NONE").is_empty()
    assert {k for k in pair.log(LAST) if k[0] == "NONE"} == {("NONE", "yahoo"), ("NONE", "tiingo")}


def test_when_the_primary_is_back_nothing_is_rewritten(pair):
    pair.nights.run(LAST)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    pair.nights.run(NEXT)
    held = pair.nights.bars(NEXT)
    pair.nights.server.heal()
    pair.other.asked.clear()
    # On that day S0 splits, and Yahoo divides all that it said before.
    batch = pair.nights.ingest(AFTER)
    pair.nights.close(AFTER)
    assert pair.asked() == set()
    assert batch.new_rows == 3
    assert pair.nights.bars(AFTER).filter(pl.col("date") <= NEXT).equals(held)
    assert pair.sources("S0", LAST) == {LAST: "yahoo", NEXT: "tiingo", AFTER: "yahoo"}
    assert not pair.nights.bars(AFTER)["held"].any()


def test_a_split_that_the_fallback_told_of_is_no_news_when_the_primary_is_back(pair):
    pair.nights.run(NEXT)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    pair.nights.run(AFTER)
    assert pair.sources("S0", NEXT) == {NEXT: "yahoo", AFTER: "tiingo"}
    known = pair.nights.at(DAYS[43])
    held = pair.nights.bars(AFTER)
    pair.nights.server.heal()
    pair.nights.run(DAYS[43])
    assert pair.nights.bars(DAYS[43]).filter(pl.col("date") <= AFTER).equals(held)
    actions = pair.nights.lake.read("actions", cutoff=None, known_by=known)
    assert actions.select("date", "kind", "value").rows() == [(AFTER, "split", 2.0)]
    assert not pair.nights.bars(DAYS[43])["held"].any()


def test_nothing_of_the_primary_is_spliced_onto_a_fallbacks_history_it_disagrees_with(pair):
    pair.nights.server.fault("S0", "503")
    pair.tells("S0", factor=1.5)
    pair.nights.run(LAST)
    before = pair.nights.bars(LAST).filter(symbol="S0")
    assert before["source"].unique().to_list() == ["tiingo"]
    pair.nights.server.heal()
    report = pair.nights.run(NEXT)
    assert pair.log(NEXT)["S0", "yahoo"]["finding"] == "source_mismatch"
    assert any(w.startswith("source_mismatch in S0: ") for w in report.warnings)
    kept = pair.nights.bars(NEXT).filter(symbol="S0", source="yahoo")
    assert kept.is_empty()


def test_a_fallback_that_fails_too_leaves_the_symbol_for_the_next_run(pair):
    pair.nights.run(LAST)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    pair.other.rows["S0"] = [r | {"close": "high"} for r in pair.other.rows["S0"]]
    pair.nights.ingest(NEXT)
    assert pair.log(NEXT)["S0", "tiingo"]["outcome"] == "malformed"
    pair.nights.server.heal()
    pair.nights.server.log.clear()
    later = pair.nights.at(NEXT) + timedelta(minutes=5)
    pair.nights.run(NEXT, now=later).enforce()
    assert [a.path[-2:] for a in pair.nights.server.charts()] == ["S0"]
    assert pair.sources("S0", LAST) == {LAST: "yahoo", NEXT: "yahoo"}


def test_a_night_run_again_asks_neither_source_for_what_the_fallback_served(pair):
    pair.nights.run(LAST)
    pair.nights.server.fault("S0", "503")
    pair.tells("S0")
    pair.nights.run(NEXT)
    pair.nights.server.log.clear()
    pair.other.asked.clear()
    later = pair.nights.at(NEXT) + timedelta(minutes=5)
    assert pair.nights.ingest(NEXT, now=later).new_rows == 0
    pair.nights.close(NEXT, later).enforce()
    assert pair.asked() == set()
    assert pair.nights.server.charts() == []
