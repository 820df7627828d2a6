"""Reads one answer of Yahoo's chart API: what it says of a symbol, or why it says nothing.

Everything that polars will be given later is checked here, symbol by symbol, so that one broken
answer cannot spoil the frame that it shares with others.
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import polars as pl

from tasks.ingest.providers.base import Outcome

QUOTES = ("open", "high", "low", "close", "volume")
# The API's word for each kind of action that carries an amount of cash.
_CASH = {"dividends": "dividend", "capitalGains": "capital_gain"}
# Characters of the source's words that are kept.
WORDS = 300
_NUMBER_OR_NONE = {float, int, type(None)}
# A whole number in JSON may be too large for a float.
_HUGE = 1e300
# Seconds; beyond the years 1700 to 2500 a stamp is no stamp.
_EARLIEST, _LATEST = -8_520_336_000, 16_725_225_600


@dataclass(frozen=True)
class Chart:
    """What an answer holds: the listing, the bars column by column, the actions."""

    currency: str | None
    timezone: str
    instrument: str | None
    first_traded: int | None
    stamps: list[int] = field(default_factory=list)
    columns: dict[str, list[float | None]] = field(default_factory=dict)
    actions: list[tuple[int, str, float | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """The outcome of one request, the source's own words, and the chart where there is one."""

    outcome: Outcome
    detail: str = ""
    chart: Chart | None = None


class _Malformed(Exception):  # noqa: N818  # caught below, a verdict and no mistake
    pass


def read_answer(symbol: str, response: Any) -> Reply:
    """Returns what a response of the HTTP client to a question about `symbol` amounts to."""
    status = response.status_code
    if status == 429:
        return Reply("rate_limited", "HTTP 429: too many requests")
    if status >= 500 or status in (401, 403, 408):
        return Reply("transient", f"HTTP {status}")
    try:
        return _read(symbol, status, _decoded(response))
    except _Malformed as reason:
        return Reply("malformed", str(reason)[:WORDS])


def _decoded(response: Any) -> Any:
    try:
        # Through orjson where that is installed, in a quarter of the time.
        return response.json()
    except (ValueError, RecursionError):
        pass
    try:
        # Slower, but it knows the words NaN and Infinity, which Yahoo sometimes writes.
        return json.loads(response.content)
    except (ValueError, RecursionError):
        start = response.content[:60].decode("utf-8", "replace")
        raise _Malformed(f"HTTP {response.status_code} without JSON: {start!r}") from None


def _read(symbol: str, status: int, answer: Any) -> Reply:
    chart = answer.get("chart") if isinstance(answer, dict) else None
    if not isinstance(chart, dict):
        raise _Malformed(f"HTTP {status} without a chart")
    if chart.get("error"):
        return _said(chart["error"])
    results = chart.get("result")
    if status != 200 or not isinstance(results, list) or not results:
        raise _Malformed(f"HTTP {status} with neither a result nor an error")
    found = _chart(symbol, _mapping(results[0], "result"))
    return Reply("ok" if found.stamps else "empty", "" if found.stamps else "no bars", found)


def _said(error: Any) -> Reply:
    """Judges by the source's own words."""
    code, words = (_mapping(error, "error").get(k) for k in ("code", "description"))
    if code == "Not Found":
        return Reply("unknown_symbol", str(words)[:WORDS])
    if "Data doesn't exist for startDate" in str(words):
        return Reply("empty", str(words)[:WORDS])
    raise _Malformed(f"{code}: {words}")


def _chart(symbol: str, result: dict[str, Any]) -> Chart:
    meta = _mapping(result.get("meta"), "meta")
    if str(meta.get("symbol")).upper() != symbol.upper():
        raise _Malformed(f"answers for {meta.get('symbol')!r}, not for {symbol!r}")
    zone = meta.get("exchangeTimezoneName")
    if not isinstance(zone, str) or not _is_zone(zone):
        raise _Malformed(f"unknown time zone {zone!r}")
    stamps, columns = _bars(result)
    first = meta.get("firstTradeDate")
    return Chart(
        currency=_text(meta.get("currency")),
        timezone=zone,
        instrument=_text(meta.get("instrumentType")),
        first_traded=first if _is_stamp(first) else None,
        stamps=stamps,
        columns=columns,
        actions=_actions(result.get("events") or {}),
    )


def _bars(result: dict[str, Any]) -> tuple[list[int], dict[str, list[float | None]]]:
    indicators = _mapping(result.get("indicators"), "indicators")
    quote, adjusted = (_only(indicators.get(k)) for k in ("quote", "adjclose"))
    stamps = result.get("timestamp") or []
    if not stamps:
        if any(quote.get(name) for name in QUOTES):
            raise _Malformed("prices without timestamps")
        return [], {}
    if not isinstance(stamps, list) or not all(map(_is_stamp, stamps)):
        raise _Malformed("timestamps that are no seconds")
    served: dict[str, Any] = {name: quote.get(name) for name in QUOTES}
    served["adj_close"] = adjusted.get("adjclose", [None] * len(stamps))
    for name, values in served.items():
        if not isinstance(values, list) or len(values) != len(stamps):
            count = len(values) if isinstance(values, list) else "no"
            raise _Malformed(f"{len(stamps)} timestamps and {count} values of {name}")
        if not set(map(type, values)) <= _NUMBER_OR_NONE:
            raise _Malformed(f"values of {name} that are no numbers")
    return stamps, served


def _actions(events: Any) -> list[tuple[int, str, float | None]]:
    """Returns stamp, kind and value of each action, cash as served; a ratio by zero is None."""
    found: list[tuple[int, str, float | None]] = []
    for split in _mapping(_mapping(events, "events").get("splits") or {}, "splits").values():
        stamp = _date(split)
        new, old = _number(split, "numerator"), _number(split, "denominator")
        found.append((stamp, "split", new / old if old else None))
    for name, kind in _CASH.items():
        for paid in _mapping(events.get(name) or {}, name).values():
            found.append((_date(paid), kind, _number(paid, "amount")))
    return found


def _number(event: dict[str, Any], name: str) -> float:
    value: Any = event.get(name)
    if type(value) not in (float, int) or abs(value) > _HUGE:
        raise _Malformed(f"an event without a number as {name}")
    return float(value)


def _date(event: Any) -> int:
    value: Any = _mapping(event, "event").get("date")
    if not _is_stamp(value):
        raise _Malformed(f"an event dated {value!r}")
    return value


def _is_stamp(value: Any) -> bool:
    return type(value) is int and _EARLIEST < value < _LATEST


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Malformed(f"no {name}")
    return value


def _only(blocks: Any) -> dict[str, Any]:
    """Returns the one block of a list of blocks; without any, an empty one."""
    block = blocks[0] if isinstance(blocks, list) and blocks else {}
    return block if isinstance(block, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


@lru_cache(maxsize=256)
def _is_zone(name: str) -> bool:
    # Asked of polars, which turns the stamps into dates: it knows fewer names than zoneinfo, and
    # takes an empty one for none at all.
    instant = pl.Series([0]).cast(pl.Datetime("us", "UTC"))
    try:
        instant.dt.convert_time_zone(name)
    except pl.exceptions.PolarsError:
        return False
    return bool(name)
