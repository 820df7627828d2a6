"""What every provider of bars can do, and the kind that serves a history which does not grow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

import polars as pl

from models.errors import UsageError, near, some_of
from tasks.ingest.contracts import LISTING_COLUMNS, Actions, Listings, RawBars, require

# ok: bars came. empty: a known symbol without a bar in the span. unknown_symbol: the source says in
# so many words that it has no such symbol. The others brought no answer, and may heal.
Outcome = Literal["ok", "empty", "unknown_symbol", "rate_limited", "transient", "malformed"]
FAILED: frozenset[Outcome] = frozenset({"rate_limited", "transient", "malformed"})


@dataclass(frozen=True)
class Answer:
    """How a source answered for one symbol: the outcome, its own words, what it took to get it."""

    outcome: Outcome
    detail: str = ""
    requests: int = 0


@dataclass(frozen=True)
class Fetched:
    """What one call brought: raw bars, actions and listings in the shape of `contracts`.

    Bars and actions are sorted by symbol and date; `answers` has one entry for each symbol asked.
    """

    bars: pl.DataFrame
    actions: pl.DataFrame
    listings: pl.DataFrame
    answers: Mapping[str, Answer]

    def __post_init__(self) -> None:
        require(RawBars, self.bars)
        require(Actions, self.actions)
        require(Listings, self.listings)


class Provider(Protocol):
    """A source of as-traded bars and actions."""

    source: str
    """The word that its rows carry in the lake."""

    def symbols(self) -> list[str] | None:
        """Returns all symbols it has, sorted, the benchmark left out; None where it cannot tell."""

    def benchmark(self) -> str | None:
        """Returns the symbol of the benchmark, which `fetch` serves too."""

    def last_session(self, by: date) -> date | None:
        """Returns the last date up to `by` of a history that does not grow; None if it does."""

    def fingerprint(self) -> str | None:
        """Returns a digest of all that would be served; None for a live source."""

    def notes(self) -> tuple[str, ...]:
        """Returns sentences on what its history lacks, for a run and its report to show."""

    def fetch(self, starts: Mapping[str, date | None], end: date, now: datetime) -> Fetched:
        """Returns the rows of each symbol from its start (None: its first) to `end`.

        Args:
            starts: The symbols wanted, each with the first date wanted.
            end: The last date wanted. Prices are as traded at their own date, whatever the source
                has adjusted them for since.
            now: The run's instant.

        Raises:
            UsageError: A history that does not grow lacks one of the symbols.
        """


@dataclass(frozen=True)
class History:
    """What a static provider serves, sorted by symbol and date, and what it lacks, in sentences."""

    bars: pl.DataFrame
    actions: pl.DataFrame
    notes: tuple[str, ...] = ()


class StaticProvider:
    """Serves a history that is all there when it is opened."""

    source: str

    def __init__(self, history: History, benchmark: str | None, fingerprint: str) -> None:
        self._history = history
        self._known = history.bars["symbol"].unique().sort().to_list()
        self._benchmark = benchmark
        self._fingerprint = fingerprint
        if benchmark is not None:
            self._require_known([benchmark])

    def symbols(self) -> list[str] | None:
        """Returns the universe, sorted; the benchmark is not in it."""
        return [s for s in self._known if s != self._benchmark]

    def benchmark(self) -> str | None:
        """Returns the symbol of the benchmark."""
        return self._benchmark

    def last_session(self, by: date) -> date | None:
        """Returns the last date up to `by` on which a symbol of the universe has a bar.

        A mistyped date lies beyond, and must not carry a run along.
        """
        members = pl.col("symbol").ne_missing(self._benchmark)
        dates = self._history.bars.filter(members)["date"].drop_nulls()
        past = dates.filter(dates <= by)
        return (past if len(past) else dates).max()  # type: ignore[return-value]

    def fingerprint(self) -> str | None:
        """Returns a digest of all that would be served."""
        return self._fingerprint

    def notes(self) -> tuple[str, ...]:
        """Returns sentences on what the history lacks."""
        return self._history.notes

    def fetch(self, starts: Mapping[str, date | None], end: date, now: datetime) -> Fetched:
        """Returns the rows of each symbol from its start to `end`.

        Rows without a date come along, for quarantine to count them.
        """
        del now  # The history is the same at any instant.
        self._require_known(starts)
        bars = _within(self._history.bars, starts, end)
        served = set(bars["symbol"])
        return Fetched(
            bars,
            _within(self._history.actions, starts, end),
            pl.DataFrame(schema=LISTING_COLUMNS),
            {s: Answer("ok" if s in served else "empty") for s in starts},
        )

    def _require_known(self, symbols: Iterable[str]) -> None:
        unknown = sorted(set(symbols) - set(self._known))
        if unknown:
            guesses = "".join(near(s, self._known) for s in unknown[:5])
            raise UsageError(
                f"The provider has no bars of {some_of([repr(s) for s in unknown])}; name symbols "
                f"among its {len(self._known)}.{guesses}"
            )


def _within(rows: pl.DataFrame, starts: Mapping[str, date | None], end: date) -> pl.DataFrame:
    """Returns the rows of each symbol dated from its start to `end`, or not dated at all."""
    columns = {"symbol": pl.String, "start": pl.Date}
    asked = pl.DataFrame([(s, d or date.min) for s, d in starts.items()], columns, orient="row")
    dated = pl.col("date").is_between(pl.col("start"), end)
    wanted = rows.join(asked, on="symbol", maintain_order="left").filter(dated.fill_null(True))
    return wanted.drop("start")
