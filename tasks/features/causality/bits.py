"""Frames compared bit by bit.

Masked is masked: null, NaN and every payload of NaN are one and the same. Which bits a NaN carries
hangs on the instruction that met it (x86 sets its sign, `numpy.nan` has none) and on whether an
engine masks with null or NaN; no model sees them. All other bits count, the sign of zero too: it
decides what 1/x is and where a digest of the frame lies, and a column that is causal and
deterministic has no reason to lose it.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

KEYS = ("symbol", "date")
_AS_INTEGER: dict[type[pl.DataType], type[pl.DataType]] = {
    pl.Float32: pl.Int32,
    pl.Float64: pl.Int64,
}


@dataclass(frozen=True)
class Difference:
    """The first row of the first column that differs, and all columns that do."""

    columns: tuple[str, ...]
    symbol: str
    date: date


def bits(frame: pl.DataFrame, until: date | None = None) -> pl.DataFrame:
    """Returns the rows up to a date by symbol and date, floats as integers, masked values null."""
    rows = frame.lazy() if until is None else frame.lazy().filter(pl.col("date") <= until)
    return (
        rows.with_columns(
            pl.col(real).fill_nan(None).reinterpret(dtype=whole)
            for real, whole in _AS_INTEGER.items()
        )
        .sort(KEYS)
        .collect()
    )


def first_difference(one: pl.DataFrame, other: pl.DataFrame) -> Difference | None:
    """Returns where two frames of bits differ, or None. Rows that come or go are column `rows`."""
    if one.schema != other.schema:
        changed = [n for n, _ in one.schema.items() ^ other.schema.items()]
        first = (one if one.height else other).row(0, named=True)
        return Difference(tuple(dict.fromkeys(changed)), first["symbol"], first["date"])
    if one.equals(other):
        return None
    if not one.select(KEYS).equals(other.select(KEYS)):
        return _moved_rows(one, other)
    differs = {name: one[name].ne_missing(other[name]) for name in one.columns if name not in KEYS}
    columns = tuple(name for name, rows in differs.items() if rows.any())
    symbol, day = one.filter(differs[columns[0]]).select(KEYS).row(0)
    return Difference(columns, symbol, day)


def _moved_rows(one: pl.DataFrame, other: pl.DataFrame) -> Difference:
    counted = [frame.group_by(KEYS).len() for frame in (one, other)]
    on = [*KEYS, "len"]
    lone = [a.join(b, on=on, how="anti") for a, b in (counted, reversed(counted))]
    symbol, day = pl.concat(lone).sort(KEYS).select(KEYS).row(0)
    return Difference(("rows",), symbol, day)
