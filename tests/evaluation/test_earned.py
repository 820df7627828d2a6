"""Figures of portfolios, held against empyrical and counted by hand."""

import dataclasses
import json
import math
from typing import get_args

import empyrical
import numpy as np
import polars as pl
import pytest

from tasks.evaluation.earned import FIGURES, FLOWS
from tasks.evaluation.earned.entry import Flows, Paths
from tasks.evaluation.earned.fan import fan
from tasks.evaluation.earned.section import paid_section
from tasks.evaluation.performance import drawdown, performance, sharpe
from tasks.evaluation.portfolio import Mode, simulate
from tasks.evaluation.portfolio_spec import PortfolioSpec
from tasks.evaluation.significance import resample
from tests.evaluation.worlds import random_market, run

# Ours: what empyrical calls it. Its figures follow its own conventions, which are ours too.
THEIRS = {
    "annual_return": empyrical.annual_return,
    "annual_volatility": empyrical.annual_volatility,
    "sortino": empyrical.sortino_ratio,
    "max_drawdown": empyrical.max_drawdown,
    "calmar": empyrical.calmar_ratio,
}
AGAINST = {"alpha": empyrical.alpha, "beta": empyrical.beta}


def paths(seed, sessions=750, many=4):
    rng = np.random.default_rng(seed)
    market = rng.standard_t(4, (many, sessions)) * 0.008 + 0.0003
    own = 0.7 * market + rng.standard_t(4, (many, sessions)) * 0.006 + 0.0001 * (seed - 2)
    return Paths(own, market, rng.uniform(0.8, 1.0, (many, sessions)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", [*THEIRS, *AGAINST])
def test_figures_agree_with_empyrical(name, seed, monkeypatch):
    # Its sortino asks for a name that numpy 2 has removed; newer releases exclude our peewee.
    monkeypatch.setattr(np, "NINF", -np.inf, raising=False)
    given = paths(seed)
    found = FIGURES[name].function(given)
    for row, own in enumerate(given.returns):
        beside = () if name in THEIRS else (given.market[row],)
        expected = (THEIRS | AGAINST)[name](own, *beside)
        assert found[row] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_sharpe_and_the_drawdown_series_agree_with_empyrical(seed):
    given = paths(seed)
    for own in given.returns:
        once = np.ones((1, own.size))
        assert sharpe(own, once)[0] == pytest.approx(empyrical.sharpe_ratio(own), rel=1e-12)
        equity = 1e6 * np.cumprod(np.concatenate([[1.0], 1.0 + own]))
        assert drawdown(equity).min() == pytest.approx(empyrical.max_drawdown(own), rel=1e-12)
        figures = performance(equity, np.zeros(equity.size), np.zeros(equity.size))
        assert figures["annual_return"] == pytest.approx(empyrical.annual_return(own), rel=1e-11)


def by_hand(*returns, market=None):
    own = np.array([returns])
    return Paths(own, own if market is None else np.array([market]), np.ones(own.shape))


def value(name, given):
    return float(FIGURES[name].function(given)[0])


@pytest.mark.parametrize(
    ("returns", "sessions"),
    [
        ((0.1, 0.1, 0.1), 0),
        # Below the close of session 1 for two sessions, made up by the third.
        ((0.1, -0.05, 0.01, 0.2, -0.01, 0.02), 2),
        # The first close counts: nothing has been made up by the end.
        ((-0.1, 0.05, 0.01, 0.01), 4),
        # Equal to the highest close is no drawdown.
        ((0.0, 0.0, -0.5, 1.0), 1),
    ],
)
def test_the_longest_drawdown_counts_sessions_below_the_highest_close(returns, sessions):
    assert value("drawdown_sessions", by_hand(*returns)) == sessions


def test_without_a_drawdown_there_is_no_calmar_ratio():
    assert math.isnan(value("calmar", by_hand(0.1, 0.0, 0.1)))


def test_alpha_and_beta_of_twice_the_market_plus_a_constant():
    market = (0.01, -0.02, 0.005, 0.03)
    given = by_hand(*(2 * m + 0.001 for m in market), market=market)
    assert value("beta", given) == pytest.approx(2.0)
    assert value("alpha", given) == pytest.approx(1.001**252 - 1)
    assert math.isnan(value("beta", by_hand(0.1, 0.2, market=(0.0, 0.0))))


def test_all_lost_has_no_annual_return():
    assert math.isnan(value("annual_return", by_hand(-0.5, -1.2, 0.0)))


def test_the_order_of_dates_is_what_the_weights_count():
    drawn = resample(90, 5, 40, seed=3)
    order = drawn.order
    assert order[0].tolist() == list(range(90))
    for row, counted in zip(order, drawn.counts, strict=True):
        assert np.bincount(row, minlength=90).tolist() == counted.tolist()
    # Blocks: most dates are followed by the next one.
    follows = (np.diff(order[1:], axis=1) % 90 == 1).mean()
    assert 0.8 < follows < 0.97


def test_every_portfolio_has_every_figure_with_its_interval(few):
    earned = run(*few).summary["earned"]
    assert [column["name"] for column in earned["columns"]] == list(FIGURES)
    assert list(earned["portfolios"]) == [*get_args(Mode), "benchmark"]
    for name, row in earned["portfolios"].items():
        assert set(row) == set(FIGURES)
        for figure in ("annual_return", "annual_volatility", "exposure", "beta", "alpha"):
            found = row[figure]
            assert found["low"] <= found["value"] <= found["high"], (name, figure)
    assert earned["portfolios"]["benchmark"]["beta"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    # Nobody trades in the first 20 sessions, before a volatility is known.
    held = earned["portfolios"]["long_only"]["exposure"]["value"]
    assert held == pytest.approx(220 / 240, abs=0.05)
    assert earned["portfolios"]["long_short"]["exposure"]["value"] == pytest.approx(0.0, abs=0.05)
    json.dumps(earned, allow_nan=False)


def test_the_figures_of_a_portfolio_are_those_of_its_row(few):
    summary = run(*few).summary
    for row in summary["portfolios"]:
        figures = summary["earned"]["portfolios"][row["name"]]
        same = ("annual_return", "annual_volatility", "sortino", "hit_rate", "max_drawdown")
        for name in same:
            assert figures[name]["value"] == pytest.approx(row[name], rel=1e-9), name


def test_without_a_benchmark_alpha_and_beta_are_against_equal_weight(few):
    predictions, panel, _ = few
    result = run(predictions, panel, None)
    earned = result.summary["earned"]
    assert (earned["market"], run(*few).summary["earned"]["market"]) == (
        "equal_weight",
        "benchmark",
    )
    own, market = (
        result.equity.filter(portfolio=name)["equity"].pct_change().drop_nulls().to_numpy()
        for name in ("long_only", "equal_weight")
    )
    assert earned["portfolios"]["equal_weight"]["beta"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    for name in AGAINST:
        expected = AGAINST[name](own, market)
        assert earned["portfolios"]["long_only"][name]["value"] == pytest.approx(expected)


def account(seed, capital=1e6):
    signal, market = random_market(seed, sessions=90)
    rules = PortfolioSpec(capital=capital, interest_bps_per_year=200.0, delisting_loss=0.3)
    return simulate(signal, market, "long_short", rules, 3)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_paid_is_a_mean_over_the_sessions_that_were_drawn(seed):
    ledger, drawn = account(seed), resample(89, 3, 200, seed=4)
    found = paid_section({"long_short": ledger}, drawn, 0.90)["portfolios"]["long_short"]

    def by_hand(name, order):
        if name == "gross_exposure":
            return np.mean([ledger.gross_exposure[t + 1] for t in order])
        if name == "filled":
            traded = sum(ledger.turnover[t + 1] for t in order)
            lapsed = sum(ledger.unfilled[t + 1] / ledger.equity[t] for t in order)
            return traded / (traded + lapsed)
        if name == "turnover":
            return 252 * np.mean([ledger.turnover[t + 1] for t in order])
        return 252 * np.mean([getattr(ledger, name)[t + 1] / ledger.equity[t] for t in order])

    for name in FLOWS:
        draws = [by_hand(name, order) for order in drawn.order]
        expected = (draws[0], *np.quantile(draws[1:], [0.05, 0.95]))
        got = (found[name].value, found[name].low, found[name].high)
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-15), name
    for name in ("turnover", "costs", "slippage", "filled"):
        assert found[name].low < found[name].value < found[name].high, name
    assert 0.0 < found["filled"].value < 1.0


def test_the_parts_of_the_costs_add_up_and_nothing_counts_after_ruin():
    flows = Flows.of(account(0))
    parts = flows.commission + flows.spread + flows.slippage + flows.borrow
    np.testing.assert_allclose(parts, flows.costs, rtol=1e-12)
    ledger = account(1)
    ruined = dataclasses.replace(ledger, equity=np.where(np.arange(90) < 40, ledger.equity, -1.0))
    after = Flows.of(ruined)
    for name in ("turnover", "costs", "unfilled"):
        assert not getattr(after, name)[40:].any(), name
        assert getattr(after, name)[:40].any(), name
    assert np.isnan(after.gross_exposure[39:]).all()
    once = np.ones((1, 89))
    assert math.isfinite(FLOWS["gross_exposure"].function(after, once)[0])


def test_all_that_is_said_of_what_was_paid_comes_from_the_same_sessions(few):
    summary = run(*few).summary
    assert [column["name"] for column in summary["paid"]["columns"]] == list(FLOWS)
    assert list(summary["paid"]["portfolios"]) == [*get_args(Mode), "benchmark"]
    for row in summary["portfolios"]:
        paid = summary["paid"]["portfolios"][row["name"]]
        assert paid["turnover"]["value"] == pytest.approx(row["turnover"], rel=1e-12)
        grown = summary["earned"]["portfolios"][row["name"]]["total_return"]
        assert grown["value"] == pytest.approx(row["total_return"], rel=1e-12)
    paid = summary["paid"]["portfolios"]["long_only"]
    as_assumed = next(row for row in summary["costs"]["rows"] if row["multiple"] == 1.0)
    assert as_assumed["paid"] == paid["costs"]
    own = next(row for row in summary["capacity"]["rows"] if row["capital"] == 1e6)
    assert own["sharpe"] == as_assumed["sharpe"] == summary["pays"]["net_sharpe"]
    assert own["slippage"] == paid["slippage"]
    assert own["exposure"] == paid["gross_exposure"]
    assert own["filled"] == paid["filled"]


def test_the_fan_of_independent_normal_sessions_is_that_of_a_random_walk():
    equity = 1e6 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, 1001)))
    found = fan(equity, resample(1000, 1, 2000, seed=0), 0.90)
    changes = np.diff(np.log(equity))
    days = np.arange(1001)
    half = 1.645 * changes.std() * np.sqrt(days)
    np.testing.assert_allclose(
        np.log(found["growth_high"])[100:], (days * changes.mean() + half)[100:], atol=0.05
    )
    assert (found["growth_low"][0], found["growth_high"][0], found["drawdown_low"][0]) == (1, 1, 0)
    inside = (found["growth_low"] <= equity / equity[0]) & (
        equity / equity[0] <= found["growth_high"]
    )
    assert inside.mean() > 0.5
    assert (found["drawdown_low"] <= 0).all()


def test_the_long_only_portfolio_alone_has_a_fan_around_its_last_equity(few):
    equity = run(*few).equity
    fanned = equity.filter(pl.col("growth_low").is_not_null())
    assert fanned["portfolio"].unique().to_list() == ["long_only"]
    own = fanned["equity"] / fanned["equity"][0]
    assert fanned["growth_low"][-1] < own[-1] < fanned["growth_high"][-1]
    assert fanned.height == equity.filter(portfolio="long_only").height
