"""The benchmarks that take a file of bars, on a small one; nothing here asserts a time."""

from argparse import Namespace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import matthews_corrcoef

from tests.benchmarks.acl18_stages import error_over_days, matthews
from tests.benchmarks.acl18_stages import read as read_moves
from tests.benchmarks.bars_file import read_adjusted, run_lengths
from tests.benchmarks.children import run_benchmark
from tests.benchmarks.daily_scores import daily_ics, mean_interval, paired
from tests.benchmarks.random_walks import names, walks
from tests.benchmarks.scores_table import score_lines
from tests.benchmarks.trivial import portfolios, scores, signals


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Six random walks over 700 days, each with a split of 2:1 on the 100th."""
    symbols, days = 6, 700
    bars = walks(symbols, days)
    factor = np.where(np.arange(days) < 100, 2.0, 1.0)
    frame = pl.DataFrame(
        {
            "symbol": np.repeat(names(symbols), days),
            "date": DATES * symbols,
            **{name: (bars[name] * factor).ravel() for name in ("open", "high", "low", "close")},
            "adj_close": bars["close"].ravel(),
            "volume": (bars["volume"] / factor).ravel(),
        }
    )
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    frame.write_parquet(path)
    return path


DATES = [date(2000, 1, 3) + timedelta(days=number) for number in range(700)]


def day(number):
    return str(DATES[number])


def test_bars_are_adjusted_by_adj_close(file):
    made, expected = read_adjusted(file), walks(6, 700)
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(made[name].to_numpy(), expected[name].ravel(), rtol=1e-12)


def test_a_row_without_a_price_is_left_out(file, tmp_path):
    bars = pl.read_parquet(file).with_row_index()
    hole = pl.when(pl.col("index") != 5).then("close").alias("close")
    bars.with_columns(hole).drop("index").write_parquet(tmp_path / "bars.parquet")
    assert read_adjusted(tmp_path / "bars.parquet").height == bars.height - 1


def test_run_lengths_agree_with_a_loop():
    draw = np.random.default_rng(0)
    usable, symbols = draw.random(200) < 0.8, np.repeat(np.arange(20), 10)
    length, expected = 0, []
    for row in range(200):
        if row and symbols[row] != symbols[row - 1]:
            length = 0
        length = length + 1 if usable[row] else 0
        expected.append(length)
    assert run_lengths(usable, symbols).tolist() == expected


def test_daily_ics_agree_with_numpy():
    draw = np.random.default_rng(1)
    forecast, target = draw.standard_normal((2, 40))
    dates, symbols = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    made = daily_ics(forecast, target, dates, symbols)
    for d in range(4):
        x, y = forecast[dates == d], target[dates == d]
        assert made["ic"][d] == pytest.approx(np.corrcoef(x, y)[0, 1])
        order = np.corrcoef(x.argsort().argsort(), y.argsort().argsort())[0, 1]
        assert made["rank_ic"][d] == pytest.approx(order)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide():
    series = np.random.default_rng(2).standard_normal(4000)
    made = mean_interval(series)
    assert made["mean"] == pytest.approx(series.mean(), abs=1e-5)
    assert made["high"] - made["low"] == pytest.approx(2 * 1.96 / np.sqrt(4000), rel=0.2)


def test_a_series_does_not_differ_from_itself_and_a_shift_is_certain():
    series = {"ic": np.random.default_rng(3).standard_normal(100)}
    assert paired(series, series)["ic"] == {"mean": 0, "low": 0, "high": 0}
    shifted = {"ic": series["ic"] + 0.25}
    assert paired(shifted, series)["ic"] == {"mean": 0.25, "low": 0.25, "high": 0.25}


def test_matthews_agrees_with_scikit_learn():
    draw = np.random.default_rng(4)
    guess, truth = draw.random((2, 300)) < 0.4
    assert matthews(guess, truth) == pytest.approx(matthews_corrcoef(truth, guess))
    assert matthews(np.ones(300, bool), truth) == 0


def test_the_error_over_days_is_that_of_the_days_means():
    hits = np.random.default_rng(5).random((30, 20)) < np.linspace(0.2, 0.8, 30)[:, None]
    expected = hits.mean(axis=1).std(ddof=1) / np.sqrt(30)
    made = error_over_days(hits.ravel(), np.repeat(np.arange(30), 20))
    assert made == pytest.approx(expected)


def test_a_move_belongs_to_the_window_that_ends_the_day_before(file):
    chosen = Namespace(
        bars=file,
        leave_out=["S00000"],
        up=0.0055,
        down=-0.005,
        train=day(50),
        validate=day(300),
        test=day(400),
        end=day(499),
    )
    made = read_moves(chosen, 5)
    close = walks(6, 700)["close"][1:]
    rows = made.spans["test"]
    symbol, before = rows // 700, rows % 700
    assert (before.min(), before.max()) == (399, 498)
    move = close[symbol, before + 1] / close[symbol, before] - 1
    expected = np.where(move >= 0.0055, 1, -1)
    np.testing.assert_array_equal(made.label[rows], expected)
    assert not np.any((move < 0.0055) & (move > -0.005))
    # On the 100th day the close halves and adj_close does not.
    assert made.features[100, 3] == pytest.approx(
        100 * (close[0, 100] / close[0, 99] / 2 - 1), rel=1e-4
    )
    assert made.features[100, 4] == pytest.approx(
        100 * (close[0, 100] / close[0, 99] - 1), rel=1e-4
    )
    mean = close[0, 91:101].mean() / close[0, 100] - 1
    assert made.features[100, 6] == pytest.approx(100 * mean, rel=1e-4)


def test_scores_are_told_with_four_digits():
    medians = {"last.ic.mean": 0.01, "last.ic.low": -0.002, "last.ic.high": 0.02, "days": 7.0}
    report = {"results": {"gru": {"medians": medians}, "other": {"medians": None}}}
    assert score_lines(report) == ["gru: last.ic +0.0100 [-0.0020, +0.0200]"]


def test_trivial_signals_score_what_numpy_says():
    close = np.exp(np.cumsum(0.02 * np.random.default_rng(6).standard_normal((700, 25)), axis=0))
    panel = pl.concat(
        pl.DataFrame({"symbol": f"S{n:02d}", "date": DATES, "close": close[:, n]})
        for n in range(25)
    )
    rules = signals(panel)
    ahead = {"5-day reversal": 2, "12-1 momentum": 2, "1-day reversal": 1}
    for name, (near, far) in {
        "5-day reversal": (0, 5), "12-1 momentum": (21, 252), "1-day reversal": (0, 1)
    }.items():  # fmt: skip
        sign, days = (1 if near else -1), range(far, 700 - ahead[name])
        each = [
            np.corrcoef(
                sign * close[t - near] / close[t - far],
                close[t + ahead[name]] / close[t + ahead[name] - 1],
            )[0, 1]
            for t in days
        ]
        found = scores(rules[name])
        assert found["ic"][0] == pytest.approx(np.mean(each), abs=5.1e-5)
        assert (found["dates"], found["rows"]) == (len(days), 25 * len(days))
        assert found["ic"][1] < found["ic"][0] < found["ic"][2]


def test_equal_weights_bought_once_earn_what_the_shares_do(file):
    bars = read_adjusted(file)
    first, last = DATES[600], DATES[650]
    closes = bars.pivot(on="symbol", index="date", values="close").sort("date").drop("date")
    closed = closes.to_numpy()[600:651]
    # Shares follow from the close of the first session; they are there at the close of the second.
    worth = (closed[1:] / closed[0]).mean(axis=1)
    returns = worth[1:] / worth[:-1] - 1
    expected = returns.mean() / returns.std(ddof=1) * np.sqrt(252)
    found = portfolios(bars, first, last)
    assert (found["dates"], found["names"]) == (51, 6)
    assert found["sharpe"][0] == pytest.approx(expected, rel=2e-3)


@pytest.mark.slow
def test_the_study_reports_seconds_and_scores(file):
    spans = ["--train", day(80), day(399), "--validate", day(400), day(499)]
    spans += ["--test", day(500), day(699)]
    small = ["--bars", str(file), "--hidden=4", "--batch=64", "--chunks=4", "--epochs=1"]
    made = run_benchmark("study", *small, *spans, "--cells", "gru", "--threads=1")
    for name in ("last gru", "dense gru"):
        medians = made["results"][name]["medians"]
        assert medians["epoch_seconds"] > 0
        # Two rows a symbol have no return yet.
        assert medians["test_windows"] == 6 * 198
        assert abs(medians["rank_ic.mean"]) < 0.3
    assert "dense gru - last gru.rank_ic.mean" in made["results"]["paired"]["medians"]
    assert made["qlib"]["lstm"]["epoch_seconds"] == 353


@pytest.mark.slow
def test_the_supervisions_are_compared_on_the_same_rows(file):
    sizes = ["--folds=2", "--seeds=1", "--fit=200", "--stop=40", "--test=60", "--threads=1"]
    sizes += ["--hidden=4", "--windows=200", "--epochs=2", "--most-epochs=4", "--chunks=4"]
    made = run_benchmark("supervision", "--bars", str(file), *sizes, "--cells", "gru")
    medians = made["results"]["gru"]["medians"]
    assert (medians["test_windows"], medians["days"]) == (2 * 60 * 6, 2 * 60)
    assert medians["last.epochs_a_fit"] == medians["dense.epochs_a_fit"] == 2
    assert "dense_same_time - last.rank_ic.low" in medians


@pytest.mark.slow
def test_acl18_scores_networks_and_baselines(file):
    dates = [f"--train={day(50)}", f"--validate={day(400)}", f"--test={day(500)}"]
    sizes = ["--seeds=2", "--epochs=2", "--hidden=4", "--leave-out", "S00000"]
    made = run_benchmark("acl18", "--bars", str(file), *dates, f"--end={day(690)}", *sizes)
    results = {name: result["medians"] for name, result in made["results"].items()}
    assert results["always_up"]["mcc"] == 0
    assert results["always_up"]["accuracy"] == pytest.approx(
        100 * results["always_up"]["test_share_up"], abs=0.01
    )
    assert (results["gru"]["seeds"], results["logistic"]["seeds"]) == (2, 1)
    assert all(30 < result["accuracy"] < 70 for result in results.values())
