"""Each thing that goes wrong at Yahoo, with its outcome and the requests that it takes."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
import yfinance

from tasks.ingest.providers.base import Answer
from tests.ingest.yahoo.conftest import NIGHT
from tests.ingest.yahoo.market import Listing, random_tape, weekdays
from tests.ingest.yahoo.replay import COOKIE, CRUMB

LAST = NIGHT.date()
WEEK = weekdays(5, LAST)
OTHERS = ("DIVIDEND", "SPLIT", "7203.T")
DELISTED = "No data found, symbol may be delisted"


def fetch(provider, *symbols, start=WEEK[0]):
    return provider.fetch(dict.fromkeys(symbols, start), LAST, NIGHT)


# Of three attempts. A 403 gets one new crumb, with which the first attempt is repeated.
LASTING = [
    ("500", "transient", "HTTP 500", 3),
    ("502", "transient", "HTTP 502", 3),
    ("503", "transient", "HTTP 503", 3),
    ("401", "transient", "HTTP 401", 5),
    ("403", "transient", "HTTP 403", 5),
    ("timeout", "transient", "Timeout", 3),
    ("reset", "transient", "reset", 3),
    ("short", "transient", "curl: (18)", 3),
    ("truncated", "malformed", 'HTTP 200 without JSON: \'{"chart"', 3),
    ("html", "malformed", "HTTP 200 without JSON: '<!doctype html>", 3),
    ("empty_body", "malformed", "HTTP 200 without JSON: ''", 3),
    ("null_result", "malformed", "neither a result nor an error", 3),
    ("no_timestamps", "malformed", "prices without timestamps", 3),
    ("uneven", "malformed", "5 timestamps and 4 values of close", 3),
    ("bad_timezone", "malformed", "unknown time zone 'Mars/Olympus'", 3),
    ("wrong_symbol", "malformed", "answers for 'OTHER', not for 'PLAIN'", 3),
    ("429", "rate_limited", "HTTP 429", 3),
    ("delisted", "unknown_symbol", DELISTED, 1),
    ("no_quote", "empty", "no bars", 1),
]


@pytest.mark.parametrize(("kind", "outcome", "words", "requests"), LASTING)
def test_a_lasting_fault_has_its_outcome_and_hurts_no_other_symbol(
    server, open_warm, kind, outcome, words, requests
):
    provider = open_warm(timeout_seconds=0.2 if kind == "timeout" else 20)
    sound = fetch(provider, *OTHERS)
    server.fault("PLAIN", kind)
    fetched = fetch(provider, "PLAIN", *OTHERS)
    answer = fetched.answers["PLAIN"]
    assert (answer.outcome, answer.requests) == (outcome, requests)
    assert words in answer.detail
    assert {fetched.answers[s] for s in OTHERS} == {Answer("ok", "", 1)}
    assert fetched.bars.equals(sound.bars)
    assert fetched.actions.equals(sound.actions)


@pytest.mark.parametrize("kind", [k for k, outcome, *_ in LASTING if outcome != "unknown_symbol"])
def test_a_passing_fault_heals_within_the_attempts(server, open_warm, kind):
    provider = open_warm(workers=1, timeout_seconds=0.2 if kind == "timeout" else 20)
    sound = fetch(provider, "PLAIN")
    server.fault("PLAIN", kind, times=1)
    fetched = fetch(provider, "PLAIN", *OTHERS)
    if kind == "no_quote":
        assert fetched.answers["PLAIN"] == Answer("empty", "no bars", 1)
        return
    # A new crumb is the third request of a 401 or 403; what a kept connection loses, curl itself
    # sends again on a new one.
    requests = {"401": 3, "403": 3, "reset": 1}.get(kind, 2)
    assert fetched.answers["PLAIN"] == Answer("ok", "", requests)
    assert fetched.bars.filter(symbol="PLAIN").equals(sound.bars)


def test_an_unknown_symbol_is_asked_once_and_in_the_sources_words(server, open_warm):
    fetched = fetch(open_warm(), "NOPE", "PLAIN")
    assert fetched.answers == {
        "NOPE": Answer("unknown_symbol", DELISTED, 1),
        "PLAIN": Answer("ok", "", 1),
    }
    assert len(server.log) == 2


def test_a_delisted_share_is_empty_and_keeps_its_history(open_warm):
    provider = open_warm()
    answer = fetch(provider, "GONE").answers["GONE"]
    assert (answer.outcome, answer.requests) == ("empty", 1)
    assert answer.detail.startswith("Data doesn't exist for startDate = ")
    assert fetch(provider, "GONE", start=None).bars.height == 240


def test_bars_outside_the_span_alone_are_no_bars(server, open_warm):
    # The request reaches a day further back than wanted, and there YOUNG has its first bar.
    provider = open_warm()
    day = server.listings["YOUNG"].tape.days[0]
    fetched = provider.fetch({"YOUNG": day + timedelta(days=1)}, day + timedelta(days=1), NIGHT)
    assert fetched.bars.height == 1
    fetched = provider.fetch({"YOUNG": day - timedelta(days=9)}, day - timedelta(days=1), NIGHT)
    assert fetched.answers["YOUNG"] == Answer("empty", "no bars in the span", 1)
    assert fetched.bars.is_empty()


def test_a_start_after_the_end_asks_nothing(server, open_warm):
    fetched = open_warm().fetch({"PLAIN": LAST + timedelta(days=1)}, LAST, NIGHT)
    assert fetched.answers == {"PLAIN": Answer("empty", "no bars in the span", 0)}
    assert server.log == []


def test_a_slow_answer_is_waited_for(server, open_warm):
    server.fault("PLAIN", "slow", seconds=0.1)
    assert fetch(open_warm(timeout_seconds=5), "PLAIN").answers["PLAIN"] == Answer("ok", "", 1)


def test_all_symbols_fail_and_all_heal_the_next_time(server, open_warm):
    provider = open_warm()
    server.fault("*", "503")
    failed = fetch(provider, "PLAIN", *OTHERS)
    assert {a.outcome for a in failed.answers.values()} == {"transient"}
    assert failed.bars.is_empty()
    assert failed.listings.is_empty()
    server.heal()
    assert {a.outcome for a in fetch(provider, "PLAIN", *OTHERS).answers.values()} == {"ok"}


@pytest.mark.parametrize(
    "asked", ["30", format_datetime(NIGHT + timedelta(seconds=30), usegmt=True)]
)
def test_retry_after_is_waited_out_by_all(server, open_warm, fake_time, asked):
    provider = open_warm(workers=1)
    server.fault("PLAIN", "429", times=1, retry_after=asked)
    fetched = fetch(provider, "PLAIN", *OTHERS)
    assert fetched.answers["PLAIN"] == Answer("ok", "", 2)
    assert sum(fake_time.slept) == pytest.approx(30)
    assert len(server.charts()) == 5


def test_a_429_without_a_time_is_waited_out_by_a_backoff(server, open_warm, fake_time):
    provider = open_warm(workers=1)
    server.fault("PLAIN", "429", times=2)
    assert fetch(provider, "PLAIN").answers["PLAIN"] == Answer("ok", "", 3)
    # 10 to 20 seconds, then 20 to 40.
    assert 30 <= sum(fake_time.slept) <= 60


def test_after_five_refusals_in_a_row_the_run_asks_nothing_more(server, open_warm, fake_time):
    provider = open_warm(workers=1, max_attempts=4)
    server.fault("*", "429", retry_after="7")
    fetched = fetch(provider, "PLAIN", *OTHERS)
    requests = [fetched.answers[s].requests for s in ("PLAIN", *OTHERS)]
    assert requests == [4, 1, 0, 0]
    assert {a.outcome for a in fetched.answers.values()} == {"rate_limited"}
    assert fetched.answers["7203.T"].detail == "refused (HTTP 429) 5 times in a row"
    assert len(server.log) == 5
    assert sum(fake_time.slept) == pytest.approx(4 * 7, abs=2.0)
    server.heal()
    assert fetch(provider, "PLAIN").answers["PLAIN"].requests == 0


def test_a_wait_longer_than_allowed_ends_the_run_without_waiting(server, open_warm, fake_time):
    provider = open_warm(workers=1, max_wait_seconds=60, max_attempts=1)
    server.fault("PLAIN", "429", times=1, retry_after="3600")
    fetched = fetch(provider, "PLAIN", *OTHERS)
    assert [a.requests for a in fetched.answers.values()] == [1, 0, 0, 0]
    assert "beyond max_wait_seconds=60" in fetched.answers["SPLIT"].detail
    assert fake_time.slept == []


def test_a_crumb_refused_is_heard_too(server, open_cold, fake_time):
    server.fault(CRUMB, "429", times=1, retry_after="12")
    fetched = fetch(open_cold(workers=1), "PLAIN", *OTHERS)
    assert fetched.answers["PLAIN"] == Answer("ok", "", 3)
    assert sum(fake_time.slept) == pytest.approx(12)
    assert [asked.path for asked in server.log[:2]] == [COOKIE, CRUMB]
    assert len(server.log) == 6


def test_without_its_cookie_the_bars_come_all_the_same(server, open_cold):
    server.fault(COOKIE, "reset")
    server.fault(CRUMB, "503")
    fetched = fetch(open_cold(workers=1), "PLAIN")
    assert fetched.answers["PLAIN"].outcome == "ok"


def test_a_warm_run_is_one_request_a_symbol(server, open_warm):
    provider = open_warm()
    for _ in range(2):
        fetch(provider, "PLAIN", *OTHERS)
    assert sorted(asked.path.rsplit("/", 1)[1] for asked in server.log) == sorted(
        2 * ["PLAIN", *OTHERS]
    )


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_others_use_of_yfinance_is_neither_paced_nor_counted(server, open_warm, fake_time):
    provider = open_warm(requests_per_second=0.001)
    fetch(provider, "PLAIN")
    fake_time.slept.clear()
    history = yfinance.Ticker("SPLIT").history(start=WEEK[0], end=LAST)
    assert len(history) == 4
    server.fault("SPLIT", "503", times=1)
    # The library repeats a failed request itself, as it always does.
    assert len(yfinance.Ticker("SPLIT").history(start=WEEK[1], end=LAST)) == 3
    assert fake_time.slept == []


def test_a_symbol_with_odd_signs_reaches_the_source_whole(server, open_warm):
    odd = "A/B=X^&?%#"
    server.add([Listing(odd, random_tape(WEEK, 1))])
    assert fetch(open_warm(), odd).answers[odd] == Answer("ok", "", 1)
