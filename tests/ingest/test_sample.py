from datetime import UTC, date, datetime

import polars as pl
import pytest

from models.errors import UsageError
from tasks.ingest.providers import open_provider
from tasks.ingest.providers.base import Fetched, Provider
from tasks.ingest.quality import check, check_actions
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.spec import SampleSpec
from tasks.lake.calendar import sessions

LAST = date(2013, 3, 1)
NOW = datetime(2013, 3, 1, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def provider() -> Provider:
    return open_provider(SampleSpec())


@pytest.fixture(scope="module")
def fetched(provider: Provider) -> Fetched:
    return provider.fetch(dict.fromkeys([*provider.symbols(), "^GSPC"]), LAST, NOW)


def dates(fetched: Fetched, symbol: str, kind: str) -> list[date]:
    return fetched.actions.filter(symbol=symbol, kind=kind)["date"].to_list()


def test_five_shares_and_the_index_as_benchmark(provider):
    assert provider.symbols() == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert provider.benchmark() == "^GSPC"
    # The index goes on to 2018; the universe ends here.
    assert provider.last_session(date.max) == LAST


def test_the_bars_are_those_of_the_packages(fetched):
    counts = dict(fetched.bars["symbol"].value_counts().iter_rows())
    # Between 1999-01-04 and 2013-03-01 the exchange had as many sessions as the index has bars.
    index = len(sessions("XNYS", date(1999, 1, 4), LAST))
    assert counts == {
        "AAPL": 3270,
        "FB": 196,
        "GOOG": 2148,
        "IBM": 3270,
        "MSFT": 3270,
        "^GSPC": index,
    }


def test_splits_are_recovered_and_no_others(fetched):
    assert fetched.actions.filter(kind="split").select("symbol", "date", "value").rows() == [
        ("AAPL", date(2000, 6, 21), 2.0),
        ("AAPL", date(2005, 2, 28), 2.0),
        ("MSFT", date(2003, 2, 18), 2.0),
    ]


def test_dividends_are_recovered(fetched):
    assert dates(fetched, "AAPL", "dividend") == [
        date(2012, 8, 9),
        date(2012, 11, 7),
        date(2013, 2, 7),
    ]
    assert len(dates(fetched, "MSFT", "dividend")) == 37
    assert [dates(fetched, s, "dividend") for s in ("FB", "GOOG", "^GSPC")] == [[], [], []]


def test_recovered_dividends_are_near_those_declared(fetched):
    # Declared: AAPL 2.65; MSFT 3.00 once and 0.08 for the quarter on one day; IBM 0.85.
    paid = {(s, d): v for s, d, v in fetched.actions.select("symbol", "date", "value").rows()}
    assert paid["AAPL", date(2012, 8, 9)] == pytest.approx(2.65, rel=0.05)
    assert paid["MSFT", date(2004, 11, 15)] == pytest.approx(3.08, rel=0.05)
    assert paid["IBM", date(2012, 8, 8)] == pytest.approx(0.85, rel=0.05)


def test_ibm_pays_thirty_six_dividends_above_a_fifth_of_a_per_cent(fetched):
    closes = fetched.bars.filter(symbol="IBM").sort("date")
    before = closes.select("date", before=pl.col("close").shift(1))
    paid = fetched.actions.filter(symbol="IBM").join(before, on="date")
    share = pl.col("value") / (pl.col("before") - pl.col("value"))
    assert paid.filter(share > 0.002).height == 36


def test_quality_refuses_nothing_and_the_crash_of_apple_stays(fetched):
    days = sessions("XNYS", date(1999, 1, 4), LAST)
    good, quarantine = check(fetched.bars, days, {}, NO_REVIEWS)
    assert quarantine.is_empty()
    crash = good.filter(symbol="AAPL", date=date(2000, 9, 29)).row(0, named=True)
    assert (crash["close"], crash["volume"]) == (25.75, 132_529_300.0)
    assert check_actions(fetched.actions, good, NO_REVIEWS)[1].is_empty()


def test_a_span_is_cut_at_both_ends(provider):
    fetched = provider.fetch(
        dict.fromkeys(("AAPL", "FB"), date(2012, 5, 17)), date(2012, 8, 9), NOW
    )
    assert fetched.bars["date"].min() == date(2012, 5, 17)
    assert fetched.bars["date"].max() == date(2012, 8, 9)
    assert fetched.actions.select("symbol", "date").rows() == [("AAPL", date(2012, 8, 9))]


def test_a_later_end_changes_no_earlier_row(provider):
    early, late = (provider.fetch({"AAPL": None}, d, NOW) for d in (date(2005, 2, 25), LAST))
    assert early.bars.equals(late.bars.head(early.bars.height))
    assert early.actions.equals(late.actions.head(early.actions.height))


def test_a_share_not_yet_listed_is_empty_and_not_unknown(provider):
    fetched = provider.fetch({"AAPL": None, "FB": None}, date(2012, 5, 17), NOW)
    assert {s: a.outcome for s, a in fetched.answers.items()} == {"AAPL": "ok", "FB": "empty"}


def test_an_unknown_symbol_names_a_near_one(provider):
    with pytest.raises(UsageError, match=r"'APPL'.*Did you mean 'AAPL'"):
        provider.fetch({"APPL": None, "IBM": None}, LAST, NOW)


def test_the_fingerprint_repeats_and_the_bars_are_read_once(provider):
    replay = open_provider(SampleSpec(replay=True))
    assert replay.fingerprint() == provider.fingerprint()
    assert replay._history is provider._history


def test_the_adjusted_close_is_that_of_the_package(fetched):
    # The vendor's: its level knows of Apple's split of 2014, after the last bar.
    last = fetched.bars.filter(date=LAST)
    level = dict(last.select("symbol", pl.col("close") / pl.col("adj_close")).iter_rows())
    assert level["AAPL"] == pytest.approx(7.67, abs=0.01)
    assert fetched.bars["currency"].null_count() == fetched.bars.height


def test_the_sample_says_that_it_was_chosen_with_hindsight(provider):
    assert "survivors chosen with hindsight" in provider.notes()[0]
