"""The shape of what a provider hands over: columns, types, what may be null.

Values are not judged here: a bar with a bad value goes to quarantine with its rule (`quality.py`),
while a frame of the wrong shape is a fault of the provider and stops the run.
"""

import pandera.polars as pa
import polars as pl

from tasks.lake import contracts


class RawBars(pa.DataFrameModel):
    """Bars as traded, one row for each bar served, good or bad.

    `adj_close` is the source's own, whatever day it is anchored at, and `currency` what it says the
    prices are in; null where it says nothing.
    """

    symbol: pl.String
    date: pl.Date = pa.Field(nullable=True)
    open: pl.Float64 = pa.Field(nullable=True)
    high: pl.Float64 = pa.Field(nullable=True)
    low: pl.Float64 = pa.Field(nullable=True)
    close: pl.Float64 = pa.Field(nullable=True)
    volume: pl.Float64 = pa.Field(nullable=True)
    adj_close: pl.Float64 = pa.Field(nullable=True)
    currency: pl.String = pa.Field(nullable=True)
    source: pl.String

    class Config:
        """No further columns."""

        strict = True


class Actions(pa.DataFrameModel):
    """Splits (new shares per old), dividends and capital gains (cash per share of the ex-date)."""

    symbol: pl.String
    date: pl.Date = pa.Field(nullable=True)
    kind: pl.String = pa.Field(isin=["split", "dividend", "capital_gain"])
    value: pl.Float64 = pa.Field(nullable=True)
    source: pl.String

    class Config:
        """No further columns."""

        strict = True


class Listings(pa.DataFrameModel):
    """What a source says of a symbol itself, one row a symbol; null where it says nothing."""

    symbol: pl.String
    currency: pl.String = pa.Field(nullable=True)
    timezone: pl.String = pa.Field(nullable=True)
    instrument: pl.String = pa.Field(nullable=True)
    first_traded: pl.Date = pa.Field(nullable=True)

    class Config:
        """No further columns."""

        strict = True


RAW_BAR_COLUMNS = list(RawBars.to_schema().columns)
ACTION_COLUMNS = {name: column.dtype.type for name, column in Actions.to_schema().columns.items()}


LISTING_COLUMNS = {n: column.dtype.type for n, column in Listings.to_schema().columns.items()}


def require(contract: type[pa.DataFrameModel], frame: pl.DataFrame) -> pl.DataFrame:
    """Returns `frame` if it meets the contract, else raises a DataError naming what does not."""
    subject = f"A provider broke the contract {contract.__name__}"
    return contracts.require(contract, frame, subject, "mend the provider")
