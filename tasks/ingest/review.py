"""What a person decides about bars and actions that were refused or are held.

A release is written down with its reason and counts while the source serves the very values that
the person saw: another value is another matter. The row itself enters the lake at once; the nights
after it let it pass.
"""

from datetime import date, datetime

import polars as pl

from models.errors import UsageError
from tasks.ingest.quarantine import UNFIT_RULES, action_text, bar_text
from tasks.ingest.rules import has_flag, named, with_flag
from tasks.lake.store import Lake
from tasks.lake.tables import ACTIONS, BARS, REVIEWS


def pending(lake: Lake, known_by: datetime, symbol: str | None = None) -> pl.DataFrame:
    """Returns what waits for a person or for the source: refused rows, then held bars.

    Columns: symbol, date, kind, state (refused, held or released), rule, field, value, source.
    """
    symbols = None if symbol is None else [symbol]
    held = _held(lake, known_by, symbols).with_columns(
        kind=pl.lit("bar"), state=pl.lit("held"), field=pl.lit("row")
    )
    columns = ["symbol", "date", "kind", "state", "rule", "field", "value", "source"]
    refused = _refused(lake, known_by, symbols).select(columns)
    return pl.concat([refused, held.select(columns)]).sort("symbol", "date", "rule")


def release(
    lake: Lake, symbol: str, day: date, reason: str, reviewer: str, now: datetime
) -> pl.DataFrame:
    """Releases what is refused or held of `symbol` on `day`; returns the reviews written.

    Raises:
        UsageError: The reason is empty, nothing waits there, it cannot be computed with, or several
            refused rows contradict one another.
    """
    if not reason.strip():
        raise UsageError("A release needs a reason, for whoever audits it; give --reason.")
    held = _held(lake, now, [symbol]).filter(pl.col("date") == day)
    if held.height:
        bar = lake.read("bars", cutoff=day, known_by=now, symbols=[symbol], since=day)
        passed = pl.lit(False).alias("held")
        written = _reviews(held.with_columns(kind=pl.lit("bar")), reason, reviewer)
        # First the reason: a bar let pass without one would be held again by the next night.
        lake.append("reviews", written, now)
        flags = with_flag(pl.col("flags"), "released")
        lake.append("bars", bar.with_columns(passed, flags=flags), now)
        return written
    return _release_refused(lake, symbol, day, reason, reviewer, now)


def _release_refused(
    lake: Lake, symbol: str, day: date, reason: str, reviewer: str, now: datetime
) -> pl.DataFrame:
    told = _refused(lake, now, [symbol]).filter(pl.col("date") == day)
    # What was refused before, the source may have mended since: its last word counts.
    last = told.filter(pl.col("known_at") == pl.col("known_at").max())
    waiting = last.filter(state="refused")
    if waiting.is_empty():
        raise UsageError(
            f"Nothing of {symbol} on {day} is refused or held; `nightcast quarantine --symbol "
            f"{symbol}` shows what is."
        )
    unfit = waiting.filter(pl.col("rule").is_in(UNFIT_RULES))
    if unfit.height:
        row = unfit.row(0, named=True)
        raise UsageError(
            f"{symbol} on {day} breaks {row['rule']} ({row['value']}), and nothing can be computed "
            "with it, whoever vouches for it; mend the source and fetch again."
        )
    rows = waiting.unique(["kind", "whole"], maintain_order=True)
    if rows["kind"].is_duplicated().any():
        raise UsageError(
            f"{rows.height} rows of {symbol} on {day} lie in quarantine and contradict one another "
            f"({'; '.join(rows['value'])}); mend the source, so that one of them is served."
        )
    passed = rows.with_columns(held=pl.lit(False), final=pl.lit(True), flags=pl.lit("released"))
    lake.append("bars", passed.filter(kind="bar").select(list(BARS.columns)), now)
    actions = passed.filter(pl.col("kind") != "bar").with_columns(value="amount")
    lake.append("actions", actions.select(list(ACTIONS.columns)), now)
    # Last of all, so that a release that was stopped can be done again.
    written = _reviews(waiting.with_columns(value="whole"), reason, reviewer)
    lake.append("reviews", written, now)
    return written


def _refused(lake: Lake, known_by: datetime, symbols: list[str] | None) -> pl.DataFrame:
    """Returns the quarantine with `state`, the text `whole` of all values, and the stamps."""
    clocks = {"cutoff": None, "known_by": known_by, "symbols": symbols}
    refused = lake.read("quarantine", stamps=True, **clocks)  # type: ignore[arg-type]
    reviews = lake.read("reviews", **clocks)  # type: ignore[arg-type]
    whole = pl.when(kind="bar").then(bar_text()).otherwise(action_text("amount"))
    key = ["symbol", "date", "kind", "rule", "whole"]
    return (
        refused.with_columns(whole=whole)
        .join(
            reviews.select(*key[:-1], whole="value", passed=pl.lit(True)),
            on=key,
            how="left",
            nulls_equal=True,
        )
        .with_columns(state=pl.when("passed").then(pl.lit("released")).otherwise(pl.lit("refused")))
    )


def _held(lake: Lake, known_by: datetime, symbols: list[str] | None) -> pl.DataFrame:
    """Returns the held bars, one row for each rule that holds them."""
    held = lake.read("bars", cutoff=None, known_by=known_by, symbols=symbols).filter("held")
    by_rule = [
        held.filter(has_flag(pl.col("flags"), rule)).with_columns(rule=pl.lit(rule))
        for rule in named("hold")
    ]
    return pl.concat(by_rule).with_columns(value=bar_text())


def _reviews(rows: pl.DataFrame, reason: str, reviewer: str) -> pl.DataFrame:
    said = rows.with_columns(reason=pl.lit(reason), reviewer=pl.lit(reviewer))
    return said.select(list(REVIEWS.columns)).unique(REVIEWS.key)
