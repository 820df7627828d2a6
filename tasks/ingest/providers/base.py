"""What every provider of bars can do, and the kind that serves a history which does not grow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

import polars as pl

from models.errors import UsageError, near
from tasks.ingest.contracts import Actions, RawBars, require
from tasks.ingest.quality import count_by_symbol

Outcome = Literal["ok", "empty", "unknown_symbol"]


@dataclass(frozen=True)
class Fetched:
    """What one call brought: raw bars and actions in the shape of `contracts`, sorted by key.

    `outcomes` has one entry for each symbol asked for; "empty" is a known symbol without a bar in
    the span.
    """

    bars: pl.DataFrame
    actions: pl.DataFrame
    outcomes: Mapping[str, Outcome]

    def __post_init__(self) -> None:
        require(RawBars, self.bars)
        require(Actions, self.actions)


class Provider(Protocol):
    """A source of as-traded bars and actions."""

    def symbols(self) -> list[str]:
        """Returns the universe, sorted; the benchmark is not in it."""

    def benchmark(self) -> str | None:
        """Returns the symbol of the benchmark, which `fetch` serves too."""

    def last_session(self) -> date | None:
        """Returns the last date of a history that does not grow; None for a live source."""

    def fingerprint(self) -> str | None:
        """Returns a digest of all that would be served; None for a live source."""

    def fetch(self, symbols: Sequence[str], start: date | None, end: date) -> Fetched:
        """Returns the rows of `symbols` dated from `start` (None: the first) to `end`.

        Raises:
            UsageError: A history that does not grow lacks one of the symbols.
        """


class StaticProvider:
    """Serves a history that is all there when it is opened."""

    def __init__(
        self, bars: pl.DataFrame, actions: pl.DataFrame, benchmark: str | None, fingerprint: str
    ) -> None:
        self._bars = bars.sort("symbol", "date", maintain_order=True)
        self._actions = actions.sort("symbol", "date", "kind", maintain_order=True)
        self._known = bars["symbol"].unique().sort().to_list()
        self._benchmark = benchmark
        self._fingerprint = fingerprint
        if benchmark is not None:
            self._require_known([benchmark])

    def symbols(self) -> list[str]:
        """Returns the universe, sorted; the benchmark is not in it."""
        return [s for s in self._known if s != self._benchmark]

    def benchmark(self) -> str | None:
        """Returns the symbol of the benchmark."""
        return self._benchmark

    def last_session(self) -> date | None:
        """Returns the last date on which a symbol of the universe has a bar."""
        dates = self._bars.filter(pl.col("symbol").is_in(self.symbols()))["date"]
        return dates.max()  # type: ignore[return-value]  # a Date column's maximum is a date

    def fingerprint(self) -> str | None:
        """Returns a digest of all that would be served."""
        return self._fingerprint

    def fetch(self, symbols: Sequence[str], start: date | None, end: date) -> Fetched:
        """Returns the rows of `symbols` dated from `start` to `end`.

        Rows without a date come along, for quarantine to count them.
        """
        self._require_known(symbols)
        begin = date.min if start is None else start
        inside = pl.col("date").is_between(begin, end).fill_null(True)
        wanted = pl.col("symbol").is_in(list(symbols)) & inside
        bars = self._bars.filter(wanted)
        counts = count_by_symbol(bars)
        outcomes: dict[str, Outcome] = {s: "ok" if s in counts else "empty" for s in symbols}
        return Fetched(bars, self._actions.filter(wanted), outcomes)

    def _require_known(self, symbols: Sequence[str]) -> None:
        unknown = sorted(set(symbols) - set(self._known))
        if unknown:
            shown = unknown[:5]
            guesses = "".join(near(s, self._known) for s in shown)
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise UsageError(
                f"The provider has no bars of {', '.join(map(repr, shown))}{more}; name symbols "
                f"among its {len(self._known)}.{guesses}"
            )
