"""The replay server itself: its clocks, and faults that only later stages will see through."""

from datetime import date, timedelta

import polars as pl
import pytest

from tests.ingest.yahoo.conftest import NIGHT
from tests.ingest.yahoo.session import ReplaySession

LAST = NIGHT.date()
PRICES = ["open", "high", "low", "close"]


@pytest.fixture
def fetch(open_warm):
    provider = open_warm()

    def fetched(symbol, start=None, end=LAST, now=NIGHT):
        return provider.fetch({symbol: start}, end, now)

    return fetched


def changed_dates(before: pl.DataFrame, after: pl.DataFrame) -> list[date]:
    """Dates of which the two frames do not hold the same row."""
    rows = (set(frame.drop("adj_close").rows()) for frame in (before, after))
    return sorted({row[1] for row in next(rows) ^ next(rows)})


@pytest.mark.parametrize("factor", [1.01, 100.0])
def test_one_bar_is_restated(server, fetch, factor):
    before, day = fetch("PLAIN").bars, date(2026, 11, 24)
    server.fault("PLAIN", "revised", day=day, factor=factor)
    after = fetch("PLAIN").bars
    assert changed_dates(before, after) == [day]
    old, new = (frame.filter(date=day).select(PRICES).row(0) for frame in (before, after))
    assert new == pytest.approx([factor * price for price in old], rel=1e-6)


def test_all_prices_are_shifted_and_no_event_tells(server, fetch):
    before = fetch("PLAIN")
    server.fault("PLAIN", "level_shift", factor=0.25)
    after = fetch("PLAIN")
    assert after.bars["close"].to_list() == pytest.approx((before.bars["close"] / 4).to_list())
    assert after.actions.is_empty()


def test_a_session_is_lost_for_one_or_for_all(server, fetch):
    day = date(2026, 11, 24)
    server.fault("PLAIN", "lost_session", day=day)
    assert day not in fetch("PLAIN").bars["date"]
    assert day in fetch("SPLIT").bars["date"]
    server.heal()
    server.fault("*", "lost_session", day=day)
    assert day not in fetch("SPLIT").bars["date"]


def test_a_split_without_its_event_is_undone_by_nobody(server, fetch):
    before, split = fetch("7203.T"), max(server.listings["7203.T"].tape.splits)
    server.fault("7203.T", "missing_split")
    after = fetch("7203.T")
    assert after.actions.is_empty()
    early = pl.col("date") < split
    ratio = before.bars["close"] / after.bars["close"]
    assert set(ratio.filter(before.bars.select(early).to_series()).round(5)) == {5.0}
    assert set(ratio.filter(before.bars.select(~early).to_series()).round(5)) == {1.0}


def test_a_holiday_is_filled_with_the_close_before(server, fetch):
    holiday = date(2026, 11, 21)
    server.fault("PLAIN", "filled_holiday", day=holiday)
    bars = fetch("PLAIN").bars
    (before,) = bars.filter(date=holiday - timedelta(days=1)).rows(named=True)
    (filled,) = bars.filter(date=holiday).rows(named=True)
    assert [filled[p] for p in PRICES] == [before["close"]] * 4
    assert filled["volume"] == 0


def test_faults_stack_and_are_used_up(server, fetch):
    server.fault("PLAIN", "wrong_currency", times=2)
    server.fault("PLAIN", "lost_session", times=1)
    first, second, third = (fetch("PLAIN", date(2026, 11, 26)).bars for _ in range(3))
    assert [set(bars["currency"]) for bars in (first, second, third)] == [{"EUR"}, {"EUR"}, {"USD"}]
    assert [bars.height for bars in (first, second, third)] == [1, 2, 2]


def test_an_unheard_of_fault_is_refused(server):
    with pytest.raises(AssertionError, match="'flood' is no fault"):
        server.fault("PLAIN", "flood")


def test_the_last_date_follows_the_clock_or_is_set(server, fetch):
    server.now = NIGHT - timedelta(days=2)
    assert fetch("PLAIN").bars["date"].max() == date(2026, 11, 25)
    # In Tokyo it is the day after already.
    assert fetch("7203.T").bars["date"].max() == date(2026, 11, 26)
    server.asof = date(2026, 11, 20)
    assert fetch("PLAIN").bars["date"].max() == date(2026, 11, 20)


def test_too_many_requests_are_refused(server, fetch):
    server.limit = (2, 3600.0)
    outcomes = [fetch("PLAIN").answers["PLAIN"].outcome for _ in range(3)]
    assert outcomes == ["ok", "ok", "rate_limited"]


def test_the_session_refuses_every_other_host(server):
    with (
        ReplaySession(server.url) as session,
        pytest.raises(RuntimeError, match=r"example\.com.*is not Yahoo's"),
    ):
        session.get("https://example.com/v8/finance/chart/PLAIN")
