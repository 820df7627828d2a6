from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.certificate.orders import fill_leaks, held_until
from tasks.evaluation.liquidity import with_liquidity
from tasks.evaluation.portfolio import simulate
from tasks.evaluation.spec import PortfolioSpec
from tasks.evaluation.trading import run_portfolios
from tests.evaluation.worlds import random_market
from tests.lake.frames import weekdays


def trading(horizon, late=0, opens=lambda market: market.open):
    """Portfolios that act on the signal of `late` sessions ago, at the prices `opens` gives."""

    def trade(signal, market):
        known = np.vstack([np.full((max(late, 0), signal.shape[1]), np.nan), signal])
        known = np.vstack([known, np.repeat(signal[-1:], max(-late, 0), axis=0)])
        known = known[max(-late, 0) :][: len(signal)]
        bars = replace(market, open=opens(market))
        return {
            mode: simulate(known, bars, mode, PortfolioSpec(), horizon)
            for mode in ("long_only", "long_short", "equal_weight")
        }

    return trade


def leaks(trade, seed):
    signal, market = random_market(seed)
    trials = list(fill_leaks(trade, signal, market, 8, seed))
    assert len(trials) >= 8
    return {leak.split(" ")[-1] for leak in trials if leak}


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("late", [0, 1, 3])
def test_fills_at_a_later_open_are_sound(horizon, late):
    for seed in range(4, 8):
        assert leaks(trading(horizon, late), seed) == set()


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_fill_that_knows_the_signal_of_its_own_close_is_noticed(horizon):
    for seed in range(4, 8):
        assert leaks(trading(horizon, late=-1), seed) == {"close"}


def closes_before(market):
    return np.vstack([market.open[:1], market.close[:-1]])


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_fill_at_the_close_of_its_signal_is_noticed(horizon):
    for seed in range(4, 8):
        assert leaks(trading(horizon, opens=closes_before), seed) == {"decided"}


DAYS, SYMBOLS = weekdays(60), ("A", "B", "C")
CUTOFF, FOLLOWING = DAYS[40], DAYS[41]
PAST = pl.col("date") <= CUTOFF


def bars():
    draw = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(draw.normal(0, 0.02, (3, 60)), axis=1))
    opening = close * np.exp(draw.normal(0, 0.01, close.shape))
    return pl.DataFrame(
        {
            "symbol": np.repeat(SYMBOLS, 60),
            "date": DAYS * 3,
            "open": opening.ravel(),
            "high": 1.01 * np.maximum(opening, close).ravel(),
            "low": 0.99 * np.minimum(opening, close).ravel(),
            "close": close.ravel(),
            "volume": draw.integers(10_000, 90_000, close.size).astype(float),
            "dividend_factor": np.ones(close.size),
        }
    )


def forecasts():
    known = bars().filter(PAST, pl.col("date") >= DAYS[25]).select("symbol", "date")
    return known.with_columns(score=pl.Series(np.random.default_rng(1).normal(size=known.height)))


def held(panel, **spec):
    def trade(signal, market):
        return run_portfolios(signal, market, None, PortfolioSpec(**spec), 3)

    return held_until(panel, forecasts(), CUTOFF, FOLLOWING, 3, trade)


BAR = ("open", "high", "low", "close", "volume")
FUTURES = {
    "cut off": lambda panel: panel.filter(PAST),
    "masked": lambda panel: panel.with_columns(
        pl.when(PAST).then(pl.col(BAR)).otherwise(float("nan")).name.keep()
    ),
    "without volume": lambda panel: panel.with_columns(
        volume=pl.when(PAST).then("volume").otherwise(0.0)
    ),
    "1e9": lambda panel: panel.with_columns(
        pl.when(PAST).then(pl.col(BAR)).otherwise(1e9).name.keep()
    ),
}


@pytest.mark.parametrize("future", FUTURES)
def test_orders_hang_on_nothing_after_the_cutoff(future):
    true = held(bars())
    assert (true.filter(date=FOLLOWING)["long_only"] > 0.0).any()
    assert true["date"].max() == FOLLOWING
    assert held(FUTURES[future](bars())).equals(true)


@pytest.mark.parametrize("future", FUTURES)
@pytest.mark.parametrize("column", ["dollar_volume", "volatility"])
def test_orders_that_look_at_the_bar_they_fill_on_are_noticed(column, future, monkeypatch):
    def ahead(panel):
        return with_liquidity(panel).with_columns(pl.col(column).shift(-1).over("symbol"))

    monkeypatch.setattr("tasks.evaluation.aligned.with_liquidity", ahead)
    changed = held(FUTURES[future](bars()))
    # A volatility is made of closes alone.
    assert changed.equals(held(bars())) == ((column, future) == ("volatility", "without volume"))


def test_without_a_trade_there_are_no_orders():
    assert held(bars(), min_dollar_volume=1e9).is_empty()
