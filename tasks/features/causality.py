"""Catches a column that looks ahead: what is known at the cutoff must not hang on what follows."""

from collections.abc import Callable, Mapping
from datetime import date

import polars as pl

_BAR = ("open", "high", "low", "close", "volume")
Build = Callable[[pl.DataFrame], pl.DataFrame]


def first_causal_violation(build: Build, panel: pl.DataFrame, cutoff: date) -> str | None:
    """Returns what moved, where and why, or None if no row up to `cutoff` depends on later bars.

    The future is cut off, masked and blown up in turn; the rows up to the cutoff must stay the same
    bit for bit. Give a `build` without the target, which looks ahead by intent.

    Args:
        build: makes a frame with symbol and date out of a panel.
        panel: bars that reach beyond the cutoff.
        cutoff: the last date whose rows are compared; a back-filled warm-up shows only where it
            lies inside the warm-up.
    """
    whole = build(panel).filter(pl.col("date") <= cutoff)
    for future, changed in _futures(panel, cutoff).items():
        found = _first_difference(whole, build(changed).filter(pl.col("date") <= cutoff))
        if found:
            return f"{found} when the bars after {cutoff} are {future}"
    return None


def _futures(panel: pl.DataFrame, cutoff: date) -> Mapping[str, pl.DataFrame]:
    later = pl.col("date") > cutoff

    def replaced(value: float) -> pl.DataFrame:
        return panel.with_columns(
            pl.when(later).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name in _BAR
        )

    return {
        "cut off": panel.filter(~later),
        "masked": replaced(float("nan")),
        "set to 1e9": replaced(1e9),
    }


def _first_difference(whole: pl.DataFrame, other: pl.DataFrame) -> str | None:
    keys = ["symbol", "date"]
    if whole.columns != other.columns or not whole.select(keys).equals(other.select(keys)):
        return "the set of rows or columns changes"
    for name in whole.columns[len(keys) :]:
        same = _bits(whole, name).eq_missing(_bits(other, name))
        if not same.all():
            symbol, day = whole.filter(~same).select(keys).row(0)
            return f"{name} changes at {symbol} {day}"
    return None


def _bits(frame: pl.DataFrame, name: str) -> pl.Series:
    """Returns the column, floats as integers: as floats 0.0 equals -0.0 and any NaN another."""
    column = frame.get_column(name)
    if column.dtype.is_float():
        return column.reinterpret(dtype=pl.Int32 if column.dtype == pl.Float32 else pl.Int64)
    return column
