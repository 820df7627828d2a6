"""A batch of symbols, from the source into the lake.

1. What the lake holds decides what is asked for (`holdings.py`).
2. What comes is checked row by row; what cannot be true goes to quarantine (`quality.py`).
3. The rest is held against what was served before (`reconcile.py`). A symbol whose whole level has
   moved without a reason is asked for once more, in full.
4. Symbols that brought no answer, or lack the session, are asked of the fallback, if there is one.
5. All bars known by then are judged; what is implausible is kept and held (`judge.py`).
6. Rows are appended, the log last: a batch that was killed is asked for again, and nothing that
   is there already is written twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.ingest.actions import recover_actions
from tasks.ingest.holdings import Holdings, Night, holdings, served_already
from tasks.ingest.judge import judge
from tasks.ingest.listing import listing_rows
from tasks.ingest.providers.base import FAILED, Fetched, Provider
from tasks.ingest.quality import check, check_actions
from tasks.ingest.reconcile import Reconciled, reconcile, reconcile_actions
from tasks.lake.calendar import known_sessions, last_final_session
from tasks.lake.store import Lake
from tasks.lake.tables import ACTIONS, BARS, FETCH_LOG

_NOTHING = pl.DataFrame(schema=dict(FETCH_LOG.columns))
_NO_FLAGS = pl.Series("flags", [], pl.String)


class BatchReport(BaseModel):
    """What became of a batch, in numbers; `kept` symbols were served before and not asked again."""

    model_config = ConfigDict(frozen=True)

    kept: int
    failed: int
    requests: int
    bars: int
    new_rows: int
    refused: int
    held: int
    flags: dict[str, int]


@dataclass(frozen=True)
class _Haul:
    """What one source brought, sifted: `good` bars, what of them is new, and what was refused."""

    source: str
    fingerprint: str
    fetched: Fetched
    good: pl.DataFrame
    reconciled: Reconciled
    actions: pl.DataFrame
    refused: pl.DataFrame
    holdings: Holdings


def ingest_batch(
    lake: Lake,
    provider: Provider,
    fallback: Provider | None,
    symbols: Sequence[str],
    night: Night,
) -> BatchReport:
    """Brings the lake up to the night's session for `symbols`; returns what became of each.

    A symbol that fails harms no other: it is reported with its outcome, and asked again by the next
    run.
    """
    kept = served_already(lake, symbols, provider.source, provider.fingerprint(), night)
    asked = [s for s in symbols if s not in kept]
    log, flags = _take_in(lake, provider, asked, night) if asked else (_NOTHING, _NO_FLAGS)
    lacking = log.filter(_fails() | pl.col("last").ne_missing(night.last_session))[
        "symbol"
    ].to_list()
    if fallback is not None and lacking:
        more, further = _take_in(lake, fallback, lacking, night)
        log, flags = pl.concat([log, more]), pl.concat([flags, further])
    sums = log.select("requests", "new_rows", "refused", "held", bars="rows").sum()
    failed = set(asked) - set(log.filter(~_fails())["symbol"])
    met = flags.str.split(",").explode().value_counts(sort=True)
    return BatchReport(
        kept=len(kept),
        failed=len(failed),
        flags=dict(met.filter(pl.col("flags") != "").iter_rows()),
        **sums.row(0, named=True),
    )


def _fails() -> pl.Expr:
    return pl.col("outcome").is_in([*FAILED, "unknown_symbol"])


def _take_in(
    lake: Lake, provider: Provider, symbols: Sequence[str], night: Night
) -> tuple[pl.DataFrame, pl.Series]:
    """Asks one source and stores what comes; returns the log, and the flags of all new bars."""
    first = holdings(lake, symbols, provider.fingerprint(), night)
    hauls = [_haul(provider, first, night)]
    shifted = hauls[0].reconciled.refetch
    if shifted:
        again = holdings(lake, shifted, provider.fingerprint(), night, anew=True)
        hauls = [_without(hauls[0], shifted), _haul(provider, again, night)]
    stored = [_store(lake, haul, night) for haul in hauls]
    return pl.concat(log for log, _ in stored), pl.concat(flags for _, flags in stored)


def _haul(provider: Provider, holdings: Holdings, night: Night) -> _Haul:
    """Fetches what the holdings lack, and sifts it."""
    fetched = provider.fetch(holdings.starts, night.session, night.now)
    days = fetched.bars["date"].drop_nulls()
    # A mistyped date may lie beyond any calendar; the rule `off_calendar` then refuses its row.
    span = (days.min(), days.max()) if len(days) else (night.session, night.session)
    open_days = known_sessions(night.exchange, *span)  # type: ignore[arg-type]
    good, refused = check(fetched.bars, open_days, holdings.currencies, holdings.reviews)
    held_by_then = holdings.actions.filter(pl.col("date") <= night.session)
    closes = [f.select("symbol", "date", "close") for f in (good, holdings.bars)]
    actions, refused_actions = check_actions(fetched.actions, pl.concat(closes), holdings.reviews)
    whole = frozenset(s for s, start in holdings.starts.items() if start is None)
    reconciled = reconcile(
        good,
        holdings.bars,
        actions,
        held_by_then,
        night.quality,
        whole,
        holdings.reviews,
        own_history=provider.fingerprint() is not None,
    )
    at_odds = _at_odds(reconciled)
    return _Haul(
        source=provider.source,
        fingerprint=provider.fingerprint() or "",
        fetched=fetched,
        good=good,
        reconciled=reconciled,
        actions=reconcile_actions(
            actions.filter(~pl.col("symbol").is_in(at_odds)),
            held_by_then,
            {s: day for s, day in reconciled.agreed.items() if s not in at_odds},
            provider.source,
            _stated(fetched.actions, good),
        ),
        refused=pl.concat([refused, refused_actions, reconciled.refused]),
        holdings=holdings,
    )


def _at_odds(reconciled: Reconciled) -> list[str]:
    """Returns the symbols whose prices do not agree with what is held: nor may their actions."""
    apart = pl.col("finding").is_in(["source_mismatch", "level_shift"])
    return reconciled.findings.filter(apart)["symbol"].unique().to_list()


def _stated(actions: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Returns what the source states in so many words, and by the steps of its adjusted close.

    An answer may lack its events; the adjusted close still knows of them.
    """
    key = ["symbol", "date", "kind"]
    steps = recover_actions(bars, with_splits=False).select("symbol", "date")
    told = [steps.with_columns(kind=pl.lit(k)) for k in ("dividend", "capital_gain")]
    return pl.concat([actions.select(key), *told])


def _without(haul: _Haul, symbols: Sequence[str]) -> _Haul:
    """Returns the haul less what it brought of `symbols`, which are asked for once more."""
    others = ~pl.col("symbol").is_in(list(symbols))
    parts, held = haul.reconciled, haul.holdings
    starts = {s: d for s, d in held.starts.items() if s not in symbols}
    return replace(
        haul,
        reconciled=replace(
            parts, bars=parts.bars.filter(others), findings=parts.findings.filter(others)
        ),
        actions=haul.actions.filter(others),
        refused=haul.refused.filter(others),
        holdings=replace(held, starts=starts, bars=held.bars.filter(others)),
    )


def _store(lake: Lake, haul: _Haul, night: Night) -> tuple[pl.DataFrame, pl.Series]:
    """Judges the bars and appends all rows; the log, which ends the matter, comes last."""
    judged = _judged(haul, night)
    # What brought no answer bears out nothing.
    silent = [s for s, a in haul.fetched.answers.items() if a.outcome in FAILED]
    judged = judged.filter(~pl.col("symbol").is_in(silent))
    fresh = judged.join(haul.holdings.bars, on=list(BARS.columns), how="anti", nulls_equal=True)
    log = _log(haul, judged, fresh, night)
    refused = haul.refused.with_columns(run=pl.lit(night.run))
    lake.append("quarantine", refused, night.now)
    listed = listing_rows(lake, haul.fetched, haul.holdings.securities, haul.source, night)
    lake.append("securities", listed, night.now)
    lake.append("actions", haul.actions, night.now)
    lake.append("bars", fresh, night.now, first=True)
    lake.append("fetch_log", log, night.now)
    return log, fresh["flags"]


def _judged(haul: _Haul, night: Night) -> pl.DataFrame:
    """Returns the bars that were asked for as they are to lie in the lake."""
    stored, new, key = haul.holdings.bars, haul.reconciled.bars, ["symbol", "date"]
    # The adjusted close of a bar that is refused belongs to other prices than those that stay.
    adjusted = haul.good.select(*key, "adj_close").join(haul.refused, on=key, how="anti")
    history = pl.concat(
        [
            new.with_columns(final=_final(night)),
            stored.join(new, on=key, how="anti"),
        ],
        how="diagonal_relaxed",
    ).join(adjusted, on=key, how="left")
    if history.is_empty():
        return history.select(list(BARS.columns))
    judged = judge(
        history.sort(key),
        _newest_actions(haul),
        known_sessions(night.exchange, history["date"].min(), haul.holdings.through),  # type: ignore[arg-type]
        haul.holdings.through,
        haul.holdings.reviews,
        night.quality,
    )
    starts = {s: d or date.min for s, d in haul.holdings.starts.items()}
    asked = pl.col("symbol").replace_strict(starts, default=date.max, return_dtype=pl.Date)
    return judged.filter(pl.col("date") >= asked)


def _final(night: Night) -> pl.Expr:
    """Tells of each date whether its session had closed, with the margin, at the run's instant."""
    margin = timedelta(minutes=night.quality.final_after_minutes)
    return pl.col("date") <= last_final_session(night.exchange, night.now, margin)


def _newest_actions(haul: _Haul) -> pl.DataFrame:
    """Returns the actions as they stand with what this fetch has changed."""
    key = list(ACTIONS.key)
    standing = haul.holdings.actions.join(haul.actions, on=key, how="anti")
    return pl.concat([standing, haul.actions.select(standing.columns)])


def _log(haul: _Haul, judged: pl.DataFrame, fresh: pl.DataFrame, night: Night) -> pl.DataFrame:
    """Returns the rows of `fetch_log`, one a symbol asked."""
    answers = [
        (s, haul.fetched.answers[s].outcome, haul.fetched.answers[s].detail,
         haul.fetched.answers[s].requests, start)
        for s, start in haul.holdings.starts.items()
    ]  # fmt: skip
    schema = {"symbol": pl.String, "outcome": pl.String, "detail": pl.String,
              "requests": pl.Int64, "asked_from": pl.Date}  # fmt: skip
    log = pl.DataFrame(answers, schema=schema, orient="row")
    found = haul.reconciled.findings.group_by("symbol").agg(
        finding=pl.col("finding").unique().sort().str.join(",")
    )
    day = pl.col("date")
    # A session whose bar was refused, or was still running, is still wanted.
    good = haul.good.join(haul.refused, on=["symbol", "date"], how="anti").filter(_final(night))
    span = good.group_by("symbol").agg(first=day.min(), last=day.max())
    counts = (
        _count(haul.fetched.bars, "rows"),
        _count(fresh, "new_rows"),
        _count(haul.refused.filter(kind="bar"), "refused"),
        _count(judged.filter("held"), "held"),
    )
    for part in (found, span, *counts):
        log = log.join(part, on="symbol", how="left")
    numbers = ("rows", "new_rows", "refused", "held", "requests")
    return log.with_columns(
        *(pl.col(c).fill_null(0).cast(pl.Int64) for c in numbers),
        finding=pl.col("finding").fill_null(""),
        session=pl.lit(night.session),
        source=pl.lit(haul.source),
        fingerprint=pl.lit(haul.fingerprint),
        run=pl.lit(night.run),
    ).select(list(FETCH_LOG.columns))


def _count(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.group_by("symbol").agg(pl.len().alias(name))
