"""What may enter and leave this stage.

Pandera checks types, columns, nullability and ranges. It is blind to infinity and slow on keys
(44 s on 20 M rows), so polars checks those.
"""

import pandera.polars as pa
import polars as pl
import polars.selectors as cs

from models.errors import DataError
from tasks.features.spec import FeatureSpec
from tasks.lake.contracts import require

_KEYS = {
    "symbol": pa.Column(pl.String),
    "date": pa.Column(pl.Date),
}
_PRICE = pa.Column(pl.Float64, pa.Check.gt(0.0), nullable=True)

_FLOATS = cs.float()

# A null or NaN is a masked value: it masks the features that look at it.
PANEL = pa.DataFrameSchema(
    _KEYS
    | dict.fromkeys(("open", "high", "low", "close"), _PRICE)
    | {"volume": pa.Column(pl.Float64, pa.Check.ge(0.0), nullable=True)},
    strict=True,
    ordered=True,
    name="panel",
)


def feature_schema(spec: FeatureSpec) -> pa.DataFrameSchema:
    """Returns the schema of the feature frame that `spec` leads to."""
    return pa.DataFrameSchema(
        _KEYS
        | dict.fromkeys(spec.features, pa.Column(pl.Float32, nullable=True))
        | {
            "volatility": pa.Column(pl.Float64, pa.Check.ge(0.0), nullable=True),
            "momentum": pa.Column(pl.Float64, nullable=True),
            "bars_seen": pa.Column(pl.Int64, pa.Check.ge(0)),
            "target": pa.Column(pl.Float64, nullable=True),
            "label_end": pa.Column(pl.Date, nullable=True),
        },
        strict=True,
        ordered=True,
        name="feature frame",
    )


def check_panel(panel: pl.DataFrame) -> None:
    """Raises DataError unless `panel` holds sorted, unique, adjusted bars."""
    _check_schema(panel, PANEL)
    _check_keys(panel, "panel")
    _check_numbers(panel, "panel", "infinite", _FLOATS.is_infinite())


def check_features(frame: pl.DataFrame, spec: FeatureSpec) -> None:
    """Raises DataError unless `frame` is the feature frame of `spec`, masked values null."""
    _check_schema(frame, feature_schema(spec))
    _check_keys(frame, "feature frame")
    _check_numbers(frame, "feature frame", "not finite", ~_FLOATS.is_finite())
    early = frame.filter(pl.col("label_end") <= pl.col("date"))
    if early.height:
        symbol, day = early.row(0)[:2]
        raise DataError(
            f"The feature frame's label_end is not after the row's date, first at {symbol} {day} "
            f"({early.height} rows); build the target again."
        )


def _check_schema(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> None:
    require(schema, frame, f"The {schema.name} breaks its contract", "mend what made it")


def _check_keys(frame: pl.DataFrame, name: str) -> None:
    same = pl.col("symbol") == pl.col("symbol").shift(1)
    backward = pl.col("date") <= pl.col("date").shift(1)
    wrong = frame.filter((same & backward) | (pl.col("symbol") < pl.col("symbol").shift(1)))
    if wrong.height:
        symbol, day = wrong.row(0)[:2]
        raise DataError(
            f"The {name} is not sorted by symbol and date without repeats, first at {symbol} {day} "
            f"({wrong.height} rows); sort it and drop the repeats."
        )


def _check_numbers(frame: pl.DataFrame, name: str, fault: str, wrong: pl.Expr) -> None:
    for column, rows in frame.select(wrong.sum()).row(0, named=True).items():
        if rows:
            raise DataError(
                f"The {name} column {column} is {fault} in {rows} rows; mask them as null."
            )
