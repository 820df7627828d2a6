"""How a run paces its requests to one source: a rate, a breaker for all threads, and patience.

All waiting goes through the `sleep` and the `clock` that a caller gives, all chance through its
`random.Random`; nothing here knows of HTTP beyond a status and two headers.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Self, TypeVar

Clock = Callable[[], float]
Sleep = Callable[[float], None]
T = TypeVar("T")
# Refusals in a row, each waited out, after which a run is no longer welcome.
_MAX_TRIPS = 5


class RunRefused(Exception):  # noqa: N818  # a state of the source, no mistake of the caller's
    """The source has refused this run as a whole; nothing more is asked of it."""


@dataclass(frozen=True)
class Backoff:
    """Pauses that double from `first` to `cap` seconds, each cut by up to a half at random."""

    first: float
    cap: float
    random: Random

    def pause(self, failures: int) -> float:
        """Returns the seconds to wait after so many failures in a row (at least 1)."""
        # No exponent beyond what any cap needs: 2.0**1024 overflows.
        longest = min(self.cap, self.first * 2.0 ** min(failures - 1, 64))
        return longest * (1 - self.random.random() / 2)


class TokenBucket:
    """Lets `rate` requests a second through, and `burst` of them at once after a rest."""

    def __init__(self, rate: float, burst: int, clock: Clock, sleep: Sleep) -> None:
        self._interval = 1 / rate
        self._burst = burst
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._full_at = float("-inf")

    def take(self) -> None:
        """Takes a token; waits for it where none is left."""
        with self._lock:
            now = self._clock()
            self._full_at = max(self._full_at, now) + self._interval
            wait = self._full_at - now - self._burst * self._interval
        if wait > 0:
            self._sleep(wait)


class CircuitBreaker:
    """Holds all threads back after a refusal (429), for as long as the source asks.

    A source that names no time is left alone for a `Backoff`. After `max_trips` refusals without
    an answer between them, or where the waits would add up to more than `max_wait` seconds, the
    breaker stays open for the rest of the run.
    """

    def __init__(
        self, max_trips: int, max_wait: float, backoff: Backoff, clock: Clock, sleep: Sleep
    ) -> None:
        self._max_trips, self._max_wait = max_trips, max_wait
        self._backoff, self._clock, self._sleep = backoff, clock, sleep
        self._lock = threading.Lock()
        self._closes_at = float("-inf")
        self._waited = 0.0
        self._trips = self._in_a_row = 0
        self._refusal: str | None = None

    def enter(self) -> int:
        """Waits until a request may go out; returns the ticket that its answer is reported with.

        Raises:
            RunRefused: The breaker has given up.
        """
        while True:
            with self._lock:
                if self._refusal is not None:
                    raise RunRefused(self._refusal)
                wait = self._closes_at - self._clock()
                if wait <= 0:
                    return self._trips
            self._sleep(wait)

    def is_current(self, ticket: int) -> bool:
        """Tells whether the breaker has not opened since `ticket` was given out."""
        with self._lock:
            return ticket == self._trips

    def answered(self, ticket: int) -> None:
        """Notes that the source serves."""
        with self._lock:
            # An answer to what was asked before the last refusal says nothing of the time after.
            if ticket == self._trips:
                self._in_a_row = 0

    def refused(self, ticket: int, retry_after: float | None) -> None:
        """Opens the breaker; `retry_after` is in seconds, None where the source names no time."""
        with self._lock:
            if self._refusal is not None:
                return
            if ticket == self._trips:
                self._trips += 1
                self._in_a_row += 1
            elif retry_after is None:
                # Sent before the last refusal, together with what met it: one trip, not many.
                return
            if self._in_a_row >= self._max_trips:
                self._refusal = f"refused (HTTP 429) {self._in_a_row} times in a row"
                return
            pause = self._backoff.pause(self._in_a_row) if retry_after is None else retry_after
            self._open_for(pause)

    def _open_for(self, pause: float) -> None:
        now = self._clock()
        longer = max(0.0, now + pause - max(self._closes_at, now))
        if self._waited + longer > self._max_wait:
            self._refusal = (
                f"refused (HTTP 429): to wait {pause:.0f} s more, after {self._waited:.0f} s, is "
                f"beyond max_wait_seconds={self._max_wait:.0f}"
            )
            return
        self._waited += longer
        self._closes_at = max(self._closes_at, now + pause)


class Traffic:
    """The one gate that every request of a run passes, from whatever thread."""

    @classmethod
    def paced(
        cls, rate: float, max_wait: float, random: Random, clock: Clock, sleep: Sleep
    ) -> Self:
        """Returns a gate for `rate` requests a second that waits `max_wait` seconds in all."""
        pauses = Backoff(20, 300, random)
        return cls(
            TokenBucket(rate, max(1, int(rate)), clock, sleep),
            CircuitBreaker(_MAX_TRIPS, max_wait, pauses, clock, sleep),
        )

    def __init__(self, bucket: TokenBucket, breaker: CircuitBreaker) -> None:
        self._bucket, self._breaker = bucket, breaker

    def enter(self) -> int:
        """Waits for the rate and the breaker; returns the ticket to report with."""
        while True:
            ticket = self._breaker.enter()
            self._bucket.take()
            # The breaker may have opened while this thread waited for its token.
            if self._breaker.is_current(ticket):
                return ticket

    def answered(self, ticket: int) -> None:
        """Notes that the source serves."""
        self._breaker.answered(ticket)

    def refused(self, ticket: int, headers: Mapping[str, str]) -> None:
        """Notes a 429 with the headers that came with it."""
        self._breaker.refused(ticket, retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that Retry-After asks for; None where it is missing or makes no sense.

    A date is measured against the answer's own Date, so that a wrong clock here does no harm.
    """
    asked = headers.get("Retry-After") or headers.get("retry-after") or ""
    if asked.strip().isascii() and asked.strip().isdigit():
        return float(asked)
    until, sent = (_instant(text) for text in (asked, headers.get("Date") or headers.get("date")))
    if until is None or sent is None or until < sent:
        return None
    return (until - sent).total_seconds()


def _instant(text: str | None) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def retry_backoff(random: Random) -> Backoff:
    """Returns the pauses before a symbol is asked for again."""
    return Backoff(1, 30, random)


def persist(
    ask: Callable[[int], T],
    heals: Callable[[T], bool],
    attempts: int,
    backoff: Backoff,
    sleep: Sleep,
) -> T:
    """Returns what `ask` (given the attempt's number, from 0) brings, once that needs no healing.

    Between attempts it pauses; the last attempt's result is returned whatever it is.
    """
    for failures in range(1, attempts):
        result = ask(failures - 1)
        if not heals(result):
            return result
        sleep(backoff.pause(failures))
    return ask(attempts - 1)
