"""The end of a night's ingestion: what only the universe as a whole shows.

1. The log tells what became of every symbol this session, whichever run fetched it: a run that was
   stopped by a ceiling is stopped again until something has changed.
2. Bars that many symbols repeat from the session before are held (`crosssection.py`).
3. Where many symbols lack one session, the source is at fault, and not the symbols.
4. The ceilings decide whether the run may go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from models.errors import DataError, some_of
from tasks.ingest.crosssection import missing_sessions, stale_sessions
from tasks.ingest.holdings import CONTEXT, Night
from tasks.ingest.providers.base import FAILED
from tasks.ingest.quality import enforce_ceiling
from tasks.ingest.rules import has_flag, named, with_flag
from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import known_sessions, last_session
from tasks.lake.store import Lake
from tasks.lake.tables import BARS

# Sessions read at a time when a whole history is judged across symbols.
_CHUNK = 250
_STALE = "stale_across_symbols"
# Companies die one by one.
_FORGOTTEN = 3
# Sessions looked at for bars that many symbols lack.
_RECENT = 10
_SHOWN = (
    "symbol", "source", "outcome", "finding", "detail", "asked_from", "first", "last", "rows",
    "new_rows", "refused", "held", "requests",
)  # fmt: skip


@dataclass(frozen=True)
class NightReport:
    """What became of the universe this session.

    Attributes:
        session: The session.
        symbols: One row a symbol: the columns of the log, and `noteworthy`.
        lost: Symbols that the source no longer knows, and that traded lately.
        missing: session, missing, expected, blamed, newest: sessions that symbols lack.
        stale: Bars held because many symbols repeat the session before.
        quality: The bounds.
    """

    session: date
    symbols: pl.DataFrame
    lost: tuple[str, ...]
    missing: pl.DataFrame
    stale: int
    quality: QualitySpec

    @property
    def summary(self) -> str:
        """What happened, in one line."""
        outcomes = self.symbols.group_by("outcome").len().sort("outcome").iter_rows()
        sums = self.symbols.select("rows", "new_rows", "refused", "held", "requests").sum()
        counted = [f"{k}={v}" for k, v in sums.row(0, named=True).items()]
        return " ".join([*(f"{outcome}={n}" for outcome, n in outcomes), *counted])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at, in sentences."""
        lines = []
        for finding in ("level_shift", "unit_error", "source_mismatch"):
            told = pl.col("finding").str.contains(finding, literal=True)
            found = self.symbols.filter(told)["symbol"].to_list()
            if found:
                lines.append(
                    f"{finding} in {some_of(found)}: their bars are kept apart; "
                    "see `nightcast quarantine`."
                )
        gone = self.symbols.filter(outcome="unknown_symbol")["symbol"].to_list()
        if gone:
            lines.append(f"The source has no such symbol: {some_of(gone)}.")
        failed = self._failed()
        if failed:
            lines.append(f"No answer for {some_of(failed)}; the next run asks for them again.")
        for day, lacking, expected, _ in self._blamed():
            lines.append(
                f"{lacking} of {expected} symbols lack {day}: the source has lost the session."
            )
        if self.stale:
            lines.append(f"{self.stale} bars repeat the session before across symbols: held.")
        return tuple(lines)

    def enforce(self) -> None:
        """Raises a DataError when more is lost than the bounds allow."""
        failed, total = self._failed(), self.symbols.height
        if len(failed) / total > self.quality.max_failed_symbols:
            worst = self.symbols.filter(pl.col("symbol").is_in(failed)).row(0, named=True)
            raise DataError(
                f"{len(failed)} of {total} symbols brought no answer ({some_of(failed)}; "
                f"{worst['symbol']}: {worst['outcome']}, {worst['detail']}), more than "
                f"max_failed_symbols={self.quality.max_failed_symbols:g} allows; run again later: "
                "what has come is kept, and only the others are asked for."
            )
        served = dict(self.symbols.filter(pl.col("rows") > 0).select("symbol", "rows").iter_rows())
        if not served:
            told = self.symbols.sort(pl.col("detail") == "", maintain_order=True).head(1)
            symbol, outcome, detail = told.select("symbol", "outcome", "detail").row(0)
            raise DataError(
                f"No source served a bar up to {self.session} for any of {self.symbols.height} "
                f"symbols ({symbol}: {outcome}, {detail or 'no bars'}); check the universe, the "
                "source and the cutoff, and run again."
            )
        refused = dict(self.symbols.select("symbol", "refused").iter_rows())
        enforce_ceiling(served, refused, self.quality)
        for day, lacking, expected, newest in self._blamed():
            if newest:
                raise DataError(
                    f"{lacking} of {expected} symbols lack the session {day}: the source has not "
                    "served it yet, or has lost it. Run again later."
                )

    def _failed(self) -> list[str]:
        """Symbols without an answer; and where a source forgets several at once, those too."""
        failed = self.symbols.filter(pl.col("outcome").is_in(list(FAILED)))["symbol"].to_list()
        return sorted([*failed, *self.lost]) if len(self.lost) >= _FORGOTTEN else failed

    def _blamed(self) -> list[tuple[date, int, int, bool]]:
        told = self.missing.filter("blamed").select("session", "missing", "expected", "newest")
        return list(told.iter_rows())


def close_night(lake: Lake, symbols: Sequence[str], night: Night) -> NightReport:
    """Judges across symbols what this session's fetches brought, and reports it."""
    log = _log(lake, symbols, night)
    held = _hold_stale(lake, symbols, _reach(log, night), night)
    unknown = log.filter(outcome="unknown_symbol")["symbol"].to_list()
    return NightReport(
        session=night.session,
        symbols=log.with_columns(noteworthy=_noteworthy()),
        lost=tuple(_traded_lately(lake, unknown, night)),
        missing=_missing(lake, symbols, night),
        stale=held,
        quality=night.quality,
    )


def _noteworthy() -> pl.Expr:
    plain = pl.col("finding").is_in(["", "new", "same"])
    return (pl.col("outcome") != "ok") | ~plain | (pl.col("refused") > 0) | (pl.col("held") > 0)


def _log(lake: Lake, symbols: Sequence[str], night: Night) -> pl.DataFrame:
    """Returns one row a symbol: its newest answer of this session, the best of its sources."""
    rows = lake.read(
        "fetch_log",
        cutoff=night.session,
        known_by=night.now,
        symbols=symbols,
        since=night.session,
        stamps=True,
    )
    newest = rows.sort("known_at", "commit", maintain_order=True).unique(
        ["symbol", "source"], keep="last", maintain_order=True
    )
    answered = (pl.col("outcome") == "ok") & (pl.col("rows") > 0)
    ordered = newest.with_columns(answered=answered).sort("symbol", "answered", maintain_order=True)
    best = [pl.col(c).last() for c in _SHOWN if c not in ("symbol", "finding", "requests")]
    # What one source was found to do is not made up for by another.
    findings = pl.col("finding").filter(pl.col("finding") != "").unique().sort().str.join(",")
    return (
        ordered.group_by("symbol", maintain_order=True)
        .agg(*best, finding=findings, requests=pl.col("requests").sum())
        .select(_SHOWN)
    )


def _reach(log: pl.DataFrame, night: Night) -> date:
    """Returns the date from which enough symbols were asked for to repeat one another.

    One new symbol asks for decades; alone it cannot show a fault of the source.
    """
    asked = log.select(pl.coalesce("asked_from", "first")).to_series().drop_nulls().sort()
    return asked[min(night.quality.stale_symbols, len(asked)) - 1] if len(asked) else night.session


def _missing(lake: Lake, symbols: Sequence[str], night: Night) -> pl.DataFrame:
    """Returns for each exchange how many of the symbols that trade on it lack a recent session."""
    listed = lake.read("securities", cutoff=None, known_by=night.now, symbols=symbols)
    listed = listed.filter(status="listed")
    own = [
        _missing_on(lake, listed.filter(exchange=e)["symbol"].to_list(), night.on(e))
        for e in listed["exchange"].unique().sort()
    ]
    found = pl.concat(own) if own else _missing_on(lake, [], night)
    # One share of another exchange that did not trade is no sign of a source at fault.
    several = pl.col("missing") >= min(2, len(symbols))
    return found.with_columns(pl.col("blamed") & several)


def _missing_on(lake: Lake, symbols: Sequence[str], night: Night) -> pl.DataFrame:
    since = last_session(night.exchange, night.session, back=_RECENT)
    bars = lake.read("bars", cutoff=night.session, known_by=night.now, symbols=symbols, since=since)
    first = dict(bars.group_by("symbol").agg(pl.col("date").min()).iter_rows())
    # A source that has stood still for a while is no less at fault.
    quiet = [s for s in symbols if s not in first]
    first |= dict.fromkeys(_traded_lately(lake, quiet, night), since - timedelta(days=1))
    alive = pl.DataFrame(
        [(s, day, None) for s, day in first.items()],
        schema={"symbol": pl.String, "first": pl.Date, "last": pl.Date},
        orient="row",
    )
    days = known_sessions(night.exchange, since, night.last_session)
    found = missing_sessions(bars, days, night.quality, alive)
    return found.with_columns(newest=pl.col("session") == night.last_session)


def _traded_lately(lake: Lake, symbols: Sequence[str], night: Night) -> list[str]:
    """Returns the symbols that had a bar in the last `CONTEXT` sessions."""
    newest = lake.newest_dates("bars", symbols, night.session, night.now)
    since = last_session(night.exchange, night.session, back=CONTEXT)
    return [s for s, day in newest.items() if day >= since]


def _hold_stale(lake: Lake, symbols: Sequence[str], since: date, night: Night) -> int:
    """Holds the bars that many symbols repeat, frees the others; returns how many are held.

    A universe's whole history would not fit into memory: it is gone through in spans of sessions.
    """
    clocks = {"known_by": night.now, "symbols": symbols}
    days = known_sessions(night.exchange, since, night.session)
    count = 0
    for start in range(0, len(days), _CHUNK):
        span = days[start : start + _CHUNK]
        before = last_session(night.exchange, span[0], back=1)
        bars = lake.read("bars", cutoff=span[-1], since=before, **clocks)  # type: ignore[arg-type]
        judged = _judge_stale(bars, span[0], night.quality)
        changed = judged.join(bars, on=list(BARS.columns), how="anti", nulls_equal=True)
        lake.append("bars", changed, night.now)
        count += judged.filter(has_flag(pl.col("flags"), _STALE), "held").height
    return count


def _judge_stale(bars: pl.DataFrame, first: date, spec: QualitySpec) -> pl.DataFrame:
    """Returns the bars dated from `first`, with the flag and the hold of repeated bars as due."""
    repeated = stale_sessions(bars, spec).with_columns(repeated=pl.lit(True))
    flags = pl.col("flags")
    others = flags.str.split(",").list.set_difference(pl.lit([_STALE, ""]))
    due = pl.when("repeated").then(with_flag(flags, _STALE)).otherwise(others.list.join(","))
    holding = pl.any_horizontal(has_flag(flags, rule) for rule in named("hold"))
    return (
        bars.join(repeated, on=["symbol", "date"], how="left")
        .with_columns(flags=due)
        .with_columns(held=holding & ~has_flag(flags, "released"))
        .filter(pl.col("date") >= first)
        .select(list(BARS.columns))
    )
