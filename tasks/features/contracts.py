"""What may enter and leave this stage.

Pandera checks types, columns, nullability and ranges. It is blind to infinity and slow on keys
(44 s on 20 M rows), so polars checks those.
"""

import numpy as np
import pandera.polars as pa
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from models.errors import DataError
from tasks.features.spec import FeatureSpec
from tasks.lake.contracts import require
from tasks.lake.target_spec import TargetSpec

_MEND = "mend what made it"

_KEYS = {
    "symbol": pa.Column(pl.String),
    "date": pa.Column(pl.Date),
}
_FLOATS = cs.float()
_PRICES = ("open", "high", "low", "close")

# A null or NaN is a masked value: it masks the features that look at it.
PANEL = pa.DataFrameSchema(
    _KEYS | dict.fromkeys((*_PRICES, "volume"), pa.Column(pl.Float64, nullable=True)),
    strict=True,
    ordered=True,
    name="panel",
)


def feature_schema(spec: FeatureSpec, target: TargetSpec) -> pa.DataFrameSchema:
    """Returns the schema of the feature frame that `spec` and `target` lead to."""
    return pa.DataFrameSchema(
        _KEYS
        | dict.fromkeys(spec.features, pa.Column(pl.Float32, nullable=True))
        | {
            "volatility": pa.Column(pl.Float64, nullable=True),
            "momentum": pa.Column(pl.Float64, nullable=True),
            "reversal": pa.Column(pl.Float64, nullable=True),
            "bars_seen": pa.Column(pl.Int64),
            **{name: pa.Column(pl.Float64, nullable=True) for name in target.columns},
            "label_end": pa.Column(pl.Date, nullable=True),
            "exchange": pa.Column(pl.String),
            "sector": pa.Column(pl.String, nullable=True),
        },
        strict=True,
        ordered=True,
        name="feature frame",
    )


def check_panel(panel: pl.DataFrame) -> NDArray[np.int64]:
    """Returns how many rows each symbol has; a panel must hold sorted, unique, adjusted bars.

    Raises:
        DataError: it does not.
    """
    check_columns(panel)
    lengths = symbol_lengths(panel)
    check_values(panel, lengths)
    return lengths


def check_columns(panel: pl.DataFrame) -> None:
    """Raises DataError unless the panel has its columns, in their order and types."""
    # Of a lazy frame pandera checks no values.
    require(PANEL, panel.clear().lazy(), "The panel breaks its contract", _MEND)


def check_values(panel: pl.DataFrame, lengths: NDArray[np.int64]) -> None:
    """Raises DataError unless the panel is sorted without repeats, and its values can be bars'."""
    _check_keys(panel, lengths, "panel")
    for name in (*_PRICES, "volume"):
        _check_bounds(panel.get_column(name), name in _PRICES)


def symbol_lengths(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Returns the lengths of the runs of equal symbols."""
    symbols = frame.get_column("symbol")
    if symbols.is_empty():
        return np.empty(0, dtype=np.int64)
    # Slices are views; a shift would copy the texts.
    changes = (symbols[1:] != symbols[:-1]).arg_true().to_numpy().astype(np.int64)
    return np.diff(changes, prepend=-1, append=frame.height - 1)


def check_features(frame: pl.DataFrame, spec: FeatureSpec, target: TargetSpec) -> None:
    """Raises DataError unless `frame` is that of `spec` and `target`; a masked feature is NaN."""
    schema = feature_schema(spec, target)
    require(schema, frame.lazy(), "The feature frame breaks its contract", _MEND)
    _check_keys(frame, symbol_lengths(frame), "feature frame")
    wild = frame.select((_FLOATS.is_infinite()).sum()).row(0, named=True)
    for column, rows in wild.items():
        if rows:
            raise DataError(
                f"The feature frame's column {column} is infinite in {rows} rows; mask them."
            )
    early = frame.filter(pl.col("label_end") <= pl.col("date"))
    if early.height:
        symbol, day = early.row(0)[:2]
        raise DataError(
            f"The feature frame's label_end is not after the row's date, first at {symbol} {day} "
            f"({early.height} rows); build the target again."
        )


def _check_bounds(column: pl.Series, price: bool) -> None:
    # polars looks past nulls and NaN, numpy is faster where there are none.
    values = column.to_numpy() if not column.null_count() else None
    if values is None or not len(values) or np.isnan(least := values.min()):
        least, most = column.min(), column.max()
    else:
        most = values.max()
    if least is None or most is None:
        return
    if least < 0.0 or (price and least == 0.0):
        raise DataError(
            f"The panel breaks its contract: {column.name} is {least}, and "
            f"{'a price must be positive' if price else 'no volume is negative'}; {_MEND}."
        )
    if most == float("inf"):
        raise DataError(
            f"The panel column {column.name} is infinite in {column.is_infinite().sum()} rows; "
            "mask them as null."
        )


def _check_keys(frame: pl.DataFrame, lengths: NDArray[np.int64], name: str) -> None:
    """Refuses runs of symbols that do not ascend, and dates that do not within each."""
    starts = np.cumsum(lengths) - lengths
    days = frame.get_column("date").to_physical().to_numpy()
    later = days[1:] > days[:-1]
    later[starts[1:] - 1] = True
    heads = frame.get_column("symbol").gather(starts)
    wrong = starts[(heads <= heads.shift(1)).fill_null(False).to_numpy()]
    if len(wrong) or not later.all():
        rows = np.union1d(wrong, np.flatnonzero(~later) + 1)
        symbol, day = frame.select("symbol", "date").row(int(rows[0]))
        raise DataError(
            f"The {name} is not sorted by symbol and date without repeats, first at {symbol} {day} "
            f"({len(rows)} rows); sort it and drop the repeats."
        )
