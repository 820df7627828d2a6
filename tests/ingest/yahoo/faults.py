"""What goes wrong at Yahoo, by name.

A wire fault answers in place of the chart; a content fault spoils a chart that is otherwise true.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tests.ingest.yahoo.chart import PRICES, stamp
from tests.ingest.yahoo.market import Listing

FOR_EVER = 10**9


@dataclass
class Fault:
    """One fault, for so many requests; the other fields mean something to some kinds only."""

    kind: str
    times: int = FOR_EVER
    seconds: float = 0.0
    retry_after: str | None = None
    day: date | None = None
    factor: float = 1.0
    text: str = ""


@dataclass(frozen=True)
class Wire:
    """What is sent: a status and a body, whole or not."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    # Content-Length where it is not the body's, after which the connection is closed.
    declared: int | None = None


Result = dict[str, Any]
NO_ANSWER = ("timeout", "reset")
_HTML = b"<!doctype html><html><body>Will be right back</body></html>"
_STATUSES = ("401", "403", "429", "500", "502", "503")


def error(code: str, description: str) -> bytes:
    chart = {"result": None, "error": {"code": code, "description": description}}
    return json.dumps({"chart": chart}).encode()


def delisted() -> Wire:
    return Wire(404, error("Not Found", "No data found, symbol may be delisted"))


def on_the_wire(fault: Fault, symbol: str) -> Wire | None:
    """Returns what a wire fault sends; None if the fault is of the content."""
    if fault.kind in _STATUSES:
        asked = () if fault.retry_after is None else (("Retry-After", fault.retry_after),)
        return Wire(int(fault.kind), b"<html><body>no</body></html>", asked)
    meta = {"currency": "USD", "symbol": symbol, "exchangeTimezoneName": "America/New_York"}
    no_quote = {"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}
    bodies = {
        "truncated": b'{"chart":{"result":[{"meta":{"currency":"USD","sym',
        "html": _HTML,
        "empty_body": b"",
        "null_result": b'{"chart":{"result":null,"error":null}}',
        "no_quote": json.dumps({"chart": {"result": [no_quote], "error": None}}).encode(),
    }
    if fault.kind in bodies:
        return Wire(200, bodies[fault.kind])
    if fault.kind == "short":
        return Wire(200, b'{"chart":', declared=5000)
    return delisted() if fault.kind == "delisted" else None


def spoil(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """Changes one result of the API as a content fault does."""
    if fault.kind not in _CONTENT:
        raise ValueError(f"{fault.kind!r} is no fault; choose among {sorted(_CONTENT)}")
    _CONTENT[fault.kind](result, fault, listing, now)


def _columns(result: Result) -> dict[str, list]:
    """All lists of a result that go in step, by name."""
    adjusted = result["indicators"]["adjclose"][0]
    stamps = {"timestamp": result["timestamp"]} if "timestamp" in result else {}
    return {**result["indicators"]["quote"][0], **adjusted, **stamps}


def _place(result: Result, fault: Fault, listing: Listing) -> int | None:
    """Where in the result the fault's day is; without a day, the last bar."""
    if fault.day is None:
        return len(result["timestamp"]) - 1
    at = stamp(fault.day, listing.opens, listing.zone)
    return result["timestamp"].index(at) if at in result["timestamp"] else None


def _bad_timezone(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    result["meta"]["exchangeTimezoneName"] = fault.text or "Mars/Olympus"


def _wrong_symbol(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    result["meta"]["symbol"] = fault.text or "OTHER"


def _wrong_currency(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    result["meta"]["currency"] = fault.text or "EUR"


def _no_timestamps(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    del result["timestamp"]


def _uneven(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    result["indicators"]["quote"][0]["close"].pop()


def _nan_bar(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """The bar lacks its prices and keeps its volume."""
    place = _place(result, fault, listing)
    if place is not None:
        for name in (*PRICES, "adjclose"):
            _columns(result)[name][place] = None


def _empty_bar(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """The bar lacks its prices, and its volume is 0."""
    _nan_bar(result, fault, listing, now)
    _columns(result)["volume"][-1] = 0


def _nan_token(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """The JSON holds the words NaN and Infinity, which are none of JSON's."""
    _columns(result)["open"][-1] = float("nan")
    _columns(result)["adjclose"][-1] = float("inf")


def _null_volume(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    place = _place(result, fault, listing)
    if place is not None:
        _columns(result)["volume"][place] = None


def _live(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """The market is open: the last bar is stamped now, and half its volume is still to come."""
    columns = _columns(result)
    columns["timestamp"][-1] = int(now.timestamp())
    columns["close"][-1] = columns["adjclose"][-1] = columns["open"][-1]
    columns["volume"][-1] //= 2


def _live_twice(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """Today's bar is there, and once more with the stamp now and a little more volume."""
    columns = _columns(result)
    for values in columns.values():
        values.append(values[-1])
    columns["timestamp"][-1] = int(now.timestamp())
    columns["volume"][-1] += 7


def _revised(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """All prices of one bar are multiplied: a restatement, or 100 times too high."""
    place = _place(result, fault, listing)
    if place is not None:
        _multiply(result, fault.factor, [place])


def _level_shift(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """All prices are multiplied, as by a split of which no event tells."""
    _multiply(result, fault.factor, range(len(result["timestamp"])))


def _multiply(result: Result, factor: float, places: Any) -> None:
    columns = _columns(result)
    for name in (*PRICES, "adjclose"):
        for place in places:
            if columns[name][place] is not None:
                columns[name][place] = round(columns[name][place] * factor, 6)


def _lost_session(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    place = _place(result, fault, listing)
    if place is not None:
        for values in _columns(result).values():
            del values[place]


def _missing_split(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """Prices are adjusted for the splits, and the events do not name them."""
    result.get("events", {}).pop("splits", None)


def _filled_holiday(result: Result, fault: Fault, listing: Listing, now: datetime) -> None:
    """A day without trade has a bar at the close before, without volume."""
    assert fault.day is not None, "filled_holiday needs a day"
    columns = _columns(result)
    at = stamp(fault.day, listing.opens, listing.zone)
    place = sum(known < at for known in columns["timestamp"])
    if place > 0 and at not in columns["timestamp"]:
        close, adjusted = columns["close"][place - 1], columns["adjclose"][place - 1]
        row = {**dict.fromkeys(PRICES, close), "adjclose": adjusted, "volume": 0, "timestamp": at}
        for name, values in columns.items():
            values.insert(place, row[name])


_CONTENT: dict[str, Callable[[Result, Fault, Listing, datetime], None]] = {
    "bad_timezone": _bad_timezone,
    "wrong_symbol": _wrong_symbol,
    "wrong_currency": _wrong_currency,
    "no_timestamps": _no_timestamps,
    "uneven": _uneven,
    "nan_bar": _nan_bar,
    "empty_bar": _empty_bar,
    "nan_token": _nan_token,
    "null_volume": _null_volume,
    "live": _live,
    "live_twice": _live_twice,
    "revised": _revised,
    "level_shift": _level_shift,
    "lost_session": _lost_session,
    "missing_split": _missing_split,
    "filled_holiday": _filled_holiday,
}
WIRE = (*_STATUSES, "truncated", "html", "empty_body", "null_result", "no_quote", "short")
KINDS = frozenset({*WIRE, *NO_ANSWER, *_CONTENT, "slow", "delisted"})
