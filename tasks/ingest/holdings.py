"""What the lake holds of a batch's symbols, and from which date on each is to be asked for.

1. A symbol whose log says that this session was served is not asked again.
2. A symbol that the lake does not know, or whose file has changed, is asked for all its history.
3. Any other is asked for the sessions it lacks and an overlap before them, by which the source is
   held against what it said before; further back where a bar is still held.
4. Of what is held, the sessions before that come along: the rules look back on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Self

import polars as pl

from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import known_sessions, last_session
from tasks.lake.store import Lake

# Sessions before the first one asked for that the rules on moves and gaps look back on.
CONTEXT = 60
# A session that a symbol lacks is asked for again this many sessions long; then it was a halt.
_ASKED_AGAIN = 20
SERVED = ("ok", "empty")


@dataclass(frozen=True)
class Night:
    """What the batches of one night share.

    Attributes:
        session: The last session wanted.
        exchange: The exchange of the batch's symbols.
        now: The run's instant, at which all that comes in becomes known.
        run: The run's name in the logs.
        quality: The rules' bounds.
        currency: What all prices must be in; None takes what the source said first.
    """

    session: date
    exchange: str
    now: datetime
    run: str
    quality: QualitySpec
    currency: str | None = None

    @property
    def last_session(self) -> date:
        """The exchange's own last session by then: on its holidays an earlier day."""
        return last_session(self.exchange, self.session)

    def on(self, exchange: str) -> Self:
        """Returns the same night at another exchange."""
        return replace(self, exchange=exchange)


@dataclass(frozen=True)
class Holdings:
    """What is held of some symbols: `bars` from `CONTEXT` sessions before the first start on.

    `through` is the newest session of which the lake knows, the night's or a later one.
    """

    starts: Mapping[str, date | None]
    bars: pl.DataFrame
    actions: pl.DataFrame
    reviews: pl.DataFrame
    through: date
    securities: pl.DataFrame
    currencies: Mapping[str, str]


def served_already(
    lake: Lake, symbols: Sequence[str], source: str, fingerprint: str | None, night: Night
) -> set[str]:
    """Returns the symbols that need not be asked for again this night.

    A history that does not grow has nothing to add while its fingerprint is the same. A live source
    may still bring the session's bar, unless it, or another source in its place, has brought it.
    """
    log = lake.read(
        "fetch_log", cutoff=night.session, known_by=night.now, symbols=symbols, since=night.session
    ).filter(pl.col("outcome").is_in(SERVED))
    if fingerprint is not None:
        return set(log.filter(source=source, fingerprint=fingerprint)["symbol"])
    return set(log.filter(pl.col("last") == night.last_session, fingerprint="")["symbol"])


def holdings(
    lake: Lake, symbols: Sequence[str], fingerprint: str | None, night: Night, anew: bool = False
) -> Holdings:
    """Returns what the lake holds of `symbols` and from when on each is to be asked for.

    Args:
        lake: The lake.
        symbols: The symbols to ask for.
        fingerprint: The provider's; None for a live source.
        night: The night.
        anew: Ask for all of their history.
    """
    # Bars after the session come along: a past night must not judge as if they were not known.
    clocks = {"cutoff": None, "known_by": night.now, "symbols": symbols}
    since = _context(night.session, night)
    bars = lake.read("bars", since=since, **clocks)  # type: ignore[arg-type]
    by_then = bars.filter(pl.col("date") <= night.session)
    newest = dict(by_then.group_by("symbol").agg(pl.col("date").max()).iter_rows())
    silent = [s for s in symbols if s not in newest]
    newest |= lake.newest_dates("bars", silent, night.session, night.now) if silent else {}
    asked_anew = set(symbols) if anew else _unlogged(lake, symbols, fingerprint, night)
    whole = asked_anew & set(newest)
    starts: dict[str, date | None] = {s: None for s in symbols if s in whole or s not in newest}
    starts |= _starts(bars, {s: d for s, d in newest.items() if s not in whole}, night)
    brief = _lacking_context(bars, starts, newest)
    if brief:
        further = lake.read("bars", **(clocks | {"symbols": brief}))  # type: ignore[arg-type]
        bars = pl.concat([bars.filter(~pl.col("symbol").is_in(brief)), further])
    bars = _with_context(bars, starts)
    last = bars["date"].max()
    listed = lake.read("securities", cutoff=None, known_by=night.now, symbols=symbols)
    said = listed.filter(pl.col("currency").is_not_null()).select("symbol", "currency").iter_rows()
    return Holdings(
        starts={s: starts[s] for s in symbols},
        bars=bars,
        actions=lake.read("actions", **clocks),  # type: ignore[arg-type]
        reviews=lake.read("reviews", **clocks),  # type: ignore[arg-type]
        through=last if isinstance(last, date) and last > night.session else night.session,
        securities=listed,
        currencies=dict.fromkeys(symbols, night.currency) if night.currency else dict(said),
    )


def _unlogged(
    lake: Lake, symbols: Sequence[str], fingerprint: str | None, night: Night
) -> set[str]:
    """Returns the symbols that were not last served from such a history and logged.

    A file has changed since then; or a run was killed between the bars and the log, and what it
    brought was never looked at across symbols.
    """
    log = lake.read("fetch_log", cutoff=None, known_by=night.now, symbols=symbols, stamps=True)
    served = log.filter(pl.col("outcome").is_in(SERVED))
    last = served.sort("known_at", "commit").unique("symbol", keep="last", maintain_order=True)
    same = last.filter(pl.col("fingerprint") == (fingerprint or ""))
    return set(symbols) - set(same["symbol"])


def _context(day: date, night: Night) -> date:
    """Returns the first date that the rules may look back on for bars after `day`."""
    back = CONTEXT + max(_ASKED_AGAIN, night.quality.overlap_sessions)
    return last_session(night.exchange, day, back=back)


def _lacking_context(
    bars: pl.DataFrame, starts: Mapping[str, date | None], newest: Mapping[str, date]
) -> list[str]:
    """Returns the symbols of which fewer bars than the context are at hand."""
    before = dict(bars.filter(_is_before(starts)).group_by("symbol").len().iter_rows())
    return [s for s in newest if starts[s] is None or before.get(s, 0) < CONTEXT]


def _with_context(bars: pl.DataFrame, starts: Mapping[str, date | None]) -> pl.DataFrame:
    """Returns each symbol's bars from its start on, and its own last ones before it.

    Counted in bars of the symbol, so that neither a halt nor the batch decides what is seen.
    """
    ordered = bars.sort("symbol", "date")
    earlier = (
        ordered.filter(_is_before(starts)).group_by("symbol", maintain_order=True).tail(CONTEXT)
    )
    return pl.concat([earlier, ordered.filter(~_is_before(starts))]).sort("symbol", "date")


def _is_before(starts: Mapping[str, date | None]) -> pl.Expr:
    """Tells of each bar whether it is dated before its symbol is asked for."""
    first = {s: d or date.min for s, d in starts.items()}
    return pl.col("date") < pl.col("symbol").replace_strict(
        first, default=date.min, return_dtype=pl.Date
    )


def _starts(bars: pl.DataFrame, newest: Mapping[str, date], night: Night) -> dict[str, date | None]:
    """Returns for each symbol the first date to ask for: what is missing, held, or overlaps."""
    recent = known_sessions(
        night.exchange,
        last_session(night.exchange, night.session, back=_ASKED_AGAIN),
        night.session,
    )
    by_then = bars.filter(pl.col("date") <= night.session)
    there = dict(by_then.group_by("symbol").agg("date").iter_rows())
    held = dict(by_then.filter("held").group_by("symbol").agg(pl.col("date").min()).iter_rows())
    starts: dict[str, date | None] = {}
    for symbol, last in newest.items():
        overlap = last_session(night.exchange, last, back=night.quality.overlap_sessions - 1)
        days = set(there.get(symbol, [last]))
        missing = [d for d in recent if d not in days and d > min(days)]
        wanted = [overlap, *missing[:1]]
        if symbol in held:
            wanted.append(last_session(night.exchange, held[symbol], back=1))
        starts[symbol] = min(wanted)
    return starts
