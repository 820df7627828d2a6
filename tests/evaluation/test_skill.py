"""Skill beside IC and errors: steadiness, fifths, decay, intervals, slices."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr

from tasks.evaluation.skill import SCORES
from tasks.evaluation.skill.decay import HORIZONS
from tasks.evaluation.skill.slices import REGIMES, market_volatility, slices
from tasks.evaluation.skill.spreads import fifth_means
from tests.evaluation.worlds import START, frames, run


@pytest.fixture(scope="module")
def many():
    return frames(names=25, dates=120, skill=0.02)


@pytest.fixture(scope="module")
def found(many):
    return run(*many).summary["skill"]


def own(predictions):
    return predictions.filter(pl.col("model") == "gru").sort("date", "symbol")


def test_every_model_has_every_score(found):
    assert [column["name"] for column in found["columns"]] == list(SCORES)
    assert set(found["models"]) == {"gru", "historical_mean", "zero"}
    assert all(set(row) == set(SCORES) for row in found["models"].values())
    assert found["models"]["zero"]["width_90"] is None
    assert found["models"]["gru"]["width_90"] is not None


def test_icir_is_the_mean_ic_over_its_deviation(many, found):
    each = [
        pearsonr(rows["mean"], rows["target"]).statistic
        for _, rows in own(many[0]).group_by("date")
    ]
    icir = found["models"]["gru"]["icir"]
    assert icir["value"] == pytest.approx(np.mean(each) / np.std(each, ddof=1), rel=1e-9)
    assert icir["low"] < icir["value"] < icir["high"]


def test_without_an_ic_a_date_there_is_no_icir(few):
    nothing = {"value": None, "low": None, "high": None}
    assert run(*few).summary["skill"]["models"]["gru"]["icir"] == nothing


def test_fifths_and_their_spread_are_those_of_a_plain_loop(many, found):
    by_fifth = [[] for _ in range(5)]
    for _, rows in own(many[0]).group_by("date"):
        ordered = rows.sort("score")["target"].to_list()
        for n in range(5):
            by_fifth[n].append(np.mean(ordered[5 * n : 5 * n + 5]))
    for row, expected in zip(found["fifths"], by_fifth, strict=True):
        assert row["target"]["value"] == pytest.approx(np.mean(expected), rel=1e-9)
    spread = np.mean(by_fifth[4]) - np.mean(by_fifth[0])
    assert found["models"]["gru"]["fifth_spread"]["value"] == pytest.approx(spread, rel=1e-9)


def test_fifths_by_hand():
    # Seven names: fifths of 2, 1, 2, 1 and 1.
    score = np.array([[7.0, 1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1, 1], [1, 2, 3, 4, np.nan, 5, 6]])
    target = np.array([[70.0, 10, 20, 30, 40, 50, 60], [1, 2, 3, 4, 5, 6, 7], [9.0] * 7])
    target[2, [0, 1]] = np.nan
    means = fifth_means(score, target)
    np.testing.assert_allclose(means[:, 0], [15, 30, 45, 60, 70])
    assert np.isnan(means[:, 1]).all(), "scores that are all alike order nothing"
    assert np.isnan(means[:, 2]).all(), "four names are no five fifths"


def test_width_and_coverage_are_those_of_the_rows(many, found):
    rows = own(many[0])
    scores = found["models"]["gru"]
    assert scores["width_90"]["value"] == pytest.approx((rows["q95"] - rows["q05"]).mean())
    inside = rows["target"].is_between(rows["q25"], rows["q75"]).mean()
    assert scores["coverage_50"]["value"] == pytest.approx(inside)
    assert [row["level"] for row in found["calibration"]] == [0.05, 0.25, 0.5, 0.75, 0.95]
    for row, name in zip(found["calibration"], ("q05", "q25", "q50", "q75", "q95"), strict=True):
        expected = (rows["target"] <= rows[name]).mean()
        assert row["below"]["value"] == pytest.approx(expected), name


def test_a_head_without_quantiles_has_no_calibration(many):
    predictions, panel, benchmark = many
    bare = predictions.with_columns(
        pl.lit(None, pl.Float64).alias(q) for q in ("q05", "q25", "q50", "q75", "q95")
    )
    skill = run(bare, panel, benchmark).summary["skill"]
    assert skill["calibration"] == []
    assert skill["models"]["gru"]["width_90"] is None


def test_decay_begins_with_the_ic_of_the_target_itself(many, found):
    assert [row["horizon"] for row in found["decay"]] == list(HORIZONS)
    ic = next(m for m in run(*many).summary["models"] if m["name"] == "gru")["ic"]
    assert found["decay"][0]["ic"]["value"] == pytest.approx(ic["value"], rel=1e-9)


def test_decay_over_three_sessions_is_that_of_a_plain_loop(many, found):
    predictions, panel, _ = many
    opens = {(s, d): o for s, d, o in panel.select("symbol", "date", "open").iter_rows()}
    each = []
    for (day,), rows in own(predictions).group_by("date"):
        pairs = [
            (score, np.log(last / first))
            for symbol, score in rows.select("symbol", "score").iter_rows()
            for first in [opens.get((symbol, day + timedelta(days=1)))]
            for last in [opens.get((symbol, day + timedelta(days=4)))]
            if first and last
        ]
        if pairs:
            each.append(pearsonr(*zip(*pairs, strict=True)).statistic)
    row = next(row for row in found["decay"] if row["horizon"] == 3)
    assert row["ic"]["value"] == pytest.approx(np.mean(each), rel=1e-9)
    assert row["dates"] == len(each) == 118


def test_a_signal_of_one_session_fades_over_longer_horizons():
    decay = run(*frames(names=25, dates=200, skill=0.2)).summary["skill"]["decay"]
    values = [row["ic"]["value"] for row in decay]
    assert values[0] > 0.9
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.4


def test_market_volatility_sees_nothing_after_its_date():
    rng = np.random.default_rng(1)
    days = pl.Series([START + timedelta(days=n) for n in range(60)])
    closes = np.exp(np.cumsum(rng.normal(0, 0.01, (2, 60)), axis=1))
    panel = pl.DataFrame(
        {"symbol": np.repeat(["A", "B"], 60), "date": pl.concat([days, days]),
         "close": closes.ravel()}
    )  # fmt: skip
    before = market_volatility(panel, days)
    moved = np.diff(np.log(closes), axis=1).mean(axis=0)
    assert np.isnan(before[:10]).all()
    assert before[40] == pytest.approx(moved[20:40].std(ddof=1))
    nonsense = panel.with_columns(
        close=pl.when(pl.col("date") > days[40]).then(1e9).otherwise("close")
    )
    np.testing.assert_array_equal(market_volatility(nonsense, days)[:41], before[:41])


def test_slices_are_the_years_and_the_thirds_and_short_ones_are_left_out():
    dates = pl.Series([date(2010, 12, 22) + timedelta(days=n) for n in range(90)])
    volatility = np.where(np.arange(90) < 9, np.nan, np.arange(90) / 90)
    made = {(kind, name): mine for kind, name, mine in slices(dates, volatility)}
    assert set(made) == {("year", "2011"), *(("volatility", r) for r in REGIMES)}
    assert made["year", "2011"].tolist() == [day.year == 2011 for day in dates]
    thirds = [made["volatility", regime] for regime in REGIMES]
    assert [third.sum() for third in thirds] == [27, 27, 27]
    assert np.flatnonzero(thirds[2]).tolist() == list(range(63, 90))


def test_a_slice_is_scored_on_its_own_dates(many, found):
    rows = {row["name"]: row for row in found["slices"]}
    year = rows["2010"]
    assert year["dates"] == 120
    ic = next(m for m in run(*many).summary["models"] if m["name"] == "gru")["ic"]
    assert year["ic"] == ic, "all dates are of one year"
    panel = many[1]
    dates = own(many[0])["date"].unique().sort()
    volatility = market_volatility(panel, dates)
    rough = dates.filter(pl.Series(volatility > np.nanquantile(volatility, 2 / 3)))
    each = [
        pearsonr(r["mean"], r["target"]).statistic
        for _, r in own(many[0]).filter(pl.col("date").is_in(rough.implode())).group_by("date")
    ]
    assert rows["rough"]["dates"] == len(each)
    assert rows["rough"]["ic"]["value"] == pytest.approx(np.mean(each), rel=1e-9)
