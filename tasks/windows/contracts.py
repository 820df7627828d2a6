"""What a plan of windows must be before anything is fitted by it."""

import pandera.polars as pa
import polars as pl

from tasks.lake.contracts import require

SPANS = ("fit", "stop", "calibrate", "test")
REFIT = -1

PLAN = pa.DataFrameSchema(
    {
        "fold": pa.Column(pl.Int64, pa.Check.ge(REFIT)),
        "span": pa.Column(pl.String, pa.Check.isin(SPANS)),
        "row": pa.Column(pl.Int64, pa.Check.ge(0)),
    },
    strict=True,
    ordered=True,
    name="window plan",
)


def check_plan(rows: pl.DataFrame) -> pl.DataFrame:
    """Returns the plan's rows; a DataError says where they break the contract."""
    return require(PLAN, rows, "The window plan breaks its contract", "plan the windows again")
