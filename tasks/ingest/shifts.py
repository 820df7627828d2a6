"""Whether a source has moved the whole level of a symbol, and whether an action explains it."""

import polars as pl

from tasks.ingest.quarantine import PRICES
from tasks.ingest.rules import has_flag

# One ratio: the ratios differ by little beside their distance from 1, which rounding cannot make.
_SMALLEST_SHIFT, _ALIKE = 1e-3, 0.1
_EXPLAINED = 0.01
# Bars off by more than this, and how many of them are no revision of single bars any more.
_FAR, _MANY = 0.01, 3


def settle_shifts(
    rows: pl.DataFrame, actions_fetched: pl.DataFrame, actions_stored: pl.DataFrame
) -> pl.DataFrame:
    """Adds `shift`, the one ratio of all bars compared (null: there is none), and settles fates."""
    compared = pl.col("trusted") & pl.col("fate").is_in(["kept", "revised"])
    ratios = [pl.col(c) / pl.col(f"{c}_held") for c in PRICES]
    levels = (
        rows.filter(compared)
        .with_columns(low=pl.min_horizontal(ratios), high=pl.max_horizontal(ratios))
        .group_by("symbol")
        .agg(
            pl.len(),
            shift=pl.col("ratio").median(),
            spread=pl.col("high").max() - pl.col("low").min(),
            far=((pl.col("ratio") - 1).abs() > _FAR).sum(),
        )
    )
    distance = (pl.col("shift") - 1).abs()
    by_one_ratio = (
        (pl.col("len") >= 2)
        & (distance > _SMALLEST_SHIFT)
        & (pl.col("spread") <= _ALIKE * distance)
    )
    # Where splits are lost, the bars before each of them are off by another ratio.
    by_several = (pl.col("far") >= _MANY) & (2 * pl.col("far") >= pl.col("len"))
    moved = levels.filter(by_one_ratio | by_several)
    news = new_actions(rows, actions_fetched, actions_stored)
    moved = moved.join(_explained(moved, rows, news), on="symbol", how="left")
    rows = rows.join(
        moved.select("symbol", "shift", explained=pl.col("explained").fill_null(False)),
        on="symbol",
        how="left",
    )
    was_shifted = has_flag(pl.col("flags_held"), "level_shift") & pl.col("held_held")
    measured = compared.any().over("symbol")
    # Nothing but bars of the shifted level to compare with: it lasts.
    lasting = ~measured & was_shifted.any().over("symbol")
    unexplained = pl.col("shift").is_not_null() & ~pl.col("explained")
    apart = (unexplained | lasting).fill_null(False)
    return rows.with_columns(
        fate=pl.when(~pl.col("fate").is_in(["new", "kept", "revised"]))
        .then("fate")
        .when(apart & ~pl.col("there"))
        .then(pl.lit("shifted"))
        .when(pl.col("there") & (apart | pl.col("shift").is_not_null()))
        .then(pl.lit("kept"))
        # The level is back, or explained: what was held for it is judged anew.
        .when(measured & was_shifted)
        .then(pl.lit("revised"))
        .otherwise("fate"),
        apart=apart,
    )


def new_actions(
    rows: pl.DataFrame, actions_fetched: pl.DataFrame, actions_stored: pl.DataFrame
) -> pl.DataFrame:
    """Returns the actions that are new and later than the first bar compared of their symbol."""
    first = rows.filter("there").group_by("symbol").agg(first=pl.col("date").min())
    return (
        actions_fetched.join(actions_stored, on=["symbol", "date", "kind"], how="anti")
        .join(first, on="symbol")
        .filter(pl.col("date") > pl.col("first"))
        .sort("symbol", "date", "kind")
    )


def _explained(moved: pl.DataFrame, rows: pl.DataFrame, news: pl.DataFrame) -> pl.DataFrame:
    """Tells of each level that has moved whether new splits, or new cash, are its ratio."""
    is_split = pl.col("kind") == "split"
    acts = news.group_by("symbol").agg(
        split=pl.col("value").filter(is_split).product(),
        cash=pl.col("value").filter(~is_split).sum(),
    )
    closes = rows.filter("trusted").group_by("symbol").agg(close=pl.col("close_held").last())
    shift, dividend = pl.col("shift"), pl.col("cash") / pl.col("close")
    by_split = pl.any_horizontal(
        (shift / s - 1).abs() <= _EXPLAINED for s in (pl.col("split"), 1 / pl.col("split"))
    ) & (pl.col("split") != 1)
    by_cash = (pl.col("cash") > 0) & ((shift - (1 - dividend)).abs() <= _ALIKE * dividend)
    return (
        moved.join(acts, on="symbol")
        .join(closes, on="symbol")
        .select("symbol", explained=by_split | by_cash)
    )
