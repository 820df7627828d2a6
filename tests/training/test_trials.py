import pytest

from tasks.lake.store import Lake
from tasks.training.trials import complete_trial, count_trial, describe_trial, specification
from tests.lake.frames import at

RECIPE = {
    "name": "sample",
    "provider": {"kind": "sample"},
    "universe": {"symbols": None, "exchange": "XNYS"},
    "quality": {"max_refused_total": 0.01},
    "features": {"features": ["rsi(14)"], "lookback": 20},
    "target": {"kind": "open_to_open", "horizon": 5},
    "window": {"lookback": 10},
    "splits": {"folds": 2, "fit": 100},
    "network": {"cell": "gru", "hidden": 8},
    "training": {"epochs": 3, "learning_rate": 0.01, "seeds": [0, 1], "device": "auto"},
    "baselines": {"names": ["zero"]},
    "evaluation": {"seed": 0, "portfolio": {"top_share": 0.2, "capacity": [1e6]}},
}
SYMBOLS = ("A", "B")
WINDOWS = {
    "folds": [
        {"spans": {"test": {"start": "2015-01-05", "end": "2015-03-31"}}},
        {"spans": {"test": {"start": "2015-04-01", "end": "2015-06-30"}}},
    ]
}


def changed(path, value):
    section, _, key = path.partition(".")
    inside = {**RECIPE[section], key: value} if key else value
    return {**RECIPE, section: inside}


def trial(recipe=RECIPE, symbols=SYMBOLS, windows=WINDOWS, run="run-1"):
    return {**describe_trial(recipe, symbols, windows), "run": run}


def test_a_trial_is_described_by_universe_target_and_the_span_of_its_tests():
    described = trial()
    assert described["target"] == "open_to_open(5)"
    assert (str(described["first"]), str(described["last"])) == ("2015-01-05", "2015-06-30")
    assert described == trial()


def test_the_span_of_a_trial_is_that_of_the_walk_forward_whatever_else_is_tested():
    whole = {"start": "2010-01-04", "end": "2015-06-30"}
    crossed = {"spans": {"test": whole}, "tested": [{"group": 0, "path": 0, **whole}]}
    assert trial(windows={"folds": [*WINDOWS["folds"], crossed]}) == trial()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("provider", {"kind": "files", "path": "x"}),
        ("universe.symbols", ["A", "B"]),
        ("quality.max_refused_total", 0.5),
        ("training.seeds", [1, 0]),
        ("training.device", "cuda"),
        ("baselines.names", ["zero", "ridge"]),
        ("evaluation.seed", 7),
        ("evaluation.portfolio", {"top_share": 0.2, "capacity": [1e6, 1e9]}),
    ],
)
def test_what_changes_no_returns_makes_no_other_trial(path, value):
    assert trial(changed(path, value))["trial"] == trial()["trial"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.seeds", [5]),
        ("training.seeds", [0, 1, 2]),
        ("evaluation.portfolio", {"top_share": 0.4, "capacity": [1e6]}),
        ("evaluation.portfolio", {"top_share": 0.2, "rebalance_every": 5, "capacity": [1e6]}),
    ],
)
def test_other_seeds_and_portfolios_are_other_trials_of_the_same_specification(path, value):
    other = trial(changed(path, value))
    assert other["trial"] != trial()["trial"]
    assert other["spec"] == trial()["spec"] == specification(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("features.features", ["rsi(10)"]),
        ("features.lookback", 30),
        ("target.horizon", 1),
        ("target.kind", "close_to_close"),
        ("window.lookback", 12),
        ("splits.folds", 3),
        ("network.cell", "lstm"),
        ("network.hidden", 16),
        ("training.epochs", 4),
        ("training.learning_rate", 0.02),
    ],
)
def test_whatever_shapes_a_forecast_makes_another_trial(path, value):
    assert trial(changed(path, value))["trial"] != trial()["trial"]


def test_another_universe_is_another_trial_and_later_sessions_are_not():
    assert trial(symbols=("A", "B", "C"))["trial"] != trial()["trial"]
    later = {"folds": [{"spans": {"test": {"start": "2016-01-04", "end": "2016-06-30"}}}]}
    assert trial(windows=later)["trial"] == trial()["trial"]


def test_a_specification_is_that_of_its_trials_whatever_the_universe():
    digest = specification(RECIPE)
    assert digest == trial()["spec"] == trial(symbols=("A", "B", "C"))["spec"]
    assert specification(changed("network.hidden", 16)) != digest


def statuses(lake, minute):
    return lake.read("trials", cutoff=None, known_by=at(minute))["status"].to_list()


def test_a_trial_is_started_and_then_completed_and_counts_once(tmp_path):
    lake = Lake(tmp_path)
    assert count_trial(lake, trial(), at(0)) == 1
    assert statuses(lake, 0) == ["started"]
    scored = {"score": 0.01, "returns": [0.001, -0.002]}
    assert complete_trial(lake, trial(), scored, at(5)) == 1
    assert statuses(lake, 5) == ["completed"]
    assert statuses(lake, 4) == ["started"]
    row = lake.read("trials", cutoff=None, known_by=at(5)).row(0, named=True)
    assert (row["score"], row["returns"]) == (0.01, [0.001, -0.002])


def test_a_trial_run_again_adds_nothing(tmp_path):
    lake, scored = Lake(tmp_path), {"score": 0.01, "returns": [0.001]}
    count_trial(lake, trial(), at(0))
    complete_trial(lake, trial(), scored, at(1))
    assert count_trial(lake, trial(run="run-2"), at(2)) == 0
    assert complete_trial(lake, trial(run="run-2"), scored, at(3)) == 0
    assert statuses(lake, 9) == ["completed"]


def test_a_killed_trial_stays_started_and_counts(tmp_path):
    lake = Lake(tmp_path)
    count_trial(lake, trial(), at(0))
    count_trial(lake, trial(changed("network.hidden", 16)), at(1))
    complete_trial(lake, trial(), {"score": None, "returns": []}, at(2))
    assert sorted(statuses(lake, 9)) == ["completed", "started"]


def test_later_sessions_replace_the_trials_score_and_do_not_add_to_the_count(tmp_path):
    lake = Lake(tmp_path)
    later = {"folds": [{"spans": {"test": {"start": "2016-01-04", "end": "2016-06-30"}}}]}
    for minute, windows in enumerate((WINDOWS, later)):
        count_trial(lake, trial(windows=windows), at(minute))
        complete_trial(
            lake, trial(windows=windows), {"score": minute / 10, "returns": []}, at(minute)
        )
    row = lake.read("trials", cutoff=None, known_by=at(9)).rows(named=True)
    assert [(r["score"], str(r["last"])) for r in row] == [(0.1, "2016-06-30")]
