from datetime import timedelta

import numpy as np
import polars as pl

from tasks.evaluation.spec import PortfolioSpec
from tests.evaluation.worlds import START, run


def test_portfolios_span_the_forecasts_and_the_last_holding_period(few):
    equity = run(*few, horizon=1).equity
    for _, ledger in equity.group_by("portfolio"):
        assert ledger["date"].min() == START
        assert ledger["date"].max() == START + timedelta(days=240)
        gap = (ledger["cash"] + ledger["positions"] - ledger["equity"]).abs() / ledger["equity"]
        assert gap.max() < 1e-9


def test_the_benchmark_is_bought_once_at_the_open_after_the_first_close(few):
    index = few[2]
    equity = run(*few).equity.filter(pl.col("portfolio") == "benchmark")
    spec = PortfolioSpec()
    rate = (spec.commission_bps + spec.spread_bps) / 1e4
    closes, bought_at = index["close"].to_numpy(), index["open"][1]
    shares = min(spec.capital / closes[0], spec.capital / (1 + rate) / bought_at)
    left = spec.capital - shares * bought_at * (1 + rate)
    expected = left + shares * closes[1 : equity.height]
    np.testing.assert_allclose(equity["equity"][1:], expected, rtol=1e-12)
    assert (equity["turnover"] > 0).sum() == 1


def test_without_a_benchmark_equal_weight_is_the_rival(few):
    predictions, panel, _ = few
    summary = run(predictions, panel, None).summary
    assert [p["name"] for p in summary["portfolios"]] == ["long_only", "long_short", "equal_weight"]
    assert summary["pays"]["benchmark_sharpe"] is None
    assert "equal weight" in summary["pays"]["sentence"]
    assert not any("benchmark" in w for w in summary["warnings"])


def test_a_benchmark_without_bars_in_the_span_is_named(few):
    predictions, panel, index = few
    elsewhere = index.with_columns(pl.col("date").dt.offset_by("-5y"))
    assert any("benchmark" in w for w in run(predictions, panel, elsewhere).summary["warnings"])
