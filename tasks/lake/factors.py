"""Forward adjustment factors: a later split or dividend never changes an earlier row.

The factor of a row is a product over the actions dated on or before it, anchored at 1 on the
symbol's first bar. Back-adjusted prices, as vendors publish them, are anchored at the last bar
instead: every new action rewrites all earlier prices, and with it every feature made of them.
"""

import polars as pl

PRICES = ("open", "high", "low", "close")


def forward_factors(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Adds `split_factor` and `total_factor` to as-traded bars.

    `split_factor[t]` is the product of the splits (new shares per old) with ex-date ≤ t.
    `total_factor[t]` is that times the product, over dividends with ex-date s ≤ t, of
    p / (p − dividend[s]), where p is the last close before s in the shares of s. Every kind but
    `split` is cash; what is paid on one day adds up. A withdrawn action (a split of 1, a dividend
    of 0) changes nothing.
    An action counts from the symbol's first bar on or after its date; before the symbol's second
    bar it has nothing to act on and is left out.

    Args:
        bars: symbol, date, open, high, low, close, volume; one row a key.
        actions: symbol, date, kind, value.
    """
    ordered = bars.sort("symbol", "date")
    days = ordered.select("symbol", "date", bar_date="date")
    acting = (
        actions.sort("symbol", "date")
        .join_asof(days, on="date", by="symbol", strategy="forward", check_sortedness=False)
        .drop_nulls("bar_date")
        .group_by("symbol", "bar_date")
        .agg(
            split=pl.col("value").filter(pl.col("kind") == "split").product(),
            dividend=pl.col("value").filter(pl.col("kind") != "split").sum(),
        )
    )
    before = pl.col("close").shift(1).over("symbol") / pl.col("split")
    growth = pl.when(before.is_null()).then(1.0).otherwise(before / (before - pl.col("dividend")))
    split = pl.when(before.is_null()).then(1.0).otherwise(pl.col("split"))
    return (
        ordered.join(
            acting,
            left_on=["symbol", "date"],
            right_on=["symbol", "bar_date"],
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("split").fill_null(1.0), pl.col("dividend").fill_null(0.0))
        .with_columns(step_split=split, step_total=split * growth)
        .with_columns(
            split_factor=pl.col("step_split").cum_prod().over("symbol"),
            total_factor=pl.col("step_total").cum_prod().over("symbol"),
        )
        .drop("split", "dividend", "step_split", "step_total")
    )


def adjust(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Returns the panel: total-return prices and split-adjusted volume, sorted by symbol, date.

    A bar whose column `held` is true is neither in it nor the bar before an action.
    """
    return panel_with_dividends(bars, actions).drop("dividend_factor")


def panel_with_dividends(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Returns the panel of `adjust` and `dividend_factor`, by which dividends raised its prices.

    Close × volume over it is what was traded; without it that would grow with every dividend.
    """
    total, split = pl.col("total_factor"), pl.col("split_factor")
    return forward_factors(_usable(bars), actions).select(
        "symbol",
        "date",
        *(pl.col(c) * total for c in PRICES),
        pl.col("volume") / split,
        dividend_factor=total / split,
    )


def back_adjusted(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Returns prices and volumes as vendors publish them, anchored at each symbol's last bar.

    For charts and for comparison with a vendor's adjusted close only, never for a feature or a
    label: the next action rewrites every row. The convention is that of CRSP and Yahoo: a bar
    before an ex-date is multiplied by 1 − dividend/p, p the last close before it in the shares of
    the ex-date, and divided by the split; its volume is multiplied by the split. What counts, and
    from which bar on, is as in `forward_factors`; held bars are left out as in `adjust`.
    """
    total, split = pl.col("total_factor"), pl.col("split_factor")
    return forward_factors(_usable(bars), actions).select(
        "symbol",
        "date",
        *(pl.col(c) * (total / total.last().over("symbol")) for c in PRICES),
        pl.col("volume") * (split.last().over("symbol") / split),
    )


def index_prices(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Returns date, open and close of the benchmark, its own actions in them as in `adjust`.

    Args:
        bars: those of the benchmark alone.
        actions: symbol, date, kind, value; of other symbols too.
    """
    return adjust(bars, actions).select("date", "open", "close")


def _usable(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.filter(~pl.col("held")) if "held" in bars.columns else bars
