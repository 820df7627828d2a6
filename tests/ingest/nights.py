"""Nights of ingestion against the replay server: the real yfinance, the real lake."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from tasks.ingest.closing import NightReport, close_night
from tasks.ingest.holdings import Night
from tasks.ingest.nightly import BatchReport, ingest_batch
from tasks.ingest.providers.base import Provider
from tasks.ingest.providers.yahoo import YahooProvider
from tasks.ingest.spec import QualitySpec, YahooSpec
from tasks.lake.calendar import session_close, sessions
from tasks.lake.factors import adjust
from tasks.lake.rows import digest_of
from tasks.lake.store import Lake
from tests.ingest.yahoo.market import Listing, random_tape
from tests.ingest.yahoo.replay import Replay

DAYS = sessions("XNYS", date(2025, 9, 2), date(2026, 2, 27))
# Long before the night it is run, long after the close of the session.
AFTER_THE_CLOSE = timedelta(hours=2)


def market(count: int = 3, **first) -> list[Listing]:
    """`count` listings S0, S1 … on the sessions DAYS; `first` are the actions of S0."""
    tapes = [random_tape(DAYS, 0, **first)] + [random_tape(DAYS, k) for k in range(1, count)]
    return [Listing(f"S{k}", tape) for k, tape in enumerate(tapes)]


def as_known(lake: Lake, session: date, now: datetime) -> dict[str, str]:
    """Digests of all that a night reads: the tables, and the adjusted panel made of them."""
    tables = {t: lake.read(t, cutoff=session, known_by=now) for t in ("bars", "actions")}
    tables["panel"] = adjust(tables["bars"], tables["actions"])
    return {name: digest_of(frame) for name, frame in tables.items()}


@dataclass
class Nights:
    """A lake that is brought up to date night by night, from a server that moves along."""

    server: Replay
    folder: Path
    quality: QualitySpec = field(default_factory=QualitySpec)
    fallback: Provider | None = None
    waits: list[float] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(self.folder)

    @property
    def symbols(self) -> list[str]:
        return sorted(self.server.listings)

    def at(self, session: date) -> datetime:
        return session_close("XNYS", session) + AFTER_THE_CLOSE

    def ingest(self, session: date, run: str = "", now: datetime | None = None) -> BatchReport:
        """Runs the night of `session`; the server stands at the same instant."""
        now = now or self.at(session)
        self.server.now = now
        spec = YahooSpec(requests_per_second=100, workers=2, timeout_seconds=1)
        provider = YahooProvider(spec, sleep=self.waits.append)
        night = Night(session, "XNYS", now, run or f"night-{session}", self.quality)
        return ingest_batch(self.lake, provider, self.fallback, self.symbols, night)

    def close(self, session: date, now: datetime | None = None) -> NightReport:
        now = now or self.at(session)
        night = Night(session, "XNYS", now, f"night-{session}", self.quality)
        return close_night(self.lake, self.symbols, night)

    def run(self, session: date, **options) -> NightReport:
        self.ingest(session, **options)
        return self.close(session, options.get("now"))

    def bars(self, session: date | None = None, now: datetime | None = None) -> pl.DataFrame:
        """The newest known bars."""
        last = session or DAYS[-1]
        return self.lake.read("bars", cutoff=session, known_by=now or self.at(last))

    def bar(self, symbol: str, day: date) -> dict:
        return self.bars().filter(symbol=symbol, date=day).row(0, named=True)

    def log(self, session: date) -> dict[str, dict]:
        rows = self.lake.read(
            "fetch_log", cutoff=session, since=session, known_by=self.at(DAYS[-1])
        )
        return {r["symbol"]: r for r in rows.iter_rows(named=True)}
