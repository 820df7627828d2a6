"""The account beside those that vectorbt and zipline keep of the same portfolios."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.portfolio import Market, simulate
from tasks.evaluation.spec import PortfolioSpec

GOLDEN = Path(__file__).parent / "golden"
# 0.1 % of what is traded, and weights that leave cash for a rise overnight.
SPEC = PortfolioSpec(
    commission_bps=4,
    spread_bps=6,
    borrow_bps_per_year=0,
    impact=0,
    max_participation=None,
    top_count=2,
    max_weight=0.4,
    staggered=False,
)


def matrix(column):
    bars = pl.read_csv(GOLDEN / "bars.csv", try_parse_dates=True)
    return bars.pivot("symbol", index="date", values=column).drop("date").to_numpy()


def account(file, column):
    return pl.read_csv(GOLDEN / file)[column].to_numpy()


@pytest.fixture
def market():
    opens = matrix("open")
    days = pl.read_csv(GOLDEN / "bars.csv", try_parse_dates=True)["date"].unique().sort()
    return Market(days.to_list(), opens, matrix("close"), np.isfinite(opens))


def test_vectorbt_keeps_the_same_account(market):
    ledger = simulate(matrix("signal"), market, "long_only", SPEC, 1)
    expected = account("vectorbt.csv", "long_only")
    np.testing.assert_allclose(ledger.equity, expected, rtol=1e-9)


def test_vectorbt_lets_the_orders_of_a_halt_lapse_too(market):
    opens = market.open.copy()
    opens[10:13, 0] = opens[20, 2] = np.nan
    halted = replace(market, open=opens, tradable=np.isfinite(opens))
    # Half the weight: where a sale lapses the purchases still find cash. Short of it vectorbt fills
    # one order after the other, we cut all alike.
    small = SPEC.model_copy(update={"max_weight": 0.2})
    ledger = simulate(matrix("signal"), halted, "long_only", small, 1)
    expected = account("vectorbt.csv", "long_only_halted")
    np.testing.assert_allclose(ledger.equity, expected, rtol=1e-9)
    assert ledger.unfilled.any()


def test_vectorbt_keeps_the_same_account_of_longs_and_shorts(market):
    ledger = simulate(matrix("signal"), market, "long_short", SPEC, 3)
    expected = account("vectorbt.csv", "long_short_every_third")
    np.testing.assert_allclose(ledger.equity, expected, rtol=1e-9)


def test_zipline_keeps_the_same_account_but_for_whole_shares(market):
    # It fills at the close of the next session.
    closes = replace(market, open=market.close)
    rich = SPEC.model_copy(update={"capital": 1e10})
    ledger = simulate(matrix("signal"), closes, "long_only", rich, 1)
    # A share of some 50 on each of 6 names is 3e-8 of the capital.
    np.testing.assert_allclose(ledger.equity, account("zipline.csv", "long_only"), rtol=1e-6)
