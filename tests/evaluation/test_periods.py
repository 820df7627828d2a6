"""Figures of the traded portfolio by year and regime, held against empyrical and plain loops."""

import json
from datetime import date

import empyrical
import numpy as np
import pytest

from tests.evaluation.worlds import frames, run


@pytest.fixture(scope="module")
def evaluated():
    return run(*frames(names=5, dates=600, skill=0.05))


@pytest.fixture(scope="module")
def sessions(evaluated):
    """Date, simple_return and turnover of every session of the long-only portfolio."""
    rows = evaluated.equity.filter(portfolio="long_only").sort("date")
    equity = rows["equity"].to_list()
    days = rows["date"].to_list()
    return [
        (day, now / before - 1.0, traded)
        for day, before, now, traded in zip(
            days[1:], equity[:-1], equity[1:], rows["turnover"].to_list()[1:], strict=True
        )
    ]


def test_a_years_figures_are_those_of_its_sessions(evaluated, sessions):
    years = [row for row in evaluated.summary["periods"] if row["kind"] == "year"]
    assert [row["name"] for row in years] == ["2010", "2011"]
    for row in years:
        own = [s for s in sessions if s[0].year == int(row["name"])]
        returns = np.array([r for _, r, _ in own])
        assert row["sessions"] == len(own)
        assert row["return"]["value"] == pytest.approx(empyrical.cum_returns_final(returns))
        assert row["sharpe"]["value"] == pytest.approx(empyrical.sharpe_ratio(returns))
        assert row["drawdown"]["value"] == pytest.approx(empyrical.max_drawdown(returns))
        assert row["turnover"]["value"] == pytest.approx(252 * sum(t for *_, t in own) / len(own))
        for figure in ("return", "sharpe", "drawdown", "turnover"):
            found = row[figure]
            assert found["low"] < found["high"]
            assert found["low"] <= found["value"] <= found["high"], figure


def test_the_regimes_share_out_the_sessions_and_know_only_the_close_before(evaluated, sessions):
    regimes = [row for row in evaluated.summary["periods"] if row["kind"] == "volatility"]
    assert [row["name"] for row in regimes] == ["calm", "middle", "rough"]
    assert all(row["drawdown"] is None for row in regimes)
    # Of the first 10 sessions' closes no volatility is known.
    told = sum(row["sessions"] for row in regimes)
    assert len(sessions) - 10 <= told < len(sessions)
    grown = np.prod([1.0 + row["return"]["value"] for row in regimes])
    known = [r for _, r, _ in sessions[len(sessions) - told :]]
    assert grown == pytest.approx(np.prod([1.0 + r for r in known]))
    assert sessions[0][0] > date(2010, 1, 4)
    json.dumps(evaluated.summary["periods"], allow_nan=False)
