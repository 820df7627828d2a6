"""A replay server with one listing of each kind, a yfinance that asks it, time without waiting."""

import threading
from datetime import UTC, datetime

import pytest

from tasks.ingest.providers.yahoo import YahooProvider
from tasks.ingest.spec import YahooSpec
from tests.ingest.yahoo.market import demo_listings
from tests.ingest.yahoo.replay import Replay
from tests.ingest.yahoo.session import fresh_yfinance, use_replay

# Five hours after the close of the half day that is the last session.
NIGHT = datetime(2026, 11, 27, 23, tzinfo=UTC)


class FakeTime:
    """A clock that only sleeping moves; `slept` is what was asked of it."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def clock(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            self.slept.append(seconds)


@pytest.fixture
def fake_time():
    return FakeTime()


@pytest.fixture(scope="session")
def listings():
    return demo_listings(NIGHT.date())


@pytest.fixture
def server(tmp_path, listings):
    with fresh_yfinance(tmp_path / "yfinance"), Replay(listings, NIGHT) as replay:
        use_replay(replay.url)
        yield replay


@pytest.fixture
def open_cold(server, fake_time):
    """Opens a provider that has asked nothing yet."""

    def opened(**choices) -> YahooProvider:
        spec = YahooSpec(**{"requests_per_second": 1000, "max_attempts": 3, **choices})
        return YahooProvider(spec, fake_time.clock, fake_time.sleep)

    return opened


@pytest.fixture
def open_warm(server, open_cold, fake_time):
    """Opens a provider that has its cookie and its crumb, so that a request is a chart's."""

    def opened(**choices) -> YahooProvider:
        last = NIGHT.date()
        open_cold().fetch({"PLAIN": last}, last, NIGHT)
        server.log.clear()
        fake_time.slept.clear()
        return open_cold(**choices)

    return opened
