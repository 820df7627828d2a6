from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.aligned import traded_market
from tasks.evaluation.earned.entry import Flows
from tasks.evaluation.liquidity import FEWEST, VOLATILITY_SESSIONS, VOLUME_SESSIONS, with_liquidity
from tasks.evaluation.portfolio import simulate
from tasks.evaluation.portfolio_spec import PortfolioSpec
from tasks.lake.factors import panel_with_dividends
from tests.evaluation.worlds import START


@pytest.fixture
def panel():
    rng = np.random.default_rng(0)
    length = 100
    days = [START + timedelta(days=day) for day in range(length)]
    return pl.concat(
        pl.DataFrame(
            {
                "symbol": symbol,
                "date": days,
                "close": 50 * np.exp(np.cumsum(rng.normal(0, 0.02, length))),
                "volume": np.exp(rng.normal(12, 1, length)),
                "dividend_factor": np.cumprod(rng.uniform(1.0, 1.01, length)),
            }
        )
        for symbol in ("A", "B")
    )


def test_each_row_sees_its_own_symbol_up_to_its_own_bar(panel):
    made = with_liquidity(panel.sample(fraction=1.0, shuffle=True, seed=0))
    for (_,), own in made.group_by("symbol"):
        value = (own["close"] * own["volume"] / own["dividend_factor"]).to_numpy()
        change = np.diff(np.log(own["close"].to_numpy()))
        for row in range(own.height):
            seen = value[max(0, row + 1 - VOLUME_SESSIONS) : row + 1]
            assert own["dollar_volume"][row] == pytest.approx(seen.mean(), rel=1e-9)
            moves = change[max(0, row - VOLATILITY_SESSIONS) : row]
            found = own["volatility"][row]
            if len(moves) < FEWEST:
                assert found is None
            else:
                assert found == pytest.approx(moves.std(ddof=1), rel=1e-9)


def test_what_comes_later_changes_nothing(panel):
    cut = START + timedelta(days=70)
    wild = pl.when(pl.col("date") > cut).then(1e9).otherwise(pl.col("close"))
    whole, altered = with_liquidity(panel), with_liquidity(panel.with_columns(close=wild))
    columns, before = ("dollar_volume", "volatility"), pl.col("date") <= cut
    assert whole.filter(before).select(columns).equals(altered.filter(before).select(columns))


PAYER = "PAYS"
LENGTH = 240


def traded_bars():
    """As-traded bars of a stock with 2 % dividends each month and a split, and of a plain one."""
    rng = np.random.default_rng(3)
    days = [START + timedelta(days=day) for day in range(LENGTH)]
    bars, actions = [], []
    for symbol in (PAYER, "PLAIN"):
        close = np.exp(np.cumsum(rng.normal(0, 0.02, LENGTH))) * 50
        volume = np.exp(rng.normal(10, 0.3, LENGTH))
        if symbol == PAYER:
            close[150:] /= 4.0
            volume[150:] *= 4.0
            actions.append((symbol, days[150], "split", 4.0))
            actions += [
                (symbol, days[t], "dividend", 0.02 * close[t - 1]) for t in range(10, 240, 21)
            ]
        prices = dict.fromkeys(("high", "low", "close"), close)
        opens = close * np.exp(rng.normal(0, 0.005, LENGTH))
        columns = {"symbol": symbol, "date": days, "open": opens, **prices, "volume": volume}
        bars.append(pl.DataFrame(columns))
    made = pl.DataFrame(actions, ["symbol", "date", "kind", "value"], orient="row")
    return pl.concat(bars), made


def of_signal(panel):
    rng = np.random.default_rng(0)
    known = panel.select("symbol", "date")
    forecasts = known.with_columns(score=pl.Series(rng.normal(size=known.height)))
    return traded_market(panel, forecasts, 0)


def test_the_value_traded_knows_neither_dividends_nor_splits():
    bars, actions = traded_bars()
    _, market = of_signal(panel_with_dividends(bars, actions))
    for place, symbol in enumerate((PAYER, "PLAIN")):
        own = bars.filter(symbol=symbol)
        traded = (own["close"] * own["volume"]).to_numpy()
        for day in range(LENGTH):
            seen = traded[max(0, day + 1 - VOLUME_SESSIONS) : day + 1]
            assert market.dollar_volume[day, place] == pytest.approx(seen.mean(), rel=1e-9)
    # The prices themselves have grown by what was paid, a fifth and more.
    assert market.close[-1, 0] / (4.0 * bars.filter(symbol=PAYER)["close"][-1]) > 1.2


def test_slippage_and_cut_orders_are_those_of_a_stock_that_pays_nothing():
    """Which has the same total return and the same value traded, and pays no dividend."""
    bars, actions = traded_bars()
    panel = panel_with_dividends(bars, actions)
    value = bars["close"] * bars["volume"]
    twin = panel.with_columns(volume=value / panel["close"], dividend_factor=1.0)
    overstated = panel.with_columns(dividend_factor=1.0)
    for capital in (1e5, 1e7):
        rules = PortfolioSpec(capital=capital, min_dollar_volume=5e5)
        own, same, wrong = (
            Flows.of(simulate(*of_signal(one), "long_only", rules, 1))
            for one in (panel, twin, overstated)
        )
        np.testing.assert_allclose(own.slippage, same.slippage, rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(own.unfilled, same.unfilled, rtol=1e-6, atol=1e-9)
        assert own.slippage.sum() > 0.0
        assert not np.allclose(own.slippage, wrong.slippage, rtol=1e-3)
