"""A server on this machine that answers as Yahoo's chart API does, faults included.

It runs on its own thread and event loop; each connection is parsed by hand, for a benchmark asks
thousands of symbols and the client shares the machine. What it has been asked is in `log`.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterable
from datetime import date, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, unquote
from zoneinfo import ZoneInfo

from tests.ingest.yahoo import faults
from tests.ingest.yahoo.chart import chart_text, stamp
from tests.ingest.yahoo.faults import KINDS, NO_ANSWER, Fault, Wire
from tests.ingest.yahoo.market import Listing

_CHART = "/v8/finance/chart/"
# Where yfinance gets its cookie and its crumb.
COOKIE, CRUMB = "/", "/v1/test/getcrumb"
_SET_COOKIE = (("Set-Cookie", "A3=d=x; Path=/; Max-Age=31557600"),)


class Asked(NamedTuple):
    """One request: seconds of a monotonic clock, path and parameters."""

    at: float
    path: str
    params: dict[str, str]


class Replay:
    """Serves `listings` as Yahoo would at `now`; both clocks may be set anew between nights.

    Args:
        listings: What there is; `add` brings more.
        now: The instant of an answer, with a time zone.
        asof: The last date served, up to whose actions prices are adjusted; None means the date
            of `now` at the exchange.
        latency: Seconds before each chart's answer.
        limit: More charts than so many, within so many seconds, are refused with a 429.
    """

    def __init__(
        self,
        listings: Iterable[Listing],
        now: datetime,
        asof: date | None = None,
        latency: float = 0.0,
        limit: tuple[int, float] | None = None,
    ) -> None:
        self.listings: dict[str, Listing] = {}
        self.add(listings)
        self.now, self.asof, self.latency, self.limit = now, asof, latency, limit
        self.log: list[Asked] = []
        self.in_flight = self.most_in_flight = 0
        self._faults: dict[str, list[Fault]] = {}
        self._served_at: list[float] = []
        self._connections: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def add(self, listings: Iterable[Listing]) -> None:
        self.listings.update({listing.symbol.upper(): listing for listing in listings})

    def fault(self, symbol: str, kind: str, **details) -> None:
        """Makes `kind` happen to a symbol, to "*" (every one), or to the path COOKIE or CRUMB."""
        assert kind in KINDS, f"{kind!r} is no fault; choose among {sorted(KINDS)}"
        self._faults.setdefault(symbol.upper(), []).append(Fault(kind, **details))

    def heal(self) -> None:
        self._faults.clear()

    def asked(self, symbol: str) -> list[Asked]:
        """Returns the chart requests for a symbol, in order."""
        return [asked for asked in self.log if asked.path == _CHART + symbol]

    def charts(self) -> list[Asked]:
        return [asked for asked in self.log if asked.path.startswith(_CHART)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=512)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def respond(self, connection: "_Connection", target: str) -> None:
        """Answers one request, now or after the delays that are due."""
        path, _, query = target.partition("?")
        asked = Asked(time.monotonic(), unquote(path), dict(parse_qsl(query)))
        self.log.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        is_chart = asked.path.startswith(_CHART)
        happening = self._happening(asked.path.removeprefix(_CHART), is_chart)
        slow = sum(fault.seconds for fault in happening if fault.kind == "slow")
        delay = slow + (self.latency if is_chart else 0)
        if delay:
            self._loop.call_later(delay, self._answer, connection, asked, happening)
        else:
            self._answer(connection, asked, happening)

    def _happening(self, name: str, is_chart: bool) -> list[Fault]:
        """Returns the faults that befall a request, each used up by one."""
        names = (name.upper(), "*") if is_chart else (name.upper(),)
        found = [f for n in names for f in self._faults.get(n, ()) if f.times > 0]
        for fault in found:
            fault.times -= 1
        return found

    def _answer(self, connection: "_Connection", asked: Asked, happening: list[Fault]) -> None:
        self.in_flight -= 1
        silent = next((f.kind for f in happening if f.kind in NO_ANSWER), None)
        if silent == "reset":
            connection.reset()
        elif silent is None:
            connection.send(self._wire(asked, happening))

    def _wire(self, asked: Asked, happening: list[Fault]) -> Wire:
        if not asked.path.startswith(_CHART):
            return next(
                (w for f in happening if (w := faults.on_the_wire(f, ""))), _beside(asked.path)
            )
        if self._is_too_fast(asked.at):
            return Wire(429, b"Too Many Requests\r\n")
        symbol = asked.path.removeprefix(_CHART).upper()
        for fault in happening:
            if wire := faults.on_the_wire(fault, symbol):
                return wire
        listing = self.listings.get(symbol)
        return faults.delisted() if listing is None else self._chart(listing, asked, happening)

    def _is_too_fast(self, at: float) -> bool:
        if self.limit is None:
            return False
        count, seconds = self.limit
        self._served_at = [served for served in self._served_at if at - served < seconds]
        if len(self._served_at) >= count:
            return True
        self._served_at.append(at)
        return False

    def _chart(self, listing: Listing, asked: Asked, happening: list[Fault]) -> Wire:
        since, until = _span(listing, asked.params, self.now)
        asof = self.asof or self.now.astimezone(ZoneInfo(listing.zone)).date()
        text = chart_text(listing, since, until, asof, self.now)
        if text is None:
            words = f"Data doesn't exist for startDate = {since}, endDate = {until}"
            return Wire(400, faults.error("Bad Request", words))
        spoiling = [fault for fault in happening if fault.kind != "slow"]
        if spoiling:
            answer = json.loads(text)
            for fault in spoiling:
                faults.spoil(answer["chart"]["result"][0], fault, listing, self.now)
            text = json.dumps(answer)
        return Wire(200, text.encode())


def _span(listing: Listing, params: dict[str, str], now: datetime) -> tuple[int, int]:
    if "period1" in params:
        return int(params["period1"]), int(params["period2"])
    # yfinance asks for a range when it learns a symbol's time zone; the last bar will do.
    last = stamp(listing.tape.days[-1], listing.opens, listing.zone)
    return min(last, int(now.timestamp()) - 7 * 86_400), 2**40


def _beside(path: str) -> Wire:
    """Returns the answer to what is no chart: the cookie, which comes with a 404, or the crumb."""
    if path == COOKIE:
        return Wire(404, b"", _SET_COOKIE)
    return Wire(200, b"t35tCrumb") if path == CRUMB else Wire(404, faults.error("Not Found", path))


class _Connection(asyncio.Protocol):
    """One keep-alive connection, on which one request follows another."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._replay._connections.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._replay._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._replay.respond(self, head.split(b" ", 2)[1].decode("ascii"))

    def send(self, wire: Wire) -> None:
        length = len(wire.body) if wire.declared is None else wire.declared
        headers = {
            "Date": formatdate(self._replay.now.timestamp(), usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": length,
            **dict(wire.headers),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status = f"{wire.status} {HTTPStatus(wire.status).phrase}"
        self._transport.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + wire.body)
        if wire.declared is not None:
            self._transport.close()

    def reset(self) -> None:
        """Closes with a RST, not a FIN."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
