"""A fund as benchmark, whole: its own split and dividends are in all that is compared with it."""

import json
import re
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from flows.certificate.trained import World
from flows.certificate.training import replaced_after
from models.bundle import load_bundle
from tasks.lake.artifacts import Artifact
from tasks.lake.factors import index_prices
from tests.flows.tiny import DAYS, TRAINED_TO, random_walks, run, write_world
from tests.lake.frames import actions, bars, weekdays

SPLIT, PAID = DAYS[-60], (DAYS[-90], DAYS[-40])
OVERRIDES = ("provider.benchmark=SPY", "target.excess='benchmark'")


def fund():
    """Bars as traded: 200 before the split, 100 after it; two dividends of 3."""
    one = random_walks().filter(symbol="AAA").with_columns(pl.lit("SPY").alias("symbol"))
    halved = pl.when(pl.col("date") >= SPLIT).then(0.5).otherwise(1.0)
    return one.with_columns(
        *(pl.col(name) * 2 * halved for name in ("open", "high", "low", "close")),
        split=pl.when(pl.col("date") == SPLIT).then(2.0),
        dividend=pl.when(pl.col("date").is_in(PAID)).then(3.0),
    )


def wealth(rows, price):
    """What one share bought on the first day is worth, share by share."""
    shares, before, worth = 1.0, None, {}
    for row in rows.sort("date").iter_rows(named=True):
        shares *= row["split"] or 1.0
        if row["dividend"]:
            shares *= before / (before - row["dividend"])
        before = row["close"]
        worth[row["date"]] = shares * row[price]
    return worth


@pytest.fixture(scope="module")
def trained_on_a_fund(prefect_api, tmp_path_factory):
    market = pl.concat([random_walks(), fund()], how="diagonal")
    config = write_world(tmp_path_factory.mktemp("fund"), market)
    root = tmp_path_factory.mktemp("fund-root")
    made = run("train", root, config, TRAINED_TO, overrides=OVERRIDES)
    assert made.state.is_completed(), made.state.message
    (bundle,) = [load_bundle(path) for path in (root / "artifacts" / "bundle").iterdir()]
    evaluation = Artifact.model_validate(bundle.manifest["evaluation"])
    (page,) = (root / "reports").iterdir()
    return root, bundle, evaluation, page.read_text()


def test_the_benchmark_keeps_its_holders_wealth_over_split_and_dividends(trained_on_a_fund):
    root, _, evaluation, _ = trained_on_a_fund
    held = evaluation.frame(root, "equity.parquet").filter(portfolio="benchmark").sort("date")
    worth = wealth(fund(), "close")
    # The first session buys; from then on what is held earns what a share does.
    grown = held["positions"].to_numpy()[2:] / held["positions"].to_numpy()[1:-1]
    days = held["date"].to_list()
    expected = [worth[now] / worth[then] for then, now in pairwise(days[1:])]
    assert {SPLIT, *PAID} < set(days)
    np.testing.assert_allclose(grown, expected, rtol=1e-9)


def test_a_target_over_the_benchmark_is_over_all_that_it_paid(trained_on_a_fund):
    root, *_ = trained_on_a_fund
    (features,) = (root / "artifacts" / "features").iterdir()
    frame = pl.read_parquet(features / "frame.parquet")
    own, index = wealth(fund(), "open"), {}
    for symbol in ("BBB", "CCC"):
        rows = random_walks().filter(symbol=symbol)
        index[symbol] = dict(rows.select("date", "open").iter_rows())
    for symbol, day in (("BBB", SPLIT), ("CCC", PAID[0]), ("BBB", PAID[1]), ("CCC", DAYS[-80])):
        # The label of the close before begins at the open before the action, and ends on its day.
        place = DAYS.index(day)
        close, opened = DAYS[place - 2], DAYS[place - 1]
        stock = np.log(index[symbol][day] / index[symbol][opened])
        fund_earned = np.log(own[day] / own[opened])
        found = frame.filter(symbol=symbol, date=close)["target"].item()
        assert found == pytest.approx(stock - fund_earned, rel=1e-9)


def test_certificate_card_and_report_know_the_fund(trained_on_a_fund):
    _, bundle, _, page = trained_on_a_fund
    assert bundle.manifest["certificate"]["holds"]
    told = "SPY, bought once at the same commission and spread, then held; 2 dividends reinvested"
    assert told in bundle.card
    assert page.count(told) >= 3
    assert "price index" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    facts = page[page.index('id="facts"') :]
    for name in ("Portfolio rule", "Costs", "Filters and limits", "Riskless rate", "Benchmark"):
        assert f'<th scope="row">{name}</th>' in facts
    assert json.dumps(bundle.manifest["tables"]).count('"actions"') == 1


def test_what_the_certificate_replaces_splits_the_benchmark_after_the_fold_alone():
    days = weekdays(6)
    index = bars([("SPY", day, 100.0) for day in days])
    world = World(bars([("A", day, 50.0) for day in days]), actions([]), index)
    other = replaced_after(world, days[2], seed=0)
    later = other.actions.filter(symbol="SPY")
    assert later.select("date", "kind", "value").rows() == [(days[3], "split", 3.0)]
    before, after = (index_prices(w.index, w.actions) for w in (world, other))
    assert before.head(3).equals(after.head(3))
    assert (before["close"] != after["close"]).to_list() == [False] * 3 + [True] * 3
