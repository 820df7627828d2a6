import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from tasks.evaluation.evaluate import evaluate
from tasks.lake.target_spec import TargetSpec
from tests.evaluation.worlds import SPEC, START, frames, run


@pytest.fixture(scope="module")
def many():
    return frames(names=25, dates=120, skill=0.02)


def row(summary, name):
    return next(model for model in summary["models"] if model["name"] == name)


def test_summary_has_the_agreed_sections_and_is_strict_json(few):
    summary = run(*few).summary
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert set(summary) == {
        "network", "verdict", "pays", "capacity", "ic_kind", "span", "power", "models", "horizons",
        "skill", "earned", "paid", "periods", "rule", "costs", "portfolios", "folds", "warnings",
            "significance",
    }  # fmt: skip
    assert summary["horizons"] == []
    assert [p["name"] for p in summary["portfolios"]] == [
        "long_only", "long_short", "forecast_weighted", "equal_weight", "benchmark",
    ]  # fmt: skip
    assert set(summary["portfolios"][0]) == {
        "name", "total_return", "annual_return", "annual_volatility", "sharpe", "sortino",
        "max_drawdown", "turnover", "costs", "hit_rate", "exposure", "net_exposure", "commission",
        "spread", "slippage", "borrow", "interest", "written_off", "unfilled",
    }  # fmt: skip
    assert summary["span"] == {
        "first": START.isoformat(),
        "last": (START + timedelta(days=239)).isoformat(),
        "dates": 240,
        "rows": 1200,
        "symbols": 5,
        "folds": 3,
    }


def test_model_scores_are_those_of_a_naive_loop(few):
    predictions, *_ = few
    found = row(run(*few).summary, "gru")
    rows = predictions.filter(pl.col("model") == "gru")
    ts, rank_ts = [], []
    for _, symbol in rows.group_by("symbol"):
        ts.append(pearsonr(symbol["mean"], symbol["target"]).statistic)
        rank_ts.append(spearmanr(symbol["mean"], symbol["target"]).statistic)
    error, target = rows["target"] - rows["mean"], rows["target"]
    losses = [
        max(level * (t - q), (level - 1) * (t - q))
        for column, level in (
            ("q05", 0.05),
            ("q25", 0.25),
            ("q50", 0.5),
            ("q75", 0.75),
            ("q95", 0.95),
        )
        for q, t in zip(rows[column], target, strict=True)
    ]
    inside = (rows["q05"] <= target) & (target <= rows["q95"])
    expected = {
        "ic": np.mean(ts),
        "rank_ic": np.mean(rank_ts),
        "mse_ratio": (error**2).sum() / (target**2).sum(),
        "mae_ratio": error.abs().sum() / target.abs().sum(),
        "directional_accuracy": (rows["mean"] * target > 0).mean(),
        "coverage_90": inside.mean(),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-9), name
        assert found[name]["low"] < value < found[name]["high"], name
    assert found["pinball"]["value"] == pytest.approx(np.mean(losses), rel=1e-9)
    assert found["pinball"]["low"] < np.mean(losses) < found["pinball"]["high"]


def test_twenty_names_a_date_give_an_ic_across_symbols(many):
    predictions, *_ = many
    result = run(*many)
    assert result.summary["ic_kind"] == "ic"
    by_date = {
        day: pearsonr(rows["mean"], rows["target"]).statistic
        for (day,), rows in predictions.filter(pl.col("model") == "gru").group_by("date")
    }
    daily = result.daily.filter(pl.col("model") == "gru")
    np.testing.assert_allclose(daily["ic"], [by_date[day] for day in daily["date"]], rtol=1e-9)
    assert row(result.summary, "gru")["ic"]["value"] == pytest.approx(np.mean([*by_date.values()]))


@pytest.mark.parametrize("world", ["few", "many"])
def test_the_verdict_and_every_ic_shown_come_from_one_kind_of_bound(world, request):
    summary = run(*request.getfixturevalue(world)).summary
    ic = row(summary, "gru")["ic"]
    assert summary["verdict"]["ic_low"] == ic["low"]
    skill = summary["skill"]
    shown = [ic, row(summary, "gru")["rank_ic"]]
    shown += [part["ic"] for part in (*summary["folds"], *skill["slices"], *skill["decay"])]
    for found in shown:
        # Percentiles would lie unevenly about the value.
        assert found["high"] - found["value"] == pytest.approx(found["value"] - found["low"])


def test_below_twenty_names_the_daily_ic_is_null(few):
    result = run(*few)
    assert result.summary["ic_kind"] == "ts_ic"
    assert result.daily["ic"].null_count() == result.daily.height
    assert result.daily["rank_ic"].null_count() == result.daily.height
    assert result.daily["squared_error"].is_finite().all()


def test_thin_dates_have_no_ic_and_are_counted(many):
    predictions, panel, benchmark = many
    thin = (pl.col("date") == START) & (pl.col("symbol") > "S010")
    result = run(predictions.filter(~thin), panel, benchmark)
    first = result.daily.filter(pl.col("date") == START)
    assert first["ic"].null_count() == first.height
    assert any(w.startswith("1 dates with fewer than 20") for w in result.summary["warnings"])


def test_a_planted_signal_is_an_edge_and_inverted_it_is_worse_than_zero():
    predictions, panel, benchmark = frames(names=5, dates=240, skill=0.05)
    assert run(predictions, panel, benchmark).summary["verdict"]["label"] == "edge"
    inverted = predictions.with_columns(-pl.col("score", "mean"))
    assert run(inverted, panel, benchmark).summary["verdict"]["label"] == "worse than zero"


@pytest.mark.parametrize("names", [5, 25])
def test_an_ic_above_a_tenth_is_a_suspected_leak(names):
    # The correlation is skill x 0.02 / sqrt((skill x 0.02)² + 0.001²), here 0.2.
    leaking = run(*frames(names=names, dates=240, skill=0.0102)).summary
    assert 0.10 < row(leaking, "gru")["ic"]["value"] < 0.30
    assert row(leaking, "gru")["suspected_leak"] is True
    assert row(leaking, "zero")["suspected_leak"] is False
    assert any(w.startswith("Suspected leak: gru") for w in leaking["warnings"])
    honest = run(*frames(names=names, dates=240, skill=0.0)).summary
    assert row(honest, "gru")["suspected_leak"] is False
    assert not any("leak" in w for w in honest["warnings"])


@pytest.mark.parametrize("world", ["few", "many"])
def test_a_further_horizon_has_a_row_of_its_own_and_decides_nothing(world, request):
    predictions, *market = request.getfixturevalue(world)
    own = predictions.filter(pl.col("model") == "gru")
    # One further horizon that is the main one again, one with less skill and labels missing.
    worse = own.with_columns(
        score=-pl.col("score"),
        target=pl.when(pl.int_range(pl.len()) % 9 > 0).then("target").otherwise(np.nan),
    )
    spec = TargetSpec(also=(2, 5))
    further = {2: own, 5: worse}
    found = evaluate(predictions, *market, spec, SPEC, "gru", further=further).summary
    plain = run(predictions, *market).summary
    changed = ("horizons", "warnings")
    assert {k: found[k] for k in plain if k not in changed} == {
        k: plain[k] for k in plain if k not in changed
    }
    same, other = found["horizons"]
    assert list(same) == ["horizon", "name", "ic", "rank_ic", "coverage_90", "suspected_leak"]
    assert [(r["horizon"], r["name"]) for r in (same, other)] == [
        (2, "gru over 2 sessions"), (5, "gru over 5 sessions"),
    ]  # fmt: skip
    main = row(plain, "gru")
    for key in ("ic", "rank_ic", "coverage_90"):
        assert same[key]["value"] == main[key]["value"]
    assert other["ic"]["value"] < 0 < main["ic"]["value"]
    assert other["ic"]["low"] < other["ic"]["value"] < other["ic"]["high"]


def test_a_suspected_leak_at_a_further_horizon_is_said():
    predictions, *market = frames(names=5, dates=240, skill=0.0)
    leaking, *_ = frames(names=5, dates=240, skill=0.0102)
    further = {5: leaking.filter(pl.col("model") == "gru")}
    target = TargetSpec(also=(5,))
    summary = evaluate(predictions, *market, target, SPEC, "gru", further=further).summary
    assert summary["horizons"][0]["suspected_leak"] is True
    assert any(w.startswith("Suspected leak: gru over 5 sessions") for w in summary["warnings"])


@pytest.mark.parametrize("world", ["few", "many"])
def test_constant_forecasts_have_no_ic(world, request):
    summary = run(*request.getfixturevalue(world)).summary
    zero = row(summary, "zero")
    nothing = {"value": None, "low": None, "high": None}
    assert zero["ic"] == zero["rank_ic"] == zero["directional_accuracy"] == nothing
    assert zero["mse_ratio"] == zero["mae_ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert zero["coverage_90"] is None
    assert zero["pinball"] is None


def test_a_network_that_forecasts_zero_has_no_edge(few):
    predictions, panel, benchmark = few
    nought = predictions.with_columns(score=pl.lit(0.0), mean=pl.lit(0.0))
    summary = run(nought, panel, benchmark).summary
    assert summary["verdict"]["label"] == "no edge"
    assert summary["verdict"]["dm_statistic"] is None
    assert summary["power"]["detectable_ic"] is None
    json.dumps(summary, allow_nan=False)


def test_folds_are_judged_on_their_own_dates(few):
    predictions, *_ = few
    found = run(*few).summary["folds"]
    assert [fold["fold"] for fold in found] == [0, 1, 2]
    for fold in found:
        mine = predictions.filter((pl.col("model") == "gru") & (pl.col("fold") == fold["fold"]))
        ic = [pearsonr(s["mean"], s["target"]).statistic for _, s in mine.group_by("symbol")]
        assert fold["ic"]["low"] < fold["ic"]["value"] < fold["ic"]["high"]
        assert fold["ic"]["value"] == pytest.approx(np.mean(ic), rel=1e-9)
        error = ((mine["target"] - mine["mean"]) ** 2).sum()
        naive = (mine["target"] ** 2).sum()
        assert fold["mse_ratio"]["value"] == pytest.approx(error / naive, rel=1e-9)
        assert fold["dates"] == mine["date"].n_unique()
        assert (fold["first"], fold["last"]) == (str(mine["date"].min()), str(mine["date"].max()))


def test_the_same_seed_gives_the_same_evaluation_whatever_the_order_of_rows(few):
    predictions, panel, benchmark = few
    first = run(*few)
    again = run(predictions.sample(fraction=1, shuffle=True, seed=1), panel, benchmark)
    assert {**first.summary, "models": []} == {**again.summary, "models": []}
    assert row(first.summary, "gru") == row(again.summary, "gru")
    assert first.equity.equals(again.equity)


def test_another_seed_moves_the_intervals_and_not_the_values(few):
    first, other = (
        row(run(*few, spec=SPEC.model_copy(update={"seed": seed})).summary, "gru")["ic"]
        for seed in (0, 1)
    )
    assert first["value"] == other["value"]
    assert first["low"] != other["low"]


def test_few_separate_labels_are_named():
    warned = run(*frames(names=5, dates=240, skill=0.0, horizon=5), horizon=5).summary["warnings"]
    assert any(w.startswith("Only 48 labels") for w in warned)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("open_to_open", None),
        ("close_to_close", "Labels begin at the close of t, at which nobody can trade any more"),
        ("triple_barrier", "Labels end at the first barrier touched; the portfolios know no"),
    ],
)
def test_where_a_portfolio_does_not_earn_what_was_forecast_a_warning_says_so(few, kind, said):
    warnings = run(*few, kind=kind).summary["warnings"]
    assert [w[: len(said or "")] for w in warnings if w.startswith("Labels ")] == [said] * bool(
        said
    )
    assert [w for w in warnings if not w.startswith("Labels ")] == run(*few).summary["warnings"]


def test_targets_in_another_unit_are_judged_alike(few):
    # A rank has no scale of its own: all that is judged is a ratio or a correlation.
    predictions, panel, benchmark = few
    columns = ("score", "mean", "target", "q05", "q25", "q50", "q75", "q95")
    larger = predictions.with_columns(pl.col(columns) * 8)
    plain = run(*few).summary
    other = run(larger, panel, benchmark, form="rank").summary
    assert other["verdict"]["label"] == plain["verdict"]["label"]
    for mine, theirs in zip(other["models"], plain["models"], strict=True):
        for name in ("ic", "rank_ic", "mse_ratio", "mae_ratio", "directional_accuracy"):
            assert mine[name] == theirs[name], name
    losses = (row(summary, "gru")["pinball"] for summary in (other, plain))
    for large, small in zip(*(loss.values() for loss in losses), strict=True):
        assert large == pytest.approx(8 * small)
    assert other["portfolios"] == plain["portfolios"]


def without_mean(predictions, *more):
    mine = pl.col("role") == "network"
    return predictions.with_columns(pl.when(~mine).then(c).alias(c) for c in ("mean", *more))


def test_a_head_of_quantiles_has_no_errors_and_is_judged_by_ic_coverage_and_pinball(few):
    predictions, panel, benchmark = few
    plain = run(*few).summary
    summary = run(without_mean(predictions), panel, benchmark).summary
    found, before = row(summary, "gru"), row(plain, "gru")
    nothing = {"value": None, "low": None, "high": None}
    assert found["mse_ratio"] == found["mae_ratio"] == nothing
    for kept in ("ic", "rank_ic", "directional_accuracy", "coverage_90", "pinball"):
        assert found[kept] == before[kept], kept
    assert summary["verdict"]["sentence"].startswith("Edge, by the time-series IC alone")
    assert summary["verdict"]["dm_statistic"] is None
    assert summary["portfolios"] == plain["portfolios"]
    compared = {"network_better": None, "set_p": None}
    assert row(summary, "historical_mean") == row(plain, "historical_mean") | compared
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("world", ["few", "many"])
def test_a_rank_head_is_judged_and_traded_by_scores_whose_level_and_sign_mean_nothing(
    world, request
):
    predictions, panel, benchmark = request.getfixturevalue(world)
    bands = ("q05", "q25", "q50", "q75", "q95")
    mine = pl.col("role") == "network"
    bare = without_mean(predictions, *bands)
    moved = bare.with_columns(pl.when(mine).then(pl.col("score") * 3 + 9).otherwise("score"))
    plain, other = (
        evaluate(p, panel, benchmark, TargetSpec(), SPEC, "gru", "rank").summary
        for p in (bare, moved)
    )
    assert row(other, "gru")["directional_accuracy"]["value"] is None
    assert row(other, "zero") == row(plain, "zero")
    assert other["verdict"]["label"] == plain["verdict"]["label"]
    assert row(other, "gru")["ic"]["value"] == pytest.approx(row(plain, "gru")["ic"]["value"])
    assert row(other, "gru")["coverage_90"] is None
    for before, after in zip(plain["portfolios"], other["portfolios"], strict=True):
        if before.pop("name") != "forecast_weighted":
            assert after | {"name": None} == before | {"name": None}
            continue
        after.pop("name")
        # Weights in proportion to the score less its mean are the same but for rounding.
        assert after.pop("sharpe")["value"] == pytest.approx(before.pop("sharpe")["value"])
        assert after == pytest.approx(before, rel=1e-6, abs=1e-6)


def test_a_planted_order_is_an_edge_by_the_ic_alone_and_inverted_it_is_worse():
    predictions, panel, benchmark = frames(names=25, dates=240, skill=0.05)
    bare = without_mean(predictions)
    assert run(bare, panel, benchmark).summary["verdict"]["label"] == "edge"
    inverted = run(bare.with_columns(-pl.col("score")), panel, benchmark).summary
    assert inverted["verdict"]["label"] == "worse than zero"
