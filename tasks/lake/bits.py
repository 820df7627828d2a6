"""Frames compared bit by bit.

Masked is masked: null, NaN and every payload of NaN are one and the same. Which bits a NaN carries
hangs on the instruction that met it (x86 sets its sign, `numpy.nan` has none) and on whether an
engine masks with null or NaN; no model sees them. All other bits count, the sign of zero too: it
decides what 1/x is and what a digest of the frame is, and a column that is causal and deterministic
has no reason to lose it.
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


def first_difference(one: pl.DataFrame, other: pl.DataFrame) -> Difference | None:
    """Returns where two frames differ, whatever the order of their rows, or None.

    Rows that come or go are the column `rows`.
    """
    if one.schema != other.schema:
        changed = [name for name, _ in one.schema.items() ^ other.schema.items()]
        first = (one if one.height else other).row(0, named=True)
        return Difference(tuple(dict.fromkeys(changed)), first["symbol"], first["date"])
    if not one.select(KEYS).equals(other.select(KEYS)):
        one, other = one.sort(KEYS), other.sort(KEYS)
        if not one.select(KEYS).equals(other.select(KEYS)):
            return _moved_rows(one, other)
    if _same_bytes(one, other):
        return None
    one, other = _bits(one), _bits(other)
    differs = {name: one[name].ne_missing(other[name]) for name in one.columns if name not in KEYS}
    columns = tuple(name for name, rows in differs.items() if rows.any())
    if not columns:
        return None
    symbol, day = one.filter(differs[columns[0]]).select(KEYS).row(0)
    return Difference(columns, symbol, day)


def _same_bytes(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Tells whether all bytes are the same, which is quick to see and nearly always so."""
    return all(
        a.to_numpy().tobytes() == b.to_numpy().tobytes() if a.dtype.is_float() else a.equals(b)
        for a, b in zip(one.iter_columns(), other.iter_columns(), strict=True)
    )


def _bits(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns the frame with floats as integers, masked values null."""
    return frame.with_columns(
        pl.col(real).fill_nan(None).reinterpret(dtype=whole) for real, whole in _AS_INTEGER.items()
    )


def _moved_rows(one: pl.DataFrame, other: pl.DataFrame) -> Difference:
    counted = [frame.group_by(KEYS).len() for frame in (one, other)]
    on = [*KEYS, "len"]
    lone = [a.join(b, on=on, how="anti") for a, b in (counted, reversed(counted))]
    symbol, day = pl.concat(lone).sort(KEYS).select(KEYS).row(0)
    return Difference(("rows",), symbol, day)
