"""From which date on a symbol is asked for, by what the lake holds of it."""

from datetime import date, timedelta

import polars as pl
import pytest

from tasks.ingest.holdings import CONTEXT, Night, holdings, served_already
from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import session_close
from tasks.lake.store import Lake
from tasks.lake.tables import FETCH_LOG, SECURITIES
from tests.ingest.nights import DAYS, Nights, market
from tests.ingest.yahoo.replay import Replay
from tests.ingest.yahoo.session import fresh_yfinance, use_replay
from tests.lake.frames import bars

MINUTE = timedelta(minutes=1)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def night(session: date = DAYS[41], **choices) -> Night:
    quality = QualitySpec(**choices)
    return Night(session, "XNYS", session_close("XNYS", session) + 60 * MINUTE, "run", quality)


def hold(lake: Lake, symbol: str, days: list[date], held: tuple[date, ...] = ()) -> None:
    """Puts bars into the lake, and the log that says that a night has ended with them."""
    rows = bars([(symbol, day, 10.0) for day in days])
    rows = rows.with_columns(held=pl.col("date").is_in(list(held)))
    lake.append("bars", rows, session_close("XNYS", days[0]))
    log(lake, symbol, days[-1], session_close("XNYS", days[0]))


def log(lake: Lake, symbol: str, session: date, known_at=None, **changes) -> None:
    texts = {"outcome": "ok", "finding": "same", "detail": "", "fingerprint": "", "run": "run"}
    numbers = dict.fromkeys(("rows", "new_rows", "refused", "held", "requests"), 1)
    days = {"session": session, "asked_from": DAYS[0], "first": DAYS[0], "last": session}
    row = {"symbol": symbol, "source": "here", **texts, **numbers, **days, **changes}
    frame = pl.DataFrame([row], schema=dict(FETCH_LOG.columns))
    lake.append("fetch_log", frame, known_at or session_close("XNYS", session))


def starts(lake: Lake, *symbols: str, fingerprint: str | None = None, **choices) -> list:
    found = holdings(lake, symbols, fingerprint, night(**choices)).starts
    assert list(found) == list(symbols)
    return list(found.values())


def test_bars_that_no_log_speaks_of_were_left_by_a_killed_run_and_are_asked_for_in_full(lake):
    lake.append(
        "bars", bars([("A", day, 10.0) for day in DAYS[:41]]), session_close("XNYS", DAYS[40])
    )
    assert starts(lake, "A") == [None]
    log(lake, "A", DAYS[40], outcome="transient")
    assert starts(lake, "A") == [None]
    log(lake, "A", DAYS[40], run="another")
    assert starts(lake, "A") == [DAYS[36]]


def test_a_symbol_that_the_lake_does_not_know_is_asked_for_in_full(lake):
    assert starts(lake, "NEW") == [None]
    hold(lake, "OLD", DAYS[:41])
    found = holdings(lake, ["NEW", "OLD"], None, night())
    assert found.starts == {"NEW": None, "OLD": DAYS[36]}
    assert found.bars["symbol"].unique().to_list() == ["OLD"]


@pytest.mark.parametrize(("overlap", "first"), [(2, 39), (5, 36), (10, 31), (60, 0)])
def test_a_warm_symbol_is_asked_for_the_sessions_of_the_overlap(lake, overlap, first):
    hold(lake, "A", DAYS[:41])
    # The sixtieth session before the 41st is before DAYS begins.
    expected = DAYS[first] if first else date(2025, 8, 5)
    assert starts(lake, "A", overlap_sessions=overlap) == [expected]


@pytest.mark.parametrize(("lacking", "first"), [(38, 36), (25, 25), (21, 21), (20, 36)])
def test_a_session_that_is_missing_is_asked_for_again_for_twenty_sessions(lake, lacking, first):
    hold(lake, "A", [day for day in DAYS[:41] if day != DAYS[lacking]])
    assert starts(lake, "A") == [DAYS[first]]


def test_the_earliest_of_several_missing_sessions_counts(lake):
    hold(lake, "A", [day for day in DAYS[:41] if day not in (DAYS[24], DAYS[30])])
    assert starts(lake, "A") == [DAYS[24]]


def test_sessions_before_a_symbols_first_bar_are_not_missing(lake):
    hold(lake, "YOUNG", DAYS[30:41])
    hold(lake, "BABY", DAYS[39:41])
    assert starts(lake, "YOUNG", "BABY") == [DAYS[36], DAYS[36]]


def test_a_half_day_is_a_session_like_any_other(lake):
    # DAYS[62] is the Friday after Thanksgiving.
    hold(lake, "A", DAYS[:63])
    hold(lake, "B", [day for day in DAYS[:66] if day != DAYS[62]])
    assert starts(lake, "A", session=DAYS[63]) == [DAYS[58]]
    assert starts(lake, "B", session=DAYS[70]) == [DAYS[61]]
    hold(lake, "C", [day for day in DAYS[:71] if day != DAYS[62]])
    assert starts(lake, "C", session=DAYS[71]) == [DAYS[62]]


@pytest.mark.parametrize("place", [30, 10])
def test_a_held_bar_is_asked_for_again_with_the_bar_before_it(lake, place):
    hold(lake, "A", DAYS[:41], held=(DAYS[place], DAYS[place + 1]))
    hold(lake, "B", DAYS[:41])
    assert starts(lake, "A", "B") == [DAYS[place - 1], DAYS[36]]


def test_a_symbol_long_silent_is_asked_for_from_its_last_bars_on(lake):
    hold(lake, "SILENT", DAYS[:6])
    hold(lake, "LOUD", DAYS[:120])
    assert starts(lake, "SILENT", "LOUD", session=DAYS[120]) == [DAYS[1], DAYS[115]]


def test_the_bars_that_the_rules_look_back_on_come_along(lake):
    hold(lake, "A", DAYS[:120])
    found = holdings(lake, ["A"], None, night(DAYS[120]))
    before = found.bars.filter(pl.col("date") < found.starts["A"])
    assert before.height >= CONTEXT
    assert found.bars["date"].max() == DAYS[119]


def test_bars_after_the_session_come_along_and_do_not_move_its_start(lake):
    hold(lake, "A", DAYS[:60])
    log(lake, "A", DAYS[40])
    found = holdings(lake, ["A"], None, night(DAYS[41]))
    assert found.starts == {"A": DAYS[37]}
    assert found.bars["date"].max() == found.through == DAYS[59]
    assert holdings(lake, ["A"], None, night(DAYS[70])).through == DAYS[70]


def test_a_symbol_whose_file_has_changed_is_asked_for_in_full(lake):
    for symbol in ("CHANGED", "SAME", "UNLOGGED"):
        hold(lake, symbol, DAYS[:41])
    log(lake, "CHANGED", DAYS[40], fingerprint="before")
    log(lake, "SAME", DAYS[39], fingerprint="before")
    log(lake, "SAME", DAYS[40], fingerprint="now")
    asked = starts(lake, "CHANGED", "SAME", "UNLOGGED", fingerprint="now")
    assert asked == [None, DAYS[36], None]
    found = holdings(lake, ["CHANGED"], "now", night())
    assert found.bars["date"].to_list() == DAYS[:41]


def test_a_file_that_is_put_back_counts_as_changed(lake):
    hold(lake, "A", DAYS[:41])
    for place, fingerprint in ((38, "one"), (39, "other"), (40, "other")):
        log(lake, "A", DAYS[place], fingerprint=fingerprint)
    assert starts(lake, "A", fingerprint="one") == [None]


def test_asked_anew_means_all_of_the_history(lake):
    hold(lake, "A", DAYS[:41])
    found = holdings(lake, ["A"], None, night(), anew=True)
    assert found.starts == {"A": None}
    assert found.bars.height == 41


def test_the_currency_is_the_nights_or_what_the_source_said_first(lake):
    rows = [{"symbol": s, "currency": c} for s, c in (("A", "GBp"), ("B", None))]
    lake.append("securities", pl.DataFrame(rows, schema=dict(SECURITIES.columns)), night().now)
    symbols = ["A", "B", "C"]
    assert holdings(lake, symbols, None, night()).currencies == {"A": "GBp"}
    dollars = Night(DAYS[41], "XNYS", night().now, "run", QualitySpec(), "USD")
    assert holdings(lake, symbols, None, dollars).currencies == dict.fromkeys(symbols, "USD")


@pytest.mark.parametrize(
    ("said", "fingerprint", "kept"),
    [
        ({}, None, True),
        ({"outcome": "ok", "last": DAYS[40]}, None, False),
        ({"outcome": "empty", "last": None}, None, False),
        ({"outcome": "transient", "last": None}, None, False),
        ({"outcome": "unknown_symbol", "last": None}, None, False),
        ({"source": "elsewhere"}, None, True),
        ({"source": "elsewhere", "fingerprint": "f"}, "f", False),
        ({"session": DAYS[40], "last": DAYS[40]}, None, False),
        ({"known_at": session_close("XNYS", DAYS[41]) + 61 * MINUTE}, None, False),
        ({"fingerprint": "f", "last": DAYS[40]}, "f", True),
        ({"fingerprint": "f", "outcome": "empty", "last": None}, "f", True),
        ({"fingerprint": "f", "outcome": "transient", "last": None}, "f", False),
        ({"fingerprint": "f"}, "g", False),
        ({"fingerprint": "f"}, None, False),
    ],
)
def test_a_symbol_is_not_asked_again_once_a_source_has_served_the_session(
    lake, said, fingerprint, kept
):
    log(lake, "A", **({"session": DAYS[41]} | said))
    found = served_already(lake, ["A", "B"], "here", fingerprint, night())
    assert found == ({"A"} if kept else set())


def test_a_session_whose_bar_was_refused_is_asked_for_again_by_the_same_nights_next_run(tmp_path):
    session = DAYS[41]
    now = session_close("XNYS", session)
    with fresh_yfinance(tmp_path / "yfinance"), Replay(market(), now) as server:
        use_replay(server.url)
        nights = Nights(server, tmp_path / "lake")
        # A bar with a volume and without prices: it goes to quarantine.
        server.fault("S0", "nan_bar", day=session)
        nights.run(session)
        server.heal()
        server.log.clear()
        nights.ingest(session, now=nights.at(session) + 5 * MINUTE)
        assert [asked.path[-2:] for asked in server.charts()] == ["S0"]
        assert nights.bars().filter(symbol="S0", date=session).height == 1
