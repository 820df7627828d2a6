import json
import logging
import re
import traceback
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from models.errors import DataError, UsageError
from tasks.ingest.providers.tiingo import TiingoProvider
from tasks.ingest.spec import TiingoSpec
from tests.ingest.tiingo_replay import KEY, Fault, TiingoReplay, row

NOW = datetime(2014, 6, 10, 22, tzinfo=UTC)
END = date(2014, 6, 9)
# Apple's seven for one, and the dividend before it.
APPLE = [
    row(
        "2014-05-07", 592.33, open=595.25, high=597.29, low=587.73, volume=10_102_316, adjClose=75.5
    ),
    row("2014-05-08", 587.99, divCash=3.29),
    row("2014-06-06", 645.57, volume=12_497_800),
    row("2014-06-09", 93.70, splitFactor=7.0, volume=75_415_000),
]


class Time:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TIINGO_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def server():
    with TiingoReplay({"AAPL": APPLE, "BRK-B": [row("2014-06-09", 128.0)], "NEW": []}) as replay:
        yield replay


@pytest.fixture
def replay(server):
    server.faults.clear()
    server.asked.clear()
    return server


def opened(replay, time: Time | None = None, **options) -> TiingoProvider:
    time = time or Time()
    spec = TiingoSpec(url=replay.url, **({"requests_per_second": 1000} | options))
    return TiingoProvider(spec, time.clock, time.sleep)


def fetched(replay, *symbols: str, start: date | None = None, **options):
    return opened(replay, **options).fetch(dict.fromkeys(symbols, start), END, NOW)


def answer_to(replay, *faults: Fault, **options):
    replay.faults["AAPL"].extend(faults)
    return fetched(replay, "AAPL", **options).answers["AAPL"]


def test_bars_come_as_traded_with_the_adjusted_close_as_served(replay):
    bars = fetched(replay, "AAPL").bars
    assert bars.row(0, named=True) == {
        "symbol": "AAPL",
        "date": date(2014, 5, 7),
        "open": 595.25,
        "high": 597.29,
        "low": 587.73,
        "close": 592.33,
        "volume": 10_102_316.0,
        "adj_close": 75.5,
        "currency": None,
        "source": "tiingo",
    }
    assert bars["close"].to_list() == [592.33, 587.99, 645.57, 93.70]


def test_split_factors_and_cash_become_actions(replay):
    assert fetched(replay, "AAPL").actions.rows() == [
        ("AAPL", date(2014, 5, 8), "dividend", 3.29, "tiingo"),
        ("AAPL", date(2014, 6, 9), "split", 7.0, "tiingo"),
    ]


def test_each_symbol_is_asked_for_its_own_span(replay):
    provider = opened(replay, start=date(2014, 5, 8))
    starts = {"AAPL": date(2014, 6, 6), "BRK.B": None, "NEW": date(2010, 1, 4)}
    found = provider.fetch(starts, END, NOW)
    spans = {a.ticker: (a.query["startDate"], a.query["endDate"]) for a in replay.asked}
    assert spans == {
        "AAPL": ("2014-06-06", "2014-06-09"),
        "BRK-B": ("2014-05-08", "2014-06-09"),
        "NEW": ("2014-05-08", "2014-06-09"),
    }
    assert found.bars.select("symbol", "date").rows() == [
        ("AAPL", date(2014, 6, 6)),
        ("AAPL", date(2014, 6, 9)),
        ("BRK.B", date(2014, 6, 9)),
    ]
    assert {s: (a.outcome, a.requests) for s, a in found.answers.items()} == {
        "AAPL": ("ok", 1),
        "BRK.B": ("ok", 1),
        "NEW": ("empty", 1),
    }


def test_a_span_that_ends_before_it_begins_asks_nothing(replay):
    assert fetched(replay, "AAPL", start=date(2014, 6, 10)).answers["AAPL"].outcome == "empty"
    assert replay.asked == []


def test_rows_beyond_the_span_asked_for_are_left_out(replay):
    late = Fault(200, json.dumps([*APPLE, row("2014-06-10", 94.25)]))
    replay.faults["AAPL"].append(late)
    days = fetched(replay, "AAPL", start=date(2014, 6, 6)).bars["date"].to_list()
    assert days == [date(2014, 6, 6), date(2014, 6, 9)]


def test_an_unknown_symbol_is_so_in_the_words_of_the_source(replay):
    answer = fetched(replay, "NOPE").answers["NOPE"]
    assert (answer.outcome, answer.requests) == ("unknown_symbol", 1)
    assert answer.detail == "Error: Ticker 'NOPE' not found"


def test_a_page_that_is_missing_says_nothing_of_the_symbol(replay):
    answer = answer_to(replay, *[Fault(404, "<html>Not Found</html>")] * 4)
    assert (answer.outcome, answer.requests) == ("malformed", 4)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, "oops"),
        Fault(503, "<html>busy</html>"),
        Fault(drop=True),
        Fault(429, '{"detail": "slow down"}', {"Retry-After": "7"}),
        Fault(200, '[{"date": "2014-0'),
    ],
)
def test_what_may_heal_is_asked_again_until_it_has(replay, fault):
    answer = answer_to(replay, fault, fault)
    assert (answer.outcome, answer.requests) == ("ok", 3)


@pytest.mark.parametrize(
    ("fault", "outcome", "detail"),
    [
        (Fault(500, "oops"), "transient", "HTTP 500: oops"),
        (Fault(drop=True), "transient", "RemoteProtocolError"),
        (Fault(200, "[1, 2]"), "malformed", "0: Input should be an object"),
        (Fault(200, "[{}]"), "malformed", "0: date: Field required"),
        (Fault(200, "<html>"), "malformed", "HTTP 200: <html>"),
        (Fault(400, '{"detail": "no such date"}'), "malformed", "HTTP 400: no such date"),
        (Fault(302, headers={"Location": "http://127.0.0.1:9/"}), "malformed", "HTTP 302"),
        (Fault(200, json.dumps([row("2014-06-09", "1")])), "malformed", "0: open: Input should"),
    ],
)
def test_what_does_not_heal_is_reported_with_its_words(replay, fault, outcome, detail):
    answer = answer_to(replay, fault, fault, max_attempts=2)
    assert (answer.outcome, answer.requests) == (outcome, 2)
    assert detail in answer.detail


def test_a_row_without_its_split_factor_is_no_bar(replay):
    crippled = row("2014-06-09", 93.7)
    del crippled["splitFactor"]
    answer = answer_to(replay, Fault(200, json.dumps([crippled])), max_attempts=1)
    assert answer.detail == "0: splitFactor: Field required"


def test_prices_may_be_missing_and_then_are_null(replay):
    replay.faults["AAPL"].append(Fault(200, json.dumps([row("2014-06-09", None, volume=None)])))
    bar = fetched(replay, "AAPL").bars.row(0, named=True)
    assert (bar["close"], bar["volume"]) == (None, None)


def test_a_refusal_is_waited_out_for_as_long_as_it_says(replay):
    time = Time()
    slow = Fault(429, '{"detail": "slow down"}', {"Retry-After": "47"})
    assert answer_to(replay, slow, time=time).outcome == "ok"
    # The pause between two attempts runs within the wait, which is over at 47 s.
    assert time.now == pytest.approx(47.0)


@pytest.mark.parametrize(
    "used_up",
    [
        Fault(429, '{"detail": "Error: You have run over your hourly request allocation."}'),
        Fault(200, "You have run over your 500 symbol look up for this month. Please upgrade."),
    ],
)
def test_a_key_that_is_used_up_is_rate_limited_and_no_symbol_is_asked_for_long(replay, used_up):
    time = Time()
    replay.faults["AAPL"].extend([used_up] * 50)
    replay.faults["BRK-B"].extend([used_up] * 50)
    found = fetched(replay, "AAPL", "BRK.B", time=time, workers=1, max_wait_seconds=60)
    assert {a.outcome for a in found.answers.values()} == {"rate_limited"}
    assert len(replay.asked) <= 4
    assert time.now < 120


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_run(replay, status):
    replay.faults["AAPL"].append(Fault(status, '{"detail": "Invalid token."}'))
    with pytest.raises(DataError, match=rf"TIINGO_API_KEY \(HTTP {status}: Invalid token.*; set"):
        fetched(replay, "AAPL", "BRK.B", workers=1)
    assert [a.ticker for a in replay.asked].count("AAPL") == 1


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_key_the_variable_is_named(replay, monkeypatch, value):
    monkeypatch.delenv("TIINGO_API_KEY")
    if value is not None:
        monkeypatch.setenv("TIINGO_API_KEY", value)
    with pytest.raises(UsageError, match=r"TIINGO_API_KEY is empty; set it"):
        opened(replay)


def test_a_key_travels_in_a_header_and_may_have_blanks_around_it(replay, monkeypatch):
    monkeypatch.setenv("TIINGO_API_KEY", f" {KEY}\n")
    assert fetched(replay, "AAPL").answers["AAPL"].outcome == "ok"
    assert replay.asked[0].headers["Authorization"] == f"Token {KEY}"
    assert KEY not in json.dumps(replay.asked[0].query)


def everything_said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


def test_the_key_is_never_shown(replay, monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    provider = opened(replay, max_attempts=1)
    echo = Fault(500, f"{'.' * 180} Token {KEY}")
    replay.faults["AAPL"].append(echo)
    replay.faults["NEW"].append(Fault(404, json.dumps({"detail": f"no {KEY}"})))
    answers = provider.fetch({"AAPL": None, "NEW": None}, END, NOW).answers
    assert answers["AAPL"].detail.endswith(". Token TIINGO_API_KE")
    assert answers["NEW"].detail == "no TIINGO_API_KEY"
    shown = [repr(provider), str(provider), repr(provider._client.headers), repr(answers)]
    # The server repeats the key that it refuses.
    wrong = KEY[::-1]
    monkeypatch.setenv("TIINGO_API_KEY", wrong)
    with pytest.raises(DataError, match="Invalid token") as refused:
        fetched(replay, "AAPL")
    bad = f"{wrong} é"
    monkeypatch.setenv("TIINGO_API_KEY", bad)
    with pytest.raises(UsageError, match="neither letters nor digits; set it") as unusable:
        opened(replay)
    shown += [everything_said(refused.value), everything_said(unusable.value)]
    shown += [*(r.getMessage() for r in caplog.records), *capfd.readouterr()]
    for text in shown:
        assert KEY not in text
        assert wrong not in text


@pytest.mark.parametrize(
    "url",
    [
        "http://api.tiingo.com",
        "ftp://x",
        "https://user@x",
        "http://127.0.0.1.evil.org",
        "https://",
        "https://[",
    ],
)
def test_the_key_is_sent_in_the_clear_to_this_machine_alone(url):
    with pytest.raises(ValidationError, match="url"):
        TiingoSpec(url=url)


def test_a_symbol_cannot_leave_its_place_in_the_address(replay):
    fetched(replay, "^GSPC", "A&B", "EURUSD=X")
    assert sorted(a.ticker for a in replay.asked) == ["A&B", "EURUSD=X", "^GSPC"]
    assert all(set(a.query) == {"startDate", "endDate", "format"} for a in replay.asked)


def test_a_live_source_lists_nothing_and_says_what_it_lacks(replay):
    provider = opened(replay, benchmark="SPY")
    assert provider.benchmark() == "SPY"
    assert provider.symbols() is provider.last_session(date.max) is provider.fingerprint() is None
    assert re.search("no longer trades", provider.notes()[0])
