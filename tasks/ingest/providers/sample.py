"""The embedded default: real bars that ship inside two well-kept packages.

AAPL, FB, GOOG, IBM and MSFT from 2000-03-01 to 2013-03-01 (bokeh_sampledata, BSD-3), as traded,
and the S&P 500 index from 1999 to 2018 (arch, NCSA) as benchmark. The first has no actions; they
are read out of its adjusted close. Five survivors chosen with hindsight: no universe to judge a
strategy by.
"""

import hashlib
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path

import polars as pl

from tasks.ingest.actions import recover_actions
from tasks.ingest.contracts import ACTION_COLUMNS, RAW_BAR_COLUMNS
from tasks.ingest.providers.base import History, StaticProvider
from tasks.ingest.spec import SampleSpec

BENCHMARK = "^GSPC"

_SHARES = ("bokeh_sampledata", "bokeh_sampledata/_data/stocks.csv.gz")
_INDEX = ("arch", "arch/data/sp500/sp500.csv.gz")

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

    source = "sample"

    def __init__(self, spec: SampleSpec) -> None:
        del spec  # A replay serves the same bars.
        super().__init__(_history(), BENCHMARK, _fingerprint())


@lru_cache(maxsize=1)
def _history() -> History:
    """Returns the bars of both packages; they are read once a process."""
    stocks = _read(_packaged(*_SHARES), "%Y-%m-%d")
    index = _read(_packaged(*_INDEX), "%m/%d/%Y").with_columns(symbol=pl.lit(BENCHMARK))
    said = {"source": pl.lit(SampleProvider.source), "currency": pl.lit(None, pl.String)}
    bars = pl.concat(f.with_columns(**said).select(RAW_BAR_COLUMNS) for f in (stocks, index))
    actions = recover_actions(stocks).with_columns(source=said["source"])
    return History(
        bars.sort("symbol", "date"),
        actions.select(list(ACTION_COLUMNS)).sort("symbol", "date", "kind"),
        (
            "The five shares of the sample are survivors chosen with hindsight: how they did says "
            "nothing of a universe chosen at the time.",
        ),
    )


@lru_cache(maxsize=1)
def _fingerprint() -> str:
    return hashlib.sha256(_packaged(*_SHARES) + _packaged(*_INDEX)).hexdigest()


def _packaged(package: str, path: str) -> bytes:
    # importlib.resources would import the package first, which takes arch two seconds.
    return Path(str(distribution(package).locate_file(path))).read_bytes()


def _read(table: bytes, date_format: str) -> pl.DataFrame:
    return (
        pl.read_csv(table)
        .rename(_NAMES, strict=False)
        .with_columns(pl.col("date").str.to_date(date_format), pl.col("volume").cast(pl.Float64))
    )
