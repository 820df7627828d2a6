"""Daily bars of Yahoo Finance, through the inner client of yfinance.

1. One chart request a symbol, on a pool of threads that all calls of `fetch` share. The request
   always reaches to `now`: prices come divided by every split up to the moment of the answer, so
   all splits must be in it, whatever the last date wanted.
2. Each request that leaves, those for yfinance's cookie and crumb too, first passes the run's one
   gate (`traffic`), which keeps the rate and waits out refusals.
3. An answer is read and judged symbol by symbol (`yahoo_answer`). What may heal is asked again.
4. All answers become one frame of bars as traded (`yahoo_frames`).
"""

import atexit
import logging
import shutil
import threading
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

import yfinance
from yfinance.data import YfData

from tasks.ingest.providers.base import Answer, Fetched
from tasks.ingest.providers.live import LiveProvider
from tasks.ingest.providers.traffic import (
    RunRefused,
    Traffic,
)
from tasks.ingest.providers.yahoo_answer import WORDS, Reply, read_answer
from tasks.ingest.providers.yahoo_frames import as_traded, listings

_CHART = "https://query2.finance.yahoo.com/v8/finance/chart/"
_DAY = timedelta(days=1)
_NOTHING = Reply("empty", "no bars in the span")


class YahooProvider(LiveProvider):
    """Serves the daily bars of Yahoo Finance; one object serves one run, from any thread."""

    source = "yahoo"
    # Yahoo's oldest bars, those of ^GSPC, are of December of that year.
    first = date(1927, 1, 1)

    def notes(self) -> tuple[str, ...]:
        """Returns what the history lacks."""
        return (
            "Yahoo has no bars of most shares that no longer trade, and restates old ones without "
            "a word.",
        )

    def fetch(self, starts: Mapping[str, date | None], end: date, now: datetime) -> Fetched:
        """Returns the rows of each symbol from its start (None: its first) to `end`."""
        wanted = self._wanted(starts)
        client = _client()
        replies = self._ask_each(
            wanted, lambda symbol, start: self._fetch_one(client, symbol, start, end, now)
        )
        charts = {s: reply.chart for s, (reply, _) in replies.items() if reply.chart is not None}
        bars, actions = as_traded(charts, wanted, end)
        there = set(bars["symbol"].unique())
        answers = {
            symbol: _answer(reply, requests, symbol in there)
            for symbol, (reply, requests) in replies.items()
        }
        return Fetched(bars, actions, listings(charts), answers)

    def _fetch_one(
        self, client: Any, symbol: str, start: date, end: date, now: datetime
    ) -> tuple[Reply, int]:
        """Returns the last reply about a symbol, and how many requests it took."""
        if start > end:
            return _NOTHING, 0
        asking = _Asking(self._traffic)
        params = {
            # A day before: no exchange's midnight of `start` is earlier.
            "period1": timegm((start - _DAY).timetuple()),
            "period2": int((now + _DAY).timestamp()),
            "interval": "1d",
            "events": "div,splits,capitalGains",
            "includePrePost": "false",
        }

        def ask(number: int) -> Reply:
            asking.may_change_cookie = number == 0
            url = _CHART + quote(symbol, safe="")
            return _ask(asking, symbol, lambda: client.get(url, params, self._live.timeout_seconds))

        return self._persist(ask, Reply), asking.requests


class _Asking:
    """What a thread of the pool is asking, for the session to report to."""

    here = threading.local()

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.requests = 0
        self.may_change_cookie = True


class _Unwelcome(Exception):  # noqa: N818  # caught below, an answer and no mistake
    """An answer that yfinance must not repeat; it carries the answer out of the client."""

    def __init__(self, response: Any) -> None:
        self.response = response


def _ask(asking: _Asking, symbol: str, send: Callable[[], Any]) -> Reply:
    """Returns what one question comes to, whatever goes wrong on the way."""
    _Asking.here.now = asking
    try:
        response = send()
    except _Unwelcome as unwelcome:
        response = unwelcome.response
    except RunRefused:
        raise
    except Exception as error:  # time-outs, resets, and what yfinance stumbles over
        return Reply("transient", f"{type(error).__name__}: {error}"[:WORDS])
    return read_answer(symbol, response)


_OPENING = threading.Lock()


def _client() -> Any:
    """Returns yfinance's one client, its session passing every request of ours by the gate."""
    with _OPENING:
        _keep_caches_private()
        client = YfData()
        if not getattr(client._session.request, "is_gated", False):
            client._session.request = _gated(client._session.request)
    return client


def _gated(send: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `send` with each request of an asking thread counted, paced and reported.

    yfinance repeats whatever fails with another kind of cookie, and drops a 429 with the time
    that it names. A failed chart request therefore leaves the client here, as an exception; only
    a 401 or 403 may get a new cookie, once a symbol. Others' use of the session is left alone.
    """

    def request(method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        asking: _Asking | None = getattr(_Asking.here, "now", None)
        if asking is None:
            return send(method, url, *args, **kwargs)
        ticket = asking.traffic.enter()
        asking.requests += 1
        response = send(method, url, *args, **kwargs)
        status = response.status_code
        is_chart = url.startswith(_CHART)
        if status == 429:
            asking.traffic.refused(ticket, response.headers)
        elif is_chart and status < 500:
            asking.traffic.answered(ticket)
        cookie_may_help = status in (401, 403) and asking.may_change_cookie
        if is_chart and status >= 400 and not cookie_may_help:
            raise _Unwelcome(response)
        return response

    request.is_gated = True  # type: ignore[attr-defined]
    return request


@lru_cache(maxsize=1)
def _keep_caches_private() -> None:
    """Keeps yfinance's cookie out of the user's home, for as long as this process lives."""
    folder = mkdtemp(prefix="nightcast-yahoo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    yfinance.set_tz_cache_location(folder)
    # It tells of every request that fails; the log has each symbol's outcome in one line.
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)


def _answer(reply: Reply, requests: int, has_bars: bool) -> Answer:
    if reply.outcome == "ok" and not has_bars:
        reply = _NOTHING
    return Answer(reply.outcome, reply.detail, requests)
