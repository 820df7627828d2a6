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
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from random import Random
from urllib.parse import quote
from weakref import finalize

import httpx
import polars as pl

from models.errors import DataError, UsageError
from tasks.ingest.contracts import LISTING_COLUMNS
from tasks.ingest.providers.base import FAILED, Answer, Fetched
from tasks.ingest.providers.tiingo_answer import Reply, frames, read_answer, words_of
from tasks.ingest.providers.traffic import (
    Backoff,
    CircuitBreaker,
    Clock,
    RunRefused,
    Sleep,
    TokenBucket,
    Traffic,
    persist,
)
from tasks.ingest.spec import TiingoSpec

KEY = "TIINGO_API_KEY"

# Tiingo's history of shares begins after this.
_FIRST = date(1960, 1, 1)
# Refusals in a row, each waited out, after which a run is no longer welcome.
_MAX_TRIPS = 5


class TiingoProvider:
    """Serves the daily bars of Tiingo; one object serves one run, from any thread."""

    source = "tiingo"

    def __init__(
        self,
        spec: TiingoSpec,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
        seed: int = 0,
    ) -> None:
        self._spec, self._sleep = spec, sleep
        self._key = _key()
        random = Random(seed)  # noqa: S311  # spreads pauses, guards nothing
        rate = spec.requests_per_second
        self._traffic = Traffic(
            TokenBucket(rate, max(1, int(rate)), clock, sleep),
            CircuitBreaker(
                _MAX_TRIPS, spec.max_wait_seconds, Backoff(20, 300, random), clock, sleep
            ),
        )
        self._backoff = Backoff(1, 30, random)
        self._pool = ThreadPoolExecutor(spec.workers, thread_name_prefix="tiingo")
        self._client = httpx.Client(
            base_url=spec.url,
            headers={"Authorization": f"Token {self._key}"},
            timeout=spec.timeout_seconds,
        )
        finalize(self, self._client.close)

    def symbols(self) -> None:
        """Returns None: a key does not come with a list of symbols."""

    def benchmark(self) -> str | None:
        """Returns the symbol of the benchmark."""
        return self._spec.benchmark

    def last_session(self) -> None:
        """Returns None: the history grows."""

    def fingerprint(self) -> None:
        """Returns None: what is served changes from day to day."""

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
        first = self._spec.start or _FIRST
        futures = {
            symbol: self._pool.submit(self._fetch_one, symbol, max(start or first, first), end)
            for symbol, start in starts.items()
        }
        try:
            replies = {symbol: future.result() for symbol, future in futures.items()}
        finally:
            # After an interrupt, or a refused key, nothing more is asked for.
            for future in futures.values():
                future.cancel()
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

        def may_heal(reply: Reply) -> bool:
            return reply.outcome in FAILED

        try:
            attempts = self._spec.max_attempts
            reply = persist(ask, may_heal, attempts, self._backoff, self._sleep)
        except RunRefused as refusal:
            reply = Reply("rate_limited", str(refusal))
        return reply, requests

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
