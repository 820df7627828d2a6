"""Splits and dividends read out of prices, and prices freed from later splits."""

import math

import polars as pl

# Adjusted closes are published to six decimals or so; a smaller step is their rounding.
_SMALLEST_STEP = 5e-4
_SMALLEST_SPLIT = 1.2
_SPLIT_TOLERANCE = 0.01
_DENOMINATORS = (1, 2, 3, 4, 5)
# Stock dividends of 5 % and its multiples are as usual as splits are.
_USUAL_DENOMINATORS = (*range(1, 11), 20)
_USUAL_TOLERANCE = 1e-3
_LARGEST_USUAL = 50.0


def recover_actions(bars: pl.DataFrame, with_splits: bool = True) -> pl.DataFrame:
    """Returns the splits and dividends that the adjusted close implies: symbol, date, kind, value.

    Only the change of close / adj_close from one bar to the next is used. Its level is anchored
    at the vendor's last day and so knows of actions after the last bar here. A step within 1 % of
    a small rational (p/q with q ≤ 5, or its reciprocal, of at least 1.2) is a split; any other of
    more than 0.05 % is a dividend, which is worth previous close × (1 − 1/step). A dividend on
    the day of a split is lost in the tolerance.

    Args:
        bars: symbol, date, close, adj_close. Bars without a usable price, and dates on which
            repeated bars disagree, are passed over.
        with_splits: False where the close is split-adjusted: then every step is a dividend.
    """
    prices = [pl.col(c).is_finite() & (pl.col(c) > 0) for c in ("close", "adj_close")]
    usable = (
        bars.filter(pl.col("date").is_not_null(), *prices)
        .unique(["symbol", "date", "close", "adj_close"])
        .unique(["symbol", "date"], keep="none")
        .sort("symbol", "date")
    )
    ratio = pl.col("close") / pl.col("adj_close")
    step, previous_close = pl.col("step"), pl.col("previous_close")
    stepped = usable.with_columns(
        step=(ratio.shift(1) / ratio).over("symbol"),
        previous_close=pl.col("close").shift(1).over("symbol"),
    ).filter((step - 1).abs() > _SMALLEST_STEP)
    split = _as_split(step) if with_splits else pl.lit(None, pl.Float64)
    return stepped.with_columns(split=split).select(
        "symbol",
        "date",
        kind=pl.when(pl.col("split").is_null()).then(pl.lit("dividend")).otherwise(pl.lit("split")),
        value=pl.coalesce("split", previous_close * (1 - 1 / step)),
    )


def undo_split_adjustment(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Returns split-adjusted bars as they were traded.

    Every price is multiplied by the splits dated after its bar, and the volume divided by them.
    `dividend` and `adj_close` are treated as prices where present; a dividend of the day of a
    split is in new shares.

    Args:
        bars: symbol, date, prices and volume, all divided by the splits after their date.
        splits: symbol, date, value (new shares per old), one a symbol and date, all positive.
    """
    prices = [c for c in ("open", "high", "low", "close", "dividend") if c in bars.columns]
    factor = pl.col("later")
    ordered = bars.sort("symbol", "date", maintain_order=True)
    return (
        with_later_splits(ordered, splits, "later")
        .with_columns(*(pl.col(c) * factor for c in prices), pl.col("volume") / factor)
        .select(bars.columns)
    )


def with_later_splits(rows: pl.DataFrame, splits: pl.DataFrame, name: str) -> pl.DataFrame:
    """Adds, as column `name`, the product of the splits dated after each row; 1 where none is.

    Args:
        rows: symbol, date and more, sorted by both.
        splits: symbol, date, value.
        name: Of the new column.
    """
    later = splits.sort("symbol", "date").select(
        "symbol",
        pl.col("value").cum_prod(reverse=True).over("symbol").alias(name),
        split_date="date",
    )
    return (
        rows.join_asof(
            later,
            left_on="date",
            right_on="split_date",
            by="symbol",
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .drop("split_date")
        .with_columns(pl.col(name).fill_null(1.0))
    )


def is_odd_split(split: pl.Expr) -> pl.Expr:
    """Tells whether shares are hardly ever split so: often it is a spin-off put as a split."""
    size = pl.max_horizontal(split, 1 / split)
    near = [
        ((size * q).round() / q / size - 1).abs() <= _USUAL_TOLERANCE for q in _USUAL_DENOMINATORS
    ]
    return ~pl.any_horizontal(near) | (size > _LARGEST_USUAL)


def like_split(move: float, tolerance: float) -> bool:
    """Tells whether a log move is within `tolerance` of a small rational's, as a split left out."""
    size = math.exp(abs(move))
    nearest = (round(size * q) / q for q in _DENOMINATORS)
    return any(n >= _SMALLEST_SPLIT and abs(n / size - 1) <= tolerance for n in nearest)


def _as_split(step: pl.Expr) -> pl.Expr:
    """The small rational that `step` is within tolerance of, or null."""
    size = pl.max_horizontal(step, 1 / step)
    nearest = [(size * q).round() / q for q in _DENOMINATORS]
    fitting = [
        pl.when((n >= _SMALLEST_SPLIT) & ((n / size - 1).abs() <= _SPLIT_TOLERANCE)).then(n)
        for n in nearest
    ]
    split = pl.coalesce(fitting)
    return pl.when(step >= 1).then(split).otherwise(1 / split)
