"""A server on this machine that answers as Tiingo's daily prices do, faults included."""

import json
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "0123456789abcdef0123456789abcdef01234567"


def row(day: str, close: float | str | None, **other) -> dict:
    """A bar as Tiingo writes it; `other` overrides its fields."""
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    adjusted = {"adjClose": None, "adjOpen": None, "adjVolume": 2000}
    events = {"divCash": 0.0, "splitFactor": 1.0}
    stamp = {"date": f"{day}T00:00:00.000Z"}
    return stamp | prices | {"volume": 1000} | adjusted | events | other


@dataclass
class Fault:
    """An answer given instead of the true one; `drop` closes the line without any."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass
class Asked:
    """One request as it came in."""

    ticker: str
    query: dict[str, str]
    headers: dict[str, str]


class TiingoReplay:
    """Serves `rows` by ticker, first of all the faults queued for that ticker."""

    def __init__(self, rows: dict[str, list[dict]]) -> None:
        self.rows = rows
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.asked: list[Asked] = []
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                replay.answer(self)

            def log_message(self, *args) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Writes the answer to one request."""
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        *folder, ticker, last = (unquote(part) for part in parts.path.split("/"))
        self.asked.append(Asked(ticker, query, dict(handler.headers)))
        fault = self.faults[ticker].popleft() if self.faults[ticker] else None
        if fault is not None and fault.drop:
            handler.close_connection = True
            return
        if fault is None and (folder, last) == (["", "tiingo", "daily"], "prices"):
            fault = self._truth(ticker, query, handler.headers["Authorization"])
        fault = fault or Fault(404, "no such page")
        body = fault.body.encode()
        handler.send_response(fault.status)
        for name, value in {**fault.headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def _truth(self, ticker: str, query: dict[str, str], authorization: str | None) -> Fault:
        if authorization != f"Token {KEY}":
            return Fault(401, json.dumps({"detail": f"Invalid token: {authorization}"}))
        if ticker not in self.rows:
            return Fault(404, json.dumps({"detail": f"Error: Ticker '{ticker}' not found"}))
        span = (query["startDate"], query["endDate"])
        inside = [r for r in self.rows[ticker] if span[0] <= r["date"][:10] <= span[1]]
        return Fault(200, json.dumps(inside))
