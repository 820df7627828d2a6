"""Daily bars of American shares and funds from Tiingo (api.tiingo.com), for holders of a key.

1. One request a symbol, on a pool of threads that all calls of `fetch` share, each through the
   run's one gate (`traffic`), which keeps the rate and waits out refusals.
2. An answer is read and judged symbol by symbol (`tiingo_answer`). What may heal is asked again; a
   refused key stops the run, since asking again does not heal it.
3. Prices and volumes come as traded; `divCash` and `splitFactor` of a bar are the actions of its
   date. A distribution of another company's shares is a factor there too, and so a split here.

The key comes from the environment, travels in a header, and is cut out of whatever the source says.
"""

import os
import time
from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import quote
from weakref import finalize

import httpx
import polars as pl

from models.errors import DataError, UsageError
from tasks.ingest.contracts import LISTING_COLUMNS
from tasks.ingest.providers.base import Answer, Fetched
from tasks.ingest.providers.live import LiveProvider
from tasks.ingest.providers.tiingo_answer import Reply, frames, read_answer, words_of
from tasks.ingest.providers.traffic import (
    Clock,
    Sleep,
)
from tasks.ingest.spec import TiingoSpec

KEY = "TIINGO_API_KEY"


class TiingoProvider(LiveProvider):
    """Serves the daily bars of Tiingo; one object serves one run, from any thread."""

    source = "tiingo"
    # Tiingo's history of shares begins after this.
    first = date(1960, 1, 1)

    def __init__(
        self,
        spec: TiingoSpec,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
        seed: int = 0,
    ) -> None:
        super().__init__(spec, clock, sleep, seed)
        self._key = _key()
        self._client = httpx.Client(
            base_url=spec.url,
            headers={"Authorization": f"Token {self._key}"},
            timeout=spec.timeout_seconds,
        )
        finalize(self, self._client.close)

    def notes(self) -> tuple[str, ...]:
        """Returns what the history lacks."""
        return (
            "Tiingo serves a share that no longer trades only while nobody else has its ticker.",
        )

    def fetch(self, starts: Mapping[str, date | None], end: date, now: datetime) -> Fetched:
        """Returns the rows of each symbol from its start (None: its first) to `end`.

        Raises:
            DataError: Tiingo refuses the key.
        """
        del now  # Prices as traded do not depend on the instant of asking.
        replies = self._ask_each(
            self._wanted(starts), lambda symbol, start: self._fetch_one(symbol, start, end)
        )
        answers = {s: Answer(reply.outcome, reply.detail, n) for s, (reply, n) in replies.items()}
        bars, actions = frames({s: reply.rows for s, (reply, _) in replies.items()}, self.source)
        return Fetched(bars, actions, pl.DataFrame(schema=LISTING_COLUMNS), answers)

    def _fetch_one(self, symbol: str, start: date, end: date) -> tuple[Reply, int]:
        """Returns the last reply about a symbol, and how many requests it took."""
        if start > end:
            return Reply("empty", "no bars in the span"), 0
        requests = 0

        def ask(number: int) -> Reply:
            nonlocal requests
            ticket = self._traffic.enter()
            requests = number + 1
            return self._ask(ticket, symbol, start, end)

        return self._persist(ask, Reply), requests

    def _ask(self, ticket: int, symbol: str, start: date, end: date) -> Reply:
        # Tiingo writes share classes with a hyphen: BRK.B is BRK-B.
        path = f"/tiingo/daily/{quote(symbol.replace('.', '-'), safe='')}/prices"
        span = {"startDate": start.isoformat(), "endDate": end.isoformat(), "format": "json"}
        try:
            response = self._client.get(path, params=span)
        except httpx.HTTPError as error:
            return Reply("transient", f"{type(error).__name__}: {error}")
        # Should the source repeat the key, it must not come into a log or an error.
        content = response.content.replace(self._key.encode(), KEY.encode())
        status = response.status_code
        if status in (401, 403):
            raise DataError(
                f"Tiingo refuses the key in {KEY} (HTTP {status}: {words_of(content)}); set the "
                "key that your account at Tiingo shows, and run again."
            )
        reply = read_answer(status, content, start, end)
        if reply.outcome == "rate_limited":
            self._traffic.refused(ticket, response.headers)
        elif status < 500:
            self._traffic.answered(ticket)
        return reply


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise UsageError(
            f"The provider tiingo needs a key, and the environment variable {KEY} is empty; set it "
            "to the key that your account at Tiingo shows."
        )
    # A header with other characters fails, and the failure would show the key.
    if not (key.isascii() and key.isalnum()):
        raise UsageError(
            f"{KEY} holds characters that are neither letters nor digits; set it to the bare key."
        )
    return key
