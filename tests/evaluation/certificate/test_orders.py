from dataclasses import replace

import numpy as np
import pytest

from tasks.evaluation.certificate.orders import fill_leaks
from tasks.evaluation.portfolio import simulate
from tasks.evaluation.spec import PortfolioSpec
from tests.evaluation.worlds import random_market


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
