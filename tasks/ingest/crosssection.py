"""Faults that show only where many symbols are looked at together."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from tasks.ingest.quarantine import PRICES
from tasks.ingest.spec import QualitySpec


def stale_sessions(bars: pl.DataFrame, spec: QualitySpec) -> pl.DataFrame:
    """Returns symbol and date of the bars to hold because their session repeats the one before.

    A bar repeats when all four prices are those of the bar before; where they are one price (a thin
    share, or a halt) the volume must be too, and not be zero. The volume alone excuses nothing: a
    source that failed to bring prices may still bring a volume.

    Args:
        bars: Bars of many symbols, one row a key, sorted by symbol and date.
        spec: `stale_symbols` and `stale_share`, of the symbols that have a bar before.
    """
    before = {c: pl.col(c).shift(1).over("symbol") for c in (*PRICES, "volume")}
    same = pl.all_horizontal(pl.col(c) == before[c] for c in PRICES)
    moved = pl.col("high") > pl.col("low")
    traded_alike = (pl.col("volume") == before["volume"]) & (pl.col("volume") > 0)
    followed = bars.select(
        "symbol",
        "date",
        repeats=(same & (moved | traded_alike.fill_null(False))).fill_null(False),
        follows=before["close"].is_not_null(),
    ).filter("follows")
    share = pl.col("repeats").sum() / pl.len()
    enough = (pl.col("repeats").sum() >= spec.stale_symbols) & (share >= spec.stale_share)
    sessions = followed.group_by("date").agg(enough=enough).filter("enough")
    held = followed.filter("repeats").join(sessions, on="date", how="semi")
    return held.select("symbol", "date").sort("symbol", "date")


def missing_sessions(
    bars: pl.DataFrame,
    sessions: Sequence[date],
    spec: QualitySpec,
    listed: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Returns session, missing, expected and blamed: of the symbols alive, how many lack a session.

    A symbol is alive from its first bar to its last day of listing. Where more than
    `blame_source_above` of them lack a session, the source is to blame, and not the symbols.

    Args:
        bars: symbol, date.
        sessions: The sessions asked about.
        spec: `blame_source_above`.
        listed: symbol, first and last day (null while it trades); None takes the first bar of each
            symbol for its first day, and none for gone.
    """
    if listed is None:
        listed = bars.group_by("symbol").agg(first=pl.col("date").min())
        listed = listed.with_columns(last=pl.lit(None, pl.Date))
    days = pl.DataFrame({"session": sessions}, schema={"session": pl.Date})
    alive = (pl.col("first") < pl.col("session")) & (
        pl.col("last").is_null() | (pl.col("last") >= pl.col("session"))
    )
    expected = listed.join(days, how="cross").filter(alive).select("symbol", "session")
    there = bars.select("symbol", session="date").unique()
    missing = expected.join(there, on=["symbol", "session"], how="anti")
    return (
        days.join(expected.group_by("session").len("expected"), on="session", how="left")
        .join(missing.group_by("session").len("missing"), on="session", how="left")
        .select(
            "session",
            pl.col("missing").fill_null(0).cast(pl.Int64),
            pl.col("expected").fill_null(0).cast(pl.Int64),
        )
        .with_columns(blamed=pl.col("missing") > pl.col("expected") * spec.blame_source_above)
        .sort("session")
    )
