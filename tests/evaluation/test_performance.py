import math

import numpy as np
import pytest

from tasks.evaluation.performance import (
    drawdown,
    hit_rate,
    performance,
    sharpe,
    simple_returns,
    sortino,
)

EQUITY = np.array([100.0, 110.0, 99.0, 99.0, 118.8])
RETURNS = [0.1, -0.1, 0.0, 0.2]


def test_figures_by_hand():
    turnover, costs = np.array([0.0, 1.0, 0.5, 0.0, 0.1]), np.array([0.0, 3.0, 2.0, 0.0, 1.0])
    found = performance(EQUITY, turnover, costs)
    assert found["total_return"] == pytest.approx(0.188)
    assert found["annual_return"] == pytest.approx(1.188 ** (252 / 4) - 1)
    # Mean 0.05, squared deviations 0.0025 + 0.0225 + 0.0025 + 0.0225 = 0.05, over 3.
    assert found["annual_volatility"] == pytest.approx(math.sqrt(0.05 / 3 * 252))
    # Losses: one of 0.1 in four sessions, root mean square 0.05.
    assert found["sortino"] == pytest.approx(0.05 / 0.05 * math.sqrt(252))
    assert found["max_drawdown"] == pytest.approx(99 / 110 - 1)
    assert found["turnover"] == pytest.approx(0.4 * 252)
    assert found["costs"] == 6.0
    assert found["hit_rate"] == pytest.approx(2 / 3)


def test_returns_and_drawdown_by_hand():
    np.testing.assert_allclose(simple_returns(EQUITY), RETURNS, atol=1e-15)
    np.testing.assert_allclose(drawdown(EQUITY), [0.0, 0.0, -0.1, -0.1, 0.0], atol=1e-15)


def test_sharpe_is_that_of_the_repeated_sessions():
    returns = np.random.default_rng(0).normal(0.001, 0.01, 50)
    times = np.random.default_rng(1).integers(0, 3, 50)
    drawn = np.repeat(returns, times)
    expected = [r.mean() / r.std(ddof=1) * math.sqrt(252) for r in (returns, drawn)]
    found = sharpe(returns, np.stack([np.ones(50), times]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_portfolio_that_never_moves_has_no_ratios():
    returns = np.zeros(9)
    assert np.isnan(sharpe(returns, np.ones((1, 9)))).all()
    assert math.isnan(sortino(returns))
    assert math.isnan(hit_rate(returns))


def test_nothing_counts_after_the_day_of_ruin():
    ruined = np.array([100.0, 50.0, -10.0, 40.0])
    np.testing.assert_allclose(simple_returns(ruined), [-0.5, -1.2, 0.0])
    found = performance(ruined, np.zeros(4), np.zeros(4))
    assert found["total_return"] == pytest.approx(-1.1)
    assert found["max_drawdown"] == pytest.approx(-1.1)
    assert math.isnan(found["annual_return"])
