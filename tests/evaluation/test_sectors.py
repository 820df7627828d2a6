"""Skill and gains by sector, held against plain loops, and what they add up to."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from tasks.evaluation.aligned import traded_market
from tasks.evaluation.earned.sectors import contributions, earned_by_sector, last_prices, name_gains
from tasks.evaluation.evaluate import evaluate
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.portfolio import Market, simulate
from tasks.evaluation.sectors import Sectors, sector_grid
from tasks.evaluation.significance import resample
from tasks.evaluation.spec import EvaluationSpec
from tasks.lake.membership import SPELL_COLUMNS
from tasks.lake.target_spec import TargetSpec
from tests.evaluation.test_portfolio import FREE, MARKETS, random_case
from tests.evaluation.worlds import START, frames

SPEC = EvaluationSpec(bootstrap_samples=200, min_names_for_ic=8)
MOVED = START + timedelta(days=60)


def spells_of(*rows):
    return pl.DataFrame(rows, schema=SPELL_COLUMNS, orient="row")


# Nine Banks and nine names in Energy, of which S017 becomes a bank; four Miners; three unknown.
SPELLS = spells_of(
    *((f"S{n:03d}", None, None, "XNYS", "Banks" if n < 9 else "Energy") for n in range(17)),
    ("S017", None, MOVED - timedelta(days=1), "XNYS", "Energy"),
    ("S017", MOVED, None, "XNYS", "Banks"),
    *((f"S{n:03d}", None, None, "XNYS", "Mining") for n in range(18, 22)),
    *((f"S{n:03d}", None, None, "XNYS", None) for n in range(22, 24)),
)


def sector_of(symbol, day):
    number = int(symbol[1:])
    if number == 17:
        return "Banks" if day >= MOVED else "Energy"
    return "Banks" if number < 9 else "Energy" if number < 17 else "Mining" if number < 22 else None


@pytest.fixture(scope="module")
def world():
    return frames(names=25, dates=120, skill=0.02)


@pytest.fixture(scope="module")
def found(world):
    return evaluate(*world, TargetSpec(), SPEC, "gru", spells=SPELLS).summary


def by_sector(rows):
    return {row["name"]: row for row in rows}


def own_cells(world, sector):
    """Date, score and target of the network's forecasts in a sector, cell by cell."""
    rows = world[0].filter(pl.col("model") == "gru").sort("date", "symbol")
    return [
        (day, score, target)
        for symbol, day, score, target in rows.select(
            "symbol", "date", "score", "target"
        ).iter_rows()
        if sector_of(symbol, day) == sector
    ]


@pytest.mark.parametrize("sector", ["Banks", "Energy"])
def test_scores_within_a_sector_are_those_of_a_loop_over_its_names_of_the_day(world, found, sector):
    row = by_sector(found["skill"]["sectors"])[sector]
    cells = own_cells(world, sector)
    dates = {}
    for day, score, target in cells:
        dates.setdefault(day, []).append((score, target))
    pairs = [np.array(day) for day in dates.values()]
    assert (row["dates"], row["forecasts"], row["lacks"]) == (120, len(cells), None)
    assert row["ic"]["value"] == pytest.approx(
        np.mean([pearsonr(*p.T).statistic for p in pairs]), rel=1e-9
    )
    assert row["rank_ic"]["value"] == pytest.approx(
        np.mean([spearmanr(*p.T).statistic for p in pairs]), rel=1e-9
    )
    errors = np.mean([((p[:, 1] - p[:, 0]) ** 2).mean() for p in pairs])
    nothing = np.mean([(p[:, 1] ** 2).mean() for p in pairs])
    assert row["mse_ratio"]["value"] == pytest.approx(errors / nothing, rel=1e-9)
    hits = np.mean([(p[:, 0] * p[:, 1] > 0).mean() for p in pairs])
    assert row["directional_accuracy"]["value"] == pytest.approx(hits, rel=1e-9)
    for name in ("ic", "rank_ic", "mse_ratio", "directional_accuracy"):
        assert row[name]["low"] < row[name]["value"] < row[name]["high"]


def test_a_sector_with_too_few_names_has_no_ic_and_says_so(world, found):
    rows = by_sector(found["skill"]["sectors"])
    assert list(rows) == ["Banks", "Energy", "Mining", None]
    for name, names in (("Mining", 4), (None, 3)):
        row = rows[name]
        assert (row["lacks"], row["names"], row["dates"]) == ("names", names, 120)
        assert row["ic"] is row["rank_ic"] is None
        assert row["forecasts"] == len(own_cells(world, name)) == 120 * names
        assert row["mse_ratio"]["value"] > 0
        assert 0 < row["directional_accuracy"]["value"] < 1


def test_a_sector_of_few_dates_has_its_counts_alone(world):
    late = START + timedelta(days=110)
    spells = SPELLS.filter(pl.col("symbol") != "S000").vstack(
        spells_of(
            ("S000", None, late - timedelta(days=1), "XNYS", "Banks"),
            ("S000", late, None, "XNYS", "Crypto"),
        )
    )
    summary = evaluate(*world, TargetSpec(), SPEC, "gru", spells=spells).summary
    row = by_sector(summary["skill"]["sectors"])["Crypto"]
    assert (row["dates"], row["forecasts"], row["lacks"]) == (10, 10, "dates")
    assert row["mse_ratio"] is row["directional_accuracy"] is row["ic"] is None


def test_without_a_named_sector_there_are_no_rows(world):
    unnamed = SPELLS.with_columns(sector=pl.lit(None, pl.String))
    for spells in (None, unnamed):
        summary = evaluate(*world, TargetSpec(), SPEC, "gru", spells=spells).summary
        assert summary["skill"]["sectors"] is summary["earned"]["sectors"] is None


def test_too_few_names_over_all_leave_the_ts_ic_within_a_sector(few):
    spells = spells_of(("S000", None, None, "XNYS", "Banks"), ("S001", None, None, "XNYS", "Banks"))
    summary = evaluate(*few, TargetSpec(), SPEC, "gru", spells=spells).summary
    row = by_sector(summary["skill"]["sectors"])["Banks"]
    rows = few[0].filter(pl.col("model") == "gru").sort("date")
    each = [
        pearsonr(r["score"], r["target"]).statistic
        for symbol in ("S000", "S001")
        for r in [rows.filter(pl.col("symbol") == symbol)]
    ]
    assert row["lacks"] is None
    assert row["ic"]["value"] == pytest.approx(np.mean(each), rel=1e-9)


def test_the_sector_of_a_date_without_a_bar_is_that_of_the_membership():
    days = pl.Series([START + timedelta(days=n) for n in range(120)])
    grid = sector_grid(SPELLS, days, ["S000", "S017", "S018", "S024"])
    assert grid.names == ("Banks", "Energy", "Mining")
    assert grid.codes[59].tolist() == [0, 1, 2, -1]
    assert grid.codes[60].tolist() == [0, 0, 2, -1]
    panel, rows = days.to_frame("date"), pl.DataFrame({"symbol": ["S000"], "score": [1.0]})
    one = dict.fromkeys(("open", "close", "volume", "dividend_factor"), 1.0)
    bars = panel.with_columns(symbol=pl.lit("S000"), **one)
    known = bars.filter(pl.col("date") != days[5])
    other = bars.with_columns(symbol=pl.lit("S018"))
    forecasts = pl.concat([rows.with_columns(date=days[n]) for n in (0, 9)])
    forecasts = pl.concat([forecasts, forecasts.with_columns(symbol=pl.lit("S018"))])
    _, market = traded_market(pl.concat([known, other]), forecasts, 1, SPELLS)
    assert np.isnan(market.close[5, 0])
    assert market.sector[5].tolist() == [0, 1]
    assert market.sector_names == ("Banks", "Mining")


def test_gains_of_sectors_and_interest_add_up_to_the_gain_of_every_portfolio():
    for seed in range(MARKETS):
        signal, market, mode, spec, horizon = random_case(seed)
        market = replace(market, sector_names=("Banks", "Energy"))
        ledger = simulate(signal, market, mode, spec, horizon)
        price = last_prices(market)
        gains = name_gains(ledger, market, price)
        groups = Sectors(market.sector_names, market.sector).groups()
        sums = [gains[cells[1:]].sum() for _, cells in groups]
        whole = ledger.equity[-1] - spec.capital
        assert abs(sum(sums) + ledger.interest.sum() - whole) <= 1e-9 * spec.capital, seed
        paid = ledger.costs + ledger.written_off
        np.testing.assert_allclose(ledger.paid.sum(axis=1), paid, atol=1e-9 * spec.capital)
        added, interest = contributions(ledger, market, price)
        np.testing.assert_allclose(
            added.sum(axis=1) + interest, simple_returns(ledger.equity), atol=1e-9
        )


def test_a_gain_counts_for_the_sector_of_its_session_and_pays_its_own_costs():
    # Two names held in equal parts; the first doubles, then changes its sector and doubles again.
    price = np.array([[10.0, 10], [10, 10], [20, 10], [40, 10], [40, 10]])
    market = Market(
        [START + timedelta(days=n) for n in range(5)], price, price, np.isfinite(price),
        sector=np.array([[0, 1], [0, 1], [0, 1], [1, 1], [1, 1]]), sector_names=("A", "B"),
    )  # fmt: skip
    signal = np.full(price.shape, np.nan)
    signal[0] = 1.0
    spec = FREE.model_copy(update={"capital": 100.0, "commission_bps": 100.0})
    ledger = simulate(signal, market, "equal_weight", spec, 1)
    shares = 50 / 10 / 1.01  # What the commission leaves.
    np.testing.assert_allclose(ledger.paid[1], shares * 10 * 0.01)
    np.testing.assert_allclose(
        name_gains(ledger, market, last_prices(market)),
        [[-shares * 0.1, -shares * 0.1], [10 * shares, 0], [20 * shares, 0], [0, 0]],
        atol=1e-12,
    )
    portfolios = dict.fromkeys(("long_only", "long_short"), ledger)
    drawn = resample(len(market.dates) - 1, 1, SPEC.bootstrap_samples, SPEC.seed)
    rows = earned_by_sector(portfolios, market, drawn, SPEC.confidence)
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("sector", "A"), ("sector", "B"), ("interest", None), ("all", None),
    ]  # fmt: skip
    equity = ledger.equity
    first = (-shares * 0.1 / 100 + 10 * shares / equity[1]) / 4 * 252
    second = (-shares * 0.1 / 100 + 20 * shares / equity[2]) / 4 * 252
    earned = [row["long_only"]["earned"].value for row in rows]
    assert earned == pytest.approx([first, second, 0.0, first + second])
    held = [0, 10 * shares / equity[1], 20 * shares / equity[2], 0, 0]
    assert rows[0]["long_only"]["net"] == pytest.approx(np.mean(held))


def test_rows_of_the_summary_add_up_to_the_mean_return_and_the_exposure(world, found):
    rows = found["earned"]["sectors"]
    table = {row["name"]: row for row in found["portfolios"]}
    assert [row["name"] for row in rows] == ["Banks", "Energy", "Mining", None, None, None]
    for portfolio in ("long_only", "long_short"):
        *parts, whole = (row[portfolio] for row in rows)
        sums = {key: sum(part[key] for part in parts) for key in ("gross", "net")}
        earned = sum(part["earned"]["value"] for part in parts)
        assert earned == pytest.approx(whole["earned"]["value"], abs=1e-9)
        assert whole["gross"] == pytest.approx(sums["gross"]) == table[portfolio]["exposure"]
        assert whole["net"] == pytest.approx(sums["net"])
        assert whole["net"] == pytest.approx(table[portfolio]["net_exposure"], abs=1e-9)
        assert whole["earned"]["low"] < whole["earned"]["value"] < whole["earned"]["high"]
