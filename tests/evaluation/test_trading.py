import math
from datetime import timedelta
from itertools import pairwise
from typing import get_args

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.aligned import traded_market
from tasks.evaluation.portfolio import Market, Mode
from tasks.evaluation.significance import resample
from tasks.evaluation.spec import PortfolioSpec
from tasks.evaluation.trading import money_sections, run_portfolios
from tasks.lake.membership import SPELL_COLUMNS
from tests.evaluation.worlds import SPEC, START, run


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
    assert [p["name"] for p in summary["portfolios"]] == list(get_args(Mode))
    assert "the benchmark" not in summary["pays"]["sentence"]
    assert "equal weight" in summary["pays"]["sentence"]
    assert not any("benchmark" in w for w in summary["warnings"])


def random_orders_among_survivors(seed, names=5, sessions=500):
    """Portfolios of forecasts without skill on names that rose, beside an index that did not."""
    rng = np.random.default_rng(seed)
    shared = 0.008 * rng.standard_normal((sessions, 1))
    own = 0.012 * rng.standard_normal((sessions, names))
    closes = 100 * np.exp(np.cumsum(0.001 + shared + own, axis=0))
    days = [START + timedelta(days=day) for day in range(sessions)]
    market = Market(days, closes, closes, np.ones(closes.shape, dtype=bool))
    level = 100 * np.exp(np.cumsum(shared[:, 0] - 0.0004))
    index = pl.DataFrame({"date": days, "open": level, "close": level})
    signal = rng.standard_normal(closes.shape)
    free = PortfolioSpec(impact=0, max_participation=None, capacity=())
    ledgers = run_portfolios(signal, market, index, free, 5)
    drawn = resample(sessions - 1, 5, SPEC.bootstrap_samples, SPEC.seed)
    return money_sections(ledgers, drawn, SPEC.confidence)["pays"]["sentence"]


def test_random_orders_among_survivors_hardly_ever_pay_however_poor_the_index():
    worlds = 100
    said = [random_orders_among_survivors(seed) for seed in range(worlds)]
    paying = sum(sentence.startswith("Pays") for sentence in said)
    # The 5 % level and two binomial standard errors.
    assert paying <= worlds * (0.05 + 2 * math.sqrt(0.05 * 0.95 / worlds))
    # They do beat the index, and fail against equal weight alone.
    alone = sum(sentence.endswith("not shown to be above equal weight.") for sentence in said)
    assert alone > worlds / 3


def test_a_benchmark_without_bars_in_the_span_is_named(few):
    predictions, panel, index = few
    elsewhere = index.with_columns(pl.col("date").dt.offset_by("-5y"))
    assert any("benchmark" in w for w in run(predictions, panel, elsewhere).summary["warnings"])


def test_exposure_and_the_parts_of_the_costs_are_those_of_the_ledger(few):
    result = run(*few)
    for row in result.summary["portfolios"]:
        equity = result.equity.filter(pl.col("portfolio") == row["name"])
        parts = sum(row[part] for part in ("commission", "spread", "slippage", "borrow"))
        assert parts == pytest.approx(row["costs"])
        assert equity["costs"].sum() == pytest.approx(row["costs"])
        assert equity["exposure"].mean() == pytest.approx(row["exposure"])
        held = (equity["positions"] / equity["equity"]).mean()
        assert held == pytest.approx(row["net_exposure"], abs=1e-12)
    short = next(r for r in result.summary["portfolios"] if r["name"] == "long_short")
    assert abs(short["net_exposure"]) < 0.1 < short["exposure"]
    # An index fund is liquid: its buyer pays commission and spread only.
    bench = next(r for r in result.summary["portfolios"] if r["name"] == "benchmark")
    assert bench["slippage"] == bench["unfilled"] == 0.0 < bench["commission"]


def test_sectors_come_from_the_membership_of_the_day(few):
    predictions, panel, _ = few
    half = START + timedelta(days=100)
    spells = pl.DataFrame(
        [
            ("S000", None, half - timedelta(days=1), "XNYS", "Banks"),
            ("S000", half, None, "XNYS", "Energy"),
            ("S001", None, None, "XNYS", "Energy"),
            ("S002", None, None, "XNYS", None),
        ],
        schema=SPELL_COLUMNS,
        orient="row",
    )
    forecasts = predictions.filter(pl.col("model") == "gru")
    _, market = traded_market(panel, forecasts, 1, spells)
    np.testing.assert_array_equal(market.sector[99], [0, 1, -1, -1, -1])
    np.testing.assert_array_equal(market.sector[100], [1, 1, -1, -1, -1])
    unnamed = spells.with_columns(sector=pl.lit(None, pl.String))
    assert traded_market(panel, forecasts, 1, unnamed)[1].sector is None


def test_volume_and_volatility_are_known_from_bars_before_the_first_forecast(few):
    predictions, panel, _ = few
    later = predictions.filter(pl.col("model") == "gru", pl.col("date") >= panel["date"][100])
    _, market = traded_market(panel, later, 1)
    one = panel.filter(pl.col("symbol") == "S003").sort("date")
    value = (one["close"] * one["volume"]).to_numpy()
    change = np.diff(np.log(one["close"].to_numpy()))
    assert market.dollar_volume[5, 3] == pytest.approx(value[86:106].mean(), rel=1e-12)
    assert market.volatility[5, 3] == pytest.approx(change[45:105].std(ddof=1), rel=1e-9)
    np.testing.assert_array_equal(market.earlier_close[:, 3], one["close"][40:100])


def test_more_capital_slips_more_fills_less_and_earns_less(few):
    made = run(*few).summary["capacity"]
    assert [row["capital"] for row in made["rows"]] == list(PortfolioSpec().capacity)
    for less, more in pairwise(made["rows"]):
        # What is ordered follows from the equity, which slippage has moved.
        assert more["filled"]["value"] <= less["filled"]["value"] + 1e-4
        assert more["exposure"]["value"] <= less["exposure"]["value"] + 1e-9
        assert more["annual_return"] < less["annual_return"]
    for row in made["rows"][:-1]:
        for figure in ("sharpe", "slippage", "exposure", "filled"):
            assert row[figure]["low"] < row[figure]["value"] < row[figure]["high"], figure
    # A fund of 10 billion cannot trade names of 100 million a session: what is cut is the rest.
    assert made["rows"][0]["filled"]["value"] > 0.9 > 0.1 > made["rows"][-1]["filled"]["value"]
    assert "Sharpe ratio" in made["sentence"]
    plain = SPEC.model_copy(update={"portfolio": PortfolioSpec(capacity=())})
    assert run(*few, spec=plain).summary["capacity"] is None


def test_costs_are_paid_by_their_multiple_and_what_they_leave_is_told(few):
    summary = run(*few).summary
    rows = {row["multiple"]: row for row in summary["costs"]["rows"]}
    assert rows[0.0]["paid"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    # The dearer the trade, the less there is left to trade.
    once, twice = (rows[multiple]["paid"]["value"] for multiple in (1.0, 2.0))
    assert once < twice < 2 * once
    assert rows[1.0]["sharpe"] == summary["pays"]["net_sharpe"]
    ratios = [row["sharpe"]["value"] for row in rows.values()]
    assert ratios == sorted(ratios, reverse=True)
    free = SPEC.model_copy(
        update={"portfolio": PortfolioSpec(commission_bps=0, spread_bps=0, impact=0)}
    )
    assert rows[0.0]["sharpe"] == run(*few, spec=free).summary["pays"]["net_sharpe"]
    assert f"twice as much {ratios[3]:.2f}" in summary["costs"]["sentence"]
