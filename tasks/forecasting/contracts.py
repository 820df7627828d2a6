"""What a forecast must be before it may be published."""

from itertools import pairwise

import pandera.polars as pa
import polars as pl

from models.errors import DataError
from tasks.lake.contracts import require
from tasks.lake.tables import QUANTILE_COLUMNS

# Null where the head, or the bundle, has none; NaN and infinity are refused everywhere.
_OPTIONAL = ("mean", *QUANTILE_COLUMNS, "distance")
_NUMBERS = ("score", *_OPTIONAL)

FORECAST = pa.DataFrameSchema(
    {
        "symbol": pa.Column(pl.String),
        "horizon": pa.Column(pl.Int64, pa.Check.ge(1)),
        "score": pa.Column(pl.Float64),
        "mean": pa.Column(pl.Float64, nullable=True),
        **{name: pa.Column(pl.Float64, nullable=True) for name in QUANTILE_COLUMNS},
        "rank": pa.Column(pl.Int64, pa.Check.ge(1)),
        "distance": pa.Column(pl.Float64, pa.Check.ge(0), nullable=True),
        "novel": pa.Column(pl.Boolean, nullable=True),
    },
    strict=True,
    unique=["symbol", "horizon"],
    name="forecast",
)


def check_forecast(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns `frame`; a DataError says what makes it unfit to be published.

    Beside its shape: every number is finite (infinity passes pandera's ranges), the quantiles do
    not cross, no two symbols share a rank at a horizon, and what one symbol has (a horizon, a
    mean, quantiles, a distance) all symbols have.
    """
    require(FORECAST, frame, "The forecast breaks its contract", "publish nothing of it")
    wild = frame.filter(~pl.all_horizontal(pl.col(_NUMBERS).is_finite().fill_null(True)))
    steps = pairwise(QUANTILE_COLUMNS)
    crossed = frame.filter(pl.any_horizontal(pl.col(a) > pl.col(b) for a, b in steps))
    partly = [c for c in _OPTIONAL if 0 < frame[c].null_count() < frame.height]
    partial = frame.filter(pl.any_horizontal(pl.lit(False), pl.col(partly).is_null()))
    tied = frame.filter(pl.struct("horizon", "rank").is_duplicated())
    fewer = frame.filter(pl.len().over("symbol") < frame["horizon"].n_unique())
    nulls = {frame[c].null_count() for c in QUANTILE_COLUMNS}
    some = frame if len(nulls) > 1 else frame.clear()
    faults = (
        ("is not finite", wild),
        ("has quantiles that cross", crossed),
        ("shares its rank with another symbol", tied),
        ("lacks a horizon, which other symbols have", fewer),
        (f"lacks {', '.join(partly)}, which other symbols have", partial),
        ("has some of the quantiles and not the others", some),
    )
    for fault, rows in faults:
        if rows.height:
            raise DataError(
                f"The forecast of {rows['symbol'][0]} {fault} ({rows.height} of {frame.height} "
                "forecasts); publish nothing of it, and look at the features of that night."
            )
    return frame
