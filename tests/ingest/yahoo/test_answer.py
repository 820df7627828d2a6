"""No answer, however broken, raises or spoils the frame that it shares with others."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from tasks.ingest.contracts import Actions, Listings, RawBars, require
from tasks.ingest.providers.yahoo_answer import read_answer
from tasks.ingest.providers.yahoo_frames import as_traded, listings
from tests.ingest.yahoo.chart import chart_text
from tests.ingest.yahoo.conftest import NIGHT
from tests.ingest.yahoo.market import Listing, random_tape, weekdays

LAST = NIGHT.date()
DAYS = weekdays(4, LAST)
TAPE = random_tape(DAYS, 1, {DAYS[2]: (2.0, 1.0)}, {DAYS[1]: 0.5}, {DAYS[3]: 0.25})
BAD_VALUES = (None, "x", -1, 0, 1.5, True, [], {}, [None], 10**400, float("nan"), float("inf"))


@dataclass
class Response:
    content: bytes
    status_code: int = 200

    def json(self) -> Any:
        return json.loads(self.content)


def answer_of(symbol: str) -> dict:
    text = chart_text(Listing(symbol, TAPE), -(2**40), 2**40, LAST, NIGHT)
    assert text is not None
    return json.loads(text)


def reply(answer: Any, symbol: str = "AAA"):
    return read_answer(symbol, Response(json.dumps(answer).encode()))


def paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where every value of a JSON is, from the outside in."""
    yield path
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield from paths(value[key], (*path, key))


def replaced(answer: dict, path: tuple, value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(answer)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def test_a_sound_answer_is_read_whole():
    found = reply(answer_of("AAA"))
    assert (found.outcome, found.detail) == ("ok", "")
    assert len(found.chart.stamps) == 4
    assert sorted(kind for _, kind, _ in found.chart.actions) == [
        "capital_gain",
        "dividend",
        "split",
    ]


def test_nothing_in_an_answer_can_hurt_its_neighbour():
    answer = answer_of("AAA")
    replies = [reply(replaced(answer, path, bad)) for path in paths(answer) for bad in BAD_VALUES]
    assert {found.outcome for found in replies} == {"ok", "malformed"}
    broken = {f"A{k}": found.chart for k, found in enumerate(replies) if found.chart}
    sound = {"BBB": reply(answer_of("BBB"), "BBB").chart}
    starts = dict.fromkeys((*broken, *sound), date(2000, 1, 1))
    alone = as_traded(sound, starts, LAST)
    together = as_traded(broken | sound, starts, LAST)
    for contract, mine, shared in zip((RawBars, Actions), alone, together, strict=True):
        assert require(contract, shared).filter(symbol="BBB").equals(mine)
    assert require(Listings, listings(broken | sound)).height == len(broken) + 1


@pytest.mark.parametrize(
    ("path", "bad", "words"),
    [
        ((), [], "HTTP 200 without a chart"),
        (("chart",), None, "HTTP 200 without a chart"),
        (("chart", "error"), "oops", "no error"),
        (("chart", "error"), {"code": "Busy", "description": "later"}, "Busy: later"),
        (("chart", "result"), [], "neither a result nor an error"),
        (("chart", "result", 0), 7, "no result"),
        (("chart", "result", 0, "meta"), None, "no meta"),
        (("chart", "result", 0, "meta", "symbol"), "BBB", "answers for 'BBB', not for 'AAA'"),
        (("chart", "result", 0, "meta", "exchangeTimezoneName"), "", "unknown time zone ''"),
        (("chart", "result", 0, "indicators"), None, "no indicators"),
        (("chart", "result", 0, "timestamp", 1), "1", "timestamps that are no seconds"),
        (("chart", "result", 0, "timestamp", 1), 10**15, "timestamps that are no seconds"),
        (
            ("chart", "result", 0, "indicators", "quote", 0, "low", 2),
            "1",
            "low that are no numbers",
        ),
        (("chart", "result", 0, "indicators", "quote", 0, "low"), None, "and no values of low"),
        (("chart", "result", 0, "events", "splits"), [1], "no splits"),
    ],
)
def test_what_is_malformed_is_named(path, bad, words):
    found = reply(replaced(answer_of("AAA"), path, bad))
    assert found.outcome == "malformed"
    assert words in found.detail


def test_a_chart_comes_with_a_status_of_its_own():
    content = json.dumps(answer_of("AAA")).encode()
    assert read_answer("AAA", Response(content, 404)).outcome == "malformed"


def test_an_event_lacks_its_date():
    answer = answer_of("AAA")
    events = answer["chart"]["result"][0]["events"]
    events["dividends"] = {"1": {"amount": 0.5}}
    assert reply(answer).detail == "an event dated None"
    events["dividends"] = {"1": {"amount": 0.5, "date": 10**15}}
    assert reply(answer).detail == f"an event dated {10**15}"
    events["dividends"] = {"1": {"amount": "0.5", "date": 1_795_617_000}}
    assert reply(answer).detail == "an event without a number as amount"


@pytest.mark.parametrize(
    ("new", "old", "value"), [(2, 0, None), (0, 1, 0.0), (-2, 1, -2.0), (float("nan"), 1, None)]
)
def test_a_split_by_nothing_is_told_and_not_undone(new, old, value):
    answer = answer_of("AAA")
    (split,) = answer["chart"]["result"][0]["events"]["splits"].values()
    split |= {"numerator": new, "denominator": old}
    chart = reply(answer).chart
    bars, actions = as_traded({"AAA": chart}, {"AAA": DAYS[0]}, LAST)
    assert actions.filter(kind="split")["value"].to_list() == [value]
    # Nobody knows what the source has divided by: its prices stay as served.
    assert bars["close"][0] == pytest.approx(TAPE.bars[0][4] / 2, rel=1e-6)


def test_lower_case_is_the_same_symbol():
    assert reply(answer_of("AAA"), "aaa").outcome == "ok"


def test_a_chart_without_adjusted_closes_has_none():
    answer = answer_of("AAA")
    del answer["chart"]["result"][0]["indicators"]["adjclose"]
    bars, _ = as_traded({"AAA": reply(answer).chart}, {"AAA": DAYS[0]}, LAST)
    assert bars["adj_close"].null_count() == bars.height == 4


@pytest.mark.parametrize("status", [400, 404])
def test_an_error_page_is_no_word_on_the_symbol(status):
    found = read_answer("AAA", Response(b"<html>gone</html>", status))
    assert found.outcome == "malformed"
    assert found.detail == f"HTTP {status} without JSON: '<html>gone</html>'"


def test_bytes_that_are_no_text_and_brackets_without_end():
    for content in (b"\xff\xfe{", b"[" * 100_000):
        assert read_answer("AAA", Response(content)).outcome == "malformed"
