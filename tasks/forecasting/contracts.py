"""What a forecast must be before it may be published."""

from itertools import pairwise

import pandera.polars as pa
import polars as pl

from models.errors import DataError
from tasks.lake.contracts import require
from tasks.lake.tables import QUANTILE_COLUMNS

FORECAST = pa.DataFrameSchema(
    {
        "symbol": pa.Column(pl.String, unique=True),
        "score": pa.Column(pl.Float64),
        "mean": pa.Column(pl.Float64),
        **{name: pa.Column(pl.Float64) for name in QUANTILE_COLUMNS},
        "rank": pa.Column(pl.Int64, pa.Check.ge(1), unique=True),
    },
    strict=True,
    name="forecast",
)


def check_forecast(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns `frame`; a DataError says what makes it unfit to be published.

    Beside its shape: every number is finite (infinity passes pandera's ranges), and the quantiles
    do not cross.
    """
    require(FORECAST, frame, "The forecast breaks its contract", "publish nothing of it")
    numbers = ("score", "mean", *QUANTILE_COLUMNS)
    wild = frame.filter(~pl.all_horizontal(pl.col(c).is_finite() for c in numbers))
    steps = pairwise(QUANTILE_COLUMNS)
    crossed = frame.filter(pl.any_horizontal(pl.col(a) > pl.col(b) for a, b in steps))
    for fault, rows in (("is not finite", wild), ("has quantiles that cross", crossed)):
        if rows.height:
            raise DataError(
                f"The forecast of {rows['symbol'][0]} {fault} ({rows.height} of {frame.height} "
                "symbols); publish nothing of it, and look at the features of that night."
            )
    return frame
