from datetime import date

import polars as pl
import pytest

from models.errors import DataError
from tasks.ingest.contracts import Actions, RawBars, require
from tasks.ingest.providers.base import Fetched


def bars() -> pl.DataFrame:
    prices = {c: [None, 1.0] for c in ("open", "high", "low", "close", "volume")}
    return pl.DataFrame(
        {"symbol": ["A", "A"], "date": [None, date(2013, 1, 2)], **prices, "source": "test"},
        schema_overrides={"date": pl.Date},
    )


def actions(kind: str = "split") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": ["A"],
            "date": [date(2013, 1, 2)],
            "kind": [kind],
            "value": [2.0],
            "source": ["test"],
        }
    )


def test_bad_values_are_left_to_the_quality_rules():
    assert require(RawBars, bars()).height == 2


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (bars().drop("volume"), "volume"),
        (bars().with_columns(adj_close=1.0), "adj_close"),
        (bars().with_columns(pl.col("volume").cast(pl.Int64)), "volume: Int64"),
        (bars().with_columns(pl.col("date").cast(pl.Datetime)), "date: Datetime"),
        (bars().with_columns(symbol=pl.lit(None, pl.String)), "symbol: null"),
    ],
)
def test_bars_of_another_shape_are_refused_by_name(broken, named):
    with pytest.raises(DataError, match=named):
        require(RawBars, broken)


def test_an_action_is_a_split_or_a_dividend():
    assert require(Actions, actions()).height == 1
    with pytest.raises(DataError, match="kind: merger"):
        require(Actions, actions("merger"))


def test_nothing_leaves_a_provider_unchecked():
    with pytest.raises(DataError, match="adj_close"):
        Fetched(bars().with_columns(adj_close=1.0), actions(), {"A": "ok"})
    with pytest.raises(DataError, match="merger"):
        Fetched(bars(), actions("merger"), {"A": "ok"})
