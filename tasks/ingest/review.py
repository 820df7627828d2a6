"""What a person decides about bars and actions that were refused or are held.

A release is written down with its reason and counts while the source serves the very values that
the person saw: another value is another matter. The row itself enters the lake at once; the nights
after it let it pass.
"""

from datetime import date, datetime
from typing import Any

import polars as pl

from models.errors import UsageError
from tasks.ingest.judge import has_flag, with_flag
from tasks.ingest.quarantine import UNFIT_RULES, bar_text
from tasks.ingest.rules import named
from tasks.lake.store import Lake
from tasks.lake.tables import ACTIONS, BARS, REVIEWS


def pending(lake: Lake, known_by: datetime, symbol: str | None = None) -> pl.DataFrame:
    """Returns what waits for a person or for the source: refused rows, then held bars.

    Columns: symbol, date, kind, state (refused, held or released), rule, field, value, source.
    """
    symbols = None if symbol is None else [symbol]
    reviews = lake.read("reviews", cutoff=None, known_by=known_by, symbols=symbols)
    refused = lake.read("quarantine", cutoff=None, known_by=known_by, symbols=symbols)
    told = refused.join(
        reviews.select("symbol", "date", "kind", "rule", "value", passed=pl.lit(True)),
        on=["symbol", "date", "kind", "rule", "value"],
        how="left",
        nulls_equal=True,
    ).with_columns(state=pl.when("passed").then(pl.lit("released")).otherwise(pl.lit("refused")))
    held = _held(lake, known_by, symbols).with_columns(
        kind=pl.lit("bar"), state=pl.lit("held"), field=pl.lit("row")
    )
    columns = ["symbol", "date", "kind", "state", "rule", "field", "value", "source"]
    return pl.concat([told.select(columns), held.select(columns)]).sort("symbol", "date", "rule")


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
        lake.append("reviews", written, now)
        lake.append(
            "bars", bar.with_columns(passed, flags=with_flag(pl.col("flags"), "released")), now
        )
        return written
    return _release_refused(lake, symbol, day, reason, reviewer, now)


def _release_refused(
    lake: Lake, symbol: str, day: date, reason: str, reviewer: str, now: datetime
) -> pl.DataFrame:
    waiting = pending(lake, now, symbol).filter(pl.col("date") == day, state="refused")
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
    key = ["symbol", "date", "kind", "rule", "value"]
    rows = lake.read("quarantine", cutoff=day, known_by=now, symbols=[symbol], since=day)
    rows = rows.join(waiting.select(key), on=key, how="semi").unique(
        ["symbol", "date", "kind", "open", "high", "low", "close", "volume", "amount"]
    )
    if rows.select("symbol", "date", "kind").is_duplicated().any():
        raise UsageError(
            f"{rows.height} rows of {symbol} on {day} lie in quarantine and contradict one another "
            f"({'; '.join(rows['value'])}); mend the source, so that one of them is served."
        )
    written = _reviews(waiting, reason, reviewer)
    lake.append("reviews", written, now)
    let_pass: dict[str, Any] = {"flags": pl.lit("released")}
    bars = rows.filter(kind="bar").with_columns(held=pl.lit(False), final=pl.lit(True), **let_pass)
    lake.append("bars", bars.select(list(BARS.columns)), now)
    actions = rows.filter(pl.col("kind") != "bar").with_columns(**let_pass)
    lake.append(
        "actions",
        actions.drop("value").rename({"amount": "value"}).select(list(ACTIONS.columns)),
        now,
    )
    return written


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
