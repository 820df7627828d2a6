"""Bars and actions against the tape that the server adjusts, and against yfinance's own reading."""

import math
from datetime import date, timedelta

import polars as pl
import pytest
import yfinance

from tests.ingest.yahoo.conftest import NIGHT
from tests.ingest.yahoo.market import Listing, Tape, demo_listings

LAST = NIGHT.date()
SYMBOLS = [listing.symbol for listing in demo_listings()]
PRICES = ("open", "high", "low", "close")


def later_splits(listing, day: date, until: date = LAST) -> float:
    """New shares per old of all splits after `day`, multiplied one by one."""
    factor = 1.0
    for split, (new, old) in listing.tape.splits.items():
        if day < split <= until:
            factor *= new / old
    return factor


def assert_is_the_tape(fetched, listing, end: date = LAST) -> None:
    truth = [bar for bar in listing.tape.bars if bar[0] <= end]
    found = fetched.bars.filter(symbol=listing.symbol).sort("date")
    assert found["date"].to_list() == [bar[0] for bar in truth]
    for row, (day, *prices, volume) in zip(found.iter_rows(named=True), truth, strict=True):
        assert [row[p] for p in PRICES] == pytest.approx(prices, rel=1e-6), day
        # Whole shares of today: a reverse split's rounding comes back as that many old ones.
        assert row["volume"] == pytest.approx(volume, abs=max(1, 1 / later_splits(listing, day)))


def assert_are_its_actions(fetched, listing, end: date = LAST) -> None:
    tape = listing.tape
    truth = {(day, "split"): new / old for day, (new, old) in tape.splits.items()}
    truth |= {(day, "dividend"): amount for day, amount in tape.dividends.items()}
    truth |= {(day, "capital_gain"): amount for day, amount in tape.capital_gains.items()}
    truth = {key: value for key, value in truth.items() if key[0] <= end}
    rows = fetched.actions.filter(symbol=listing.symbol).select("date", "kind", "value").rows()
    assert {(day, kind): value for day, kind, value in rows} == pytest.approx(truth, rel=1e-6)


def test_all_history_comes_back_as_it_was_traded(server, open_warm):
    fetched = open_warm().fetch(dict.fromkeys(SYMBOLS), LAST, NIGHT)
    for listing in server.listings.values():
        assert_is_the_tape(fetched, listing)
        assert_are_its_actions(fetched, listing)
    assert fetched.bars["symbol"].is_sorted()
    assert set(fetched.bars["source"]) == {"yahoo"}
    # The half day after Thanksgiving is a day like the others.
    assert fetched.bars["date"].max() == date(2026, 11, 27)


def test_listings_say_what_the_source_knows(open_warm):
    listings = open_warm().fetch(dict.fromkeys(("VOD.L", "7203.T", "FUND")), LAST, NIGHT).listings
    first = date(2025, 10, 6)
    assert listings.rows() == [
        ("7203.T", "JPY", "Asia/Tokyo", "EQUITY", first),
        ("FUND", "USD", "America/New_York", "ETF", first),
        ("VOD.L", "GBp", "Europe/London", "EQUITY", first),
    ]


@pytest.mark.parametrize("days_before", [0, 1, 30])
def test_an_end_before_a_split_still_undoes_it(server, open_warm, days_before):
    listing = server.listings["SPLIT"]
    end = max(listing.tape.splits) - timedelta(days=days_before)
    fetched = open_warm().fetch({"SPLIT": None}, end, NIGHT)
    assert_is_the_tape(fetched, listing, end)
    assert_are_its_actions(fetched, listing, end)


def test_what_was_known_before_a_split_is_the_same_after_it(server, open_warm):
    provider = open_warm()
    listing = server.listings["BOTH"]
    eve = max(listing.tape.splits) - timedelta(days=3)
    served = []
    for now in (NIGHT.replace(year=eve.year, month=eve.month, day=eve.day), NIGHT):
        server.now = now
        fetched = provider.fetch({"BOTH": None}, eve, now)
        assert_is_the_tape(fetched, listing, eve)
        served.append(fetched.bars["adj_close"][-1])
    # The source's own numbers did change, by the split and by what was paid since.
    assert served[0] / served[1] > 4


def test_the_adjusted_close_is_left_as_served(server, open_warm):
    listing = server.listings["SPLIT"]
    fetched = open_warm().fetch({"SPLIT": None}, LAST, NIGHT)
    for row in fetched.bars.iter_rows(named=True):
        adjusted = row["close"] / later_splits(listing, row["date"])
        assert row["adj_close"] == pytest.approx(adjusted, rel=1e-9)


@pytest.mark.parametrize("start", [LAST - timedelta(days=4), LAST])
def test_nothing_before_the_start_comes(open_warm, start):
    fetched = open_warm().fetch(dict.fromkeys(SYMBOLS, start), LAST, NIGHT)
    assert fetched.bars["date"].min() == start
    there = {s for s in SYMBOLS if s != "GONE" and not (s == "YOUNG" and start < LAST)}
    assert set(fetched.bars.filter(date=start)["symbol"]) == there


def test_no_symbol_begins_before_the_start_of_the_spec(server, open_warm):
    begin = date(2026, 11, 23)
    provider = open_warm(start=begin)
    starts = {"PLAIN": None, "SPLIT": date(2026, 11, 2), "BOTH": date(2026, 11, 25)}
    bars = provider.fetch(starts, LAST, NIGHT).bars
    first = {symbol: bars.filter(symbol=symbol)["date"].min() for symbol in starts}
    assert first == {"PLAIN": begin, "SPLIT": begin, "BOTH": date(2026, 11, 25)}


def test_every_request_reaches_past_now(server, open_warm):
    open_warm().fetch({"PLAIN": date(2026, 11, 2)}, date(2026, 11, 4), NIGHT)
    (asked,) = server.asked("PLAIN")
    assert int(asked.params["period2"]) == NIGHT.timestamp() + 86_400
    assert asked.params["interval"] == "1d"
    assert asked.params["events"] == "div,splits,capitalGains"


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_fetch_agrees_with_the_history_of_the_library(server, open_warm, symbol):
    start, end = date(2025, 10, 7), date(2026, 11, 26)
    listing = server.listings[symbol]
    provider = open_warm()
    fetched = provider.fetch({symbol: start}, end, NIGHT)
    history = yfinance.Ticker(symbol).history(
        start=start, end=end + timedelta(days=1), auto_adjust=False, actions=True, keepna=True
    )
    assert fetched.bars["date"].to_list() == [stamp.date() for stamp in history.index]
    for row, (_, theirs) in zip(
        fetched.bars.iter_rows(named=True), history.iterrows(), strict=True
    ):
        # The library's prices are adjusted for the split of tonight too.
        factor = later_splits(listing, row["date"])
        ours = [row[p] / factor for p in PRICES] + [row["adj_close"], row["volume"] * factor]
        wanted = theirs[["Open", "High", "Low", "Close", "Adj Close", "Volume"]].tolist()
        assert ours == pytest.approx(wanted, rel=1e-9), row["date"]
    for kind, column in {
        "dividend": "Dividends",
        "split": "Stock Splits",
        "capital_gain": "Capital Gains",
    }.items():
        theirs = history[column] if column in history else history["Close"].iloc[:0]
        wanted = {stamp.date(): value for stamp, value in theirs[theirs != 0].items()}
        ours = {
            day: value if kind == "split" else value / later_splits(listing, day)
            for day, value in fetched.actions.filter(kind=kind).select("date", "value").rows()
        }
        assert ours == pytest.approx(wanted, rel=1e-9), kind


def last_rows(fetched, symbol="PLAIN"):
    return fetched.bars.filter(symbol=symbol).sort("date").rows(named=True)


@pytest.mark.parametrize("kind", ["live", "live_twice"])
def test_the_running_bar_is_one_row_of_its_date(server, open_warm, kind):
    noon = NIGHT.replace(hour=16)
    server.now = noon
    server.fault("PLAIN", kind)
    server.fault("7203.T", kind)
    provider = open_warm()
    fetched = provider.fetch(dict.fromkeys(("PLAIN", "7203.T"), date(2026, 11, 25)), LAST, noon)
    volume = server.listings["PLAIN"].tape.bars[-1][5]
    rows = last_rows(fetched)
    assert [row["date"].day for row in rows] == [25, 26, 27]
    # The newer of two rows stays.
    assert rows[-1]["volume"] == (volume // 2 if kind == "live" else volume + 7)


@pytest.mark.parametrize("kind", ["live", "live_twice"])
def test_no_running_bar_comes_with_the_day_before(server, open_warm, kind):
    server.now = NIGHT.replace(hour=16)
    server.fault("PLAIN", kind)
    yesterday = LAST - timedelta(days=1)
    fetched = open_warm().fetch({"PLAIN": date(2026, 11, 25)}, yesterday, server.now)
    assert [row["date"].day for row in last_rows(fetched)] == [25, 26]


def test_a_bar_repeated_within_the_history_is_left_to_quality(server, open_warm):
    bars = list(server.listings["PLAIN"].tape.bars)
    server.add([Listing("STUTTER", Tape([*bars[:100], *bars[99:]]))])
    fetched = open_warm().fetch({"STUTTER": None}, LAST, NIGHT)
    assert fetched.bars.height == len(bars) + 1


def test_a_bar_without_prices_stays_if_shares_were_traded(server, open_warm):
    provider = open_warm()
    server.fault("PLAIN", "nan_bar")
    server.fault("SPLIT", "empty_bar")
    fetched = provider.fetch(dict.fromkeys(("PLAIN", "SPLIT"), date(2026, 11, 26)), LAST, NIGHT)
    (_, row) = last_rows(fetched)
    assert [row[p] for p in (*PRICES, "adj_close")] == [None] * 5
    assert row["volume"] == server.listings["PLAIN"].tape.bars[-1][5]
    assert [row["date"].day for row in last_rows(fetched, "SPLIT")] == [26]


def test_a_volume_left_out_stays_out(server, open_warm):
    provider = open_warm()
    server.fault("SPLIT", "null_volume", day=date(2025, 12, 1))
    fetched = provider.fetch({"SPLIT": None}, LAST, NIGHT)
    (row,) = fetched.bars.filter(pl.col("volume").is_null()).rows(named=True)
    assert row["date"] == date(2025, 12, 1)
    assert row["close"] is not None


def test_words_that_are_no_json_numbers_are_read(server, open_warm):
    provider = open_warm()
    server.fault("PLAIN", "nan_token")
    fetched = provider.fetch({"PLAIN": LAST}, LAST, NIGHT)
    assert fetched.answers["PLAIN"].requests == 1
    (row,) = last_rows(fetched)
    assert row["open"] is None
    assert math.isinf(row["adj_close"])


def test_the_currency_is_the_answers_own(server, open_warm):
    provider = open_warm()
    server.fault("PLAIN", "wrong_currency")
    fetched = provider.fetch(dict.fromkeys(("PLAIN", "VOD.L"), LAST), LAST, NIGHT)
    assert fetched.bars.select("symbol", "currency").rows() == [("PLAIN", "EUR"), ("VOD.L", "GBp")]
