from datetime import UTC, date, datetime

import polars as pl
import pytest

from tasks.evaluation.benchmark import held_benchmark
from tasks.lake.artifacts import TableRef
from tests.lake.frames import actions, weekdays

MON, TUE, WED, *_ = DAYS = weekdays(5, date(2020, 1, 6))
SPY = TableRef(
    table="bars", cutoff=DAYS[-1], known_by=datetime(2020, 2, 1, tzinfo=UTC), symbols=("SPY",),
    rows=5, digest="0",
)  # fmt: skip


def held(acting, portfolio="benchmark"):
    days = DAYS[1:]
    equity = pl.DataFrame({"portfolio": [portfolio] * len(days), "date": days})
    return held_benchmark(SPY, actions(acting), equity)


@pytest.mark.parametrize(
    ("acting", "dividends"),
    [
        ([("SPY", WED, "dividend", 1.0)], 1),
        ([("SPY", WED, "capital_gain", 1.0), ("SPY", DAYS[-1], "dividend", 1.0)], 2),
        # Before it was held, of another symbol, withdrawn, and no cash.
        ([("SPY", MON, "dividend", 1.0)], 0),
        ([("A", WED, "dividend", 1.0)], 0),
        ([("SPY", WED, "dividend", 0.0)], 0),
        ([("SPY", WED, "split", 2.0)], 0),
    ],
)
def test_a_benchmark_without_a_dividend_in_the_span_is_called_a_price_index(acting, dividends):
    found = held(acting)
    told = f"{dividends} dividends reinvested" if dividends else "without dividends"
    assert found["rule"].startswith("SPY, bought once")
    assert found["rule"].endswith(told)
    assert ("price index" in found["limit"]) == (dividends == 0)


def test_where_no_benchmark_was_held_the_rule_says_so():
    expected = {"rule": "none; equal weight is the only rival", "limit": ""}
    assert held([], portfolio="long_only") == expected
    equity = pl.DataFrame({"portfolio": ["long_only"], "date": [MON]})
    assert held_benchmark(None, actions([]), equity) == expected
