"""What all providers share that ask a growing source over HTTP, symbol by symbol."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from random import Random
from typing import Protocol, TypeVar

from tasks.ingest.providers.base import FAILED, Outcome
from tasks.ingest.providers.traffic import (
    Clock,
    RunRefused,
    Sleep,
    Traffic,
    persist,
    retry_backoff,
)
from tasks.ingest.spec import LiveSpec


class Judged(Protocol):
    """A reply about one symbol that has been read."""

    @property
    def outcome(self) -> Outcome:
        """How the source answered."""


T = TypeVar("T")
Reply = TypeVar("Reply", bound=Judged)


class LiveProvider:
    """Keeps one pool of threads and one gate to the source; one object serves one run."""

    source: str
    first: date
    """A day before all history of the source."""

    def __init__(
        self,
        spec: LiveSpec,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
        seed: int = 0,
    ) -> None:
        self._live, self._sleep = spec, sleep
        random = Random(seed)  # noqa: S311  # spreads pauses, guards nothing
        self._traffic = Traffic.paced(
            spec.requests_per_second, spec.max_wait_seconds, random, clock, sleep
        )
        self._backoff = retry_backoff(random)
        self._pool = ThreadPoolExecutor(spec.workers, thread_name_prefix=self.source)

    def symbols(self) -> None:
        """Returns None: a live source has no list of its symbols."""

    def benchmark(self) -> str | None:
        """Returns the symbol of the benchmark."""
        return self._live.benchmark

    def last_session(self, by: date) -> None:
        """Returns None: the history grows."""

    def fingerprint(self) -> None:
        """Returns None: what is served changes from day to day."""

    def _wanted(self, starts: Mapping[str, date | None]) -> dict[str, date]:
        """Returns the first date to ask for of each symbol."""
        first = self._live.start or self.first
        return {symbol: max(start or first, first) for symbol, start in starts.items()}

    def _ask_each(self, wanted: Mapping[str, date], ask: Callable[[str, date], T]) -> dict[str, T]:
        """Returns what `ask` brings for each symbol, as many at once as there are workers."""
        futures = {s: self._pool.submit(ask, s, start) for s, start in wanted.items()}
        try:
            return {symbol: future.result() for symbol, future in futures.items()}
        finally:
            # After an interrupt, or an error that concerns the whole run, nothing more is asked.
            for future in futures.values():
                future.cancel()

    def _persist(
        self, ask: Callable[[int], Reply], refused: Callable[[Outcome, str], Reply]
    ) -> Reply:
        """Returns the last reply of `ask`, or `refused` once the run is no longer welcome."""
        try:
            return persist(
                ask,
                lambda reply: reply.outcome in FAILED,
                self._live.max_attempts,
                self._backoff,
                self._sleep,
            )
        except RunRefused as refusal:
            return refused("rate_limited", str(refusal))
