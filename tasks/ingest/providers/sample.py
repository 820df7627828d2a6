"""The embedded default: real bars that ship inside two well-kept packages.

AAPL, FB, GOOG, IBM and MSFT from 2000-03-01 to 2013-03-01 (bokeh_sampledata, BSD-3), as traded,
and the S&P 500 index from 1999 to 2018 (arch, NCSA) as benchmark. The first has no actions; they
are read out of its adjusted close. Five survivors chosen with hindsight: no universe to judge a
strategy by.
"""

import hashlib
from importlib.metadata import distribution
from pathlib import Path

import polars as pl

from tasks.ingest.actions import recover_actions
from tasks.ingest.contracts import ACTION_COLUMNS, RAW_BAR_COLUMNS
from tasks.ingest.providers.base import StaticProvider
from tasks.ingest.spec import SampleSpec

BENCHMARK = "^GSPC"

_NAMES = {
    "Ticker": "symbol",
    "Date": "date",
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "adj_close",
}


class SampleProvider(StaticProvider):
    """Serves the embedded bars."""

    def __init__(self, spec: SampleSpec) -> None:
        shares = _packaged("bokeh_sampledata", "bokeh_sampledata/_data/stocks.csv.gz")
        index = _packaged("arch", "arch/data/sp500/sp500.csv.gz")
        stocks = _read(shares, "%Y-%m-%d")
        benchmark = _read(index, "%m/%d/%Y").with_columns(symbol=pl.lit(BENCHMARK))
        source = pl.lit("sample")
        bars = pl.concat(
            f.with_columns(source=source).select(RAW_BAR_COLUMNS) for f in (stocks, benchmark)
        )
        actions = recover_actions(stocks).with_columns(source=source).select(list(ACTION_COLUMNS))
        super().__init__(bars, actions, BENCHMARK, hashlib.sha256(shares + index).hexdigest())


def _packaged(package: str, path: str) -> bytes:
    # importlib.resources would import the package first, which takes arch two seconds.
    return Path(str(distribution(package).locate_file(path))).read_bytes()


def _read(table: bytes, date_format: str) -> pl.DataFrame:
    return (
        pl.read_csv(table)
        .rename(_NAMES, strict=False)
        .with_columns(pl.col("date").str.to_date(date_format), pl.col("volume").cast(pl.Float64))
    )
