"""The forecast ledger: what was forecast, when it was known, and whether it could be traded."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from tasks.lake.calendar import last_closed_session, next_session, session_open
from tasks.lake.store import Lake
from tasks.lake.tables import FORECASTS
from tasks.lake.target_spec import TargetSpec


def ledger_rows(
    forecast: pl.DataFrame,
    manifest: dict[str, Any],
    cutoff: date,
    known_by: datetime,
    now: datetime,
    gate: str,
) -> pl.DataFrame:
    """Returns the ledger's rows for one night.

    A forecast is `tradable` when it was known before the next session's open, and `live` when its
    cutoff is the last session that had closed; everything else is a replay. Target and unit are
    the published ones: a return that was divided by its volatility stands there as a return.

    Args:
        forecast: symbol, horizon, score, mean, q05 … q95 (null where the head has none), rank;
            columns that the ledger does not keep are left alone.
        manifest: The manifest of the bundle that made it.
        cutoff: The last session it saw.
        known_by: The clock it read the lake by.
        now: The run's instant, at which the forecast became known.
        gate: By what the model is champion, and its verdict, such as `first, no edge`.
    """
    exchange = manifest["exchange"]
    target = TargetSpec.model_validate(manifest["target"]).published
    live = cutoff == last_closed_session(exchange, now)
    tradable = now < session_open(exchange, next_session(exchange, cutoff))
    return forecast.with_columns(
        pl.lit(manifest["id"]).alias("model"),
        pl.lit(gate).alias("gate"),
        pl.lit(target.definition).alias("target"),
        pl.lit(target.unit).alias("unit"),
        pl.lit("live" if live else "replay").alias("origin"),
        pl.lit(cutoff).alias("cutoff"),
        pl.lit(tradable).alias("tradable"),
        pl.lit(known_by).alias("known_by"),
    ).select(list(FORECASTS.columns))


def not_forecast(
    lake: Lake, symbols: Sequence[str], cutoff: date, known_by: datetime
) -> dict[str, str]:
    """Returns of each of `symbols` in a few words why no forecast could be made at `cutoff`."""
    if not symbols:
        return {}
    bars = lake.read("bars", cutoff=cutoff, known_by=known_by, symbols=symbols, since=cutoff)
    held = dict(bars.select("symbol", pl.when("held").then("flags")).iter_rows())
    last = lake.newest_dates("bars", symbols, cutoff, known_by)
    reasons = {}
    for symbol in symbols:
        if symbol not in held:
            reasons[symbol] = f"no bar since {last[symbol]}" if symbol in last else "no bar"
        elif held[symbol] is not None:
            reasons[symbol] = f"its bar is held: {held[symbol]}"
        else:
            reasons[symbol] = "no complete window"
    return reasons


def published(
    lake: Lake, model: str, cutoff: date, known_by: datetime, horizon: int | None = None
) -> pl.DataFrame:
    """Returns the ledger's rows of one model for one night, best rank first.

    With `horizon`, only those of that one.
    """
    ledger = lake.read("forecasts", cutoff=cutoff, known_by=known_by)
    mine = (pl.col("model") == model) & (pl.col("cutoff") == cutoff)
    if horizon is not None:
        mine &= pl.col("horizon") == horizon
    return ledger.filter(mine).sort("rank", "horizon")


def recorded_clock(lake: Lake, model: str, cutoff: date, now: datetime) -> datetime:
    """Returns the `known_by` that a night was published with, or `now` where it was not yet.

    A night made again reads what it read the first time: later restatements do not rewrite it.
    """
    mine = published(lake, model, cutoff, now)
    return now if mine.is_empty() else mine["known_by"].sort()[0]


def nights(lake: Lake, models: list[str], known_by: datetime) -> list[date]:
    """Returns the cutoffs that `models` have published forecasts for, ascending."""
    ledger = lake.read("forecasts", cutoff=None, known_by=known_by)
    cutoffs = ledger.filter(pl.col("model").is_in(models))["cutoff"].unique().sort()
    return cutoffs.to_list()
