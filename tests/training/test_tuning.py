"""A study over the stages' own code: what is asked, what is pruned, what a trial may see."""

import itertools
import json
from datetime import date

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from models.checkpoint import CurveRow
from models.errors import UsageError
from tasks.lake.artifacts import write_artifact, write_frames
from tasks.lake.panel import panel_arrays
from tasks.lake.store import Lake
from tasks.training.trials import complete_trial, count_trial
from tasks.training.tuning import (
    Pruned,
    Pruning,
    Result,
    Study,
    fit_tuned,
    is_evaluated,
    objective,
    scores_of,
)
from tasks.training.tuning_spec import TuningSpec
from tasks.training.tuning_task import cut_past, judge_trial, tune_fold
from tasks.windows.plan import plan_windows
from tasks.windows.spec import SplitSpec
from tests.lake.frames import at, names_of
from tests.training.test_folds import (
    CPU,
    EARLIER,
    HORIZON,
    LOOKBACK,
    NETWORK,
    SESSIONS,
    TRAINING,
    market,
    market_of_three,
    prepared,
    replaced_after,
)

GRID = {"network.hidden": {"choices": [2, 4, 8]}, "training.epochs": {"low": 1, "high": 2}}
RATES = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "training.dropout": {"low": 0.0, "high": 0.5, "step": 0.25},
    "window.lookback": {"low": 10, "high": 40, "step": 10},
    "training.losses": {"choices": [{"mse": 1.0}, {"huber": 1.0}]},
}


def spec(sampler="random", space=RATES, **rest):
    return TuningSpec(sampler=sampler, space=space, **rest)


def bowl(values):
    """A score with its least value at a learning rate of 0.003 and a lookback of 20."""
    away = np.log(values["training.learning_rate"] / 0.003) ** 2
    return float(away + abs(values["window.lookback"] - 20) / 10 + values["training.dropout"])


def studied(chosen, result=lambda values: Result("completed", bowl(values)), stop=None):
    study, asked = Study(chosen), []
    while (trial := study.ask()) is not None and len(asked) != stop:
        asked.append(trial.values)
        study.tell(trial, result(trial.values))
    return asked


def test_a_grid_is_asked_for_whole_and_each_point_once():
    asked = studied(spec("grid", GRID), lambda values: Result("completed", 0.0))
    points = [(v["network.hidden"], v["training.epochs"]) for v in asked]
    assert sorted(points) == list(itertools.product([2, 4, 8], [1, 2]))
    part = studied(spec("grid", GRID, trials=4), lambda values: Result("completed", 0.0))
    assert part == asked[:4]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_asked_values_stay_in_the_space_and_follow_the_seed(sampler):
    chosen = spec(sampler, trials=15, startup=4)
    asked = studied(chosen)
    assert len(asked) == 15
    for values in asked:
        assert list(values) == sorted(RATES)
        assert 1e-4 <= values["training.learning_rate"] <= 1e-1
        assert values["training.dropout"] in (0.0, 0.25, 0.5)
        assert values["window.lookback"] in (10, 20, 30, 40)
        assert values["training.losses"] in ({"mse": 1.0}, {"huber": 1.0})
        assert json.loads(json.dumps(values)) == values
    assert studied(chosen) == asked
    assert studied(spec(sampler, trials=15, seed=1)) != asked


def test_tpe_learns_from_results_and_random_does_not():
    def late(sampler, result):
        return studied(spec(sampler, trials=40, startup=8), result)

    def upside_down(values):
        return Result("completed", -bowl(values))

    right = [late(s, lambda v: Result("completed", bowl(v))) for s in ("random", "tpe")]
    wrong = [late(s, upside_down) for s in ("random", "tpe")]
    assert right[0] == wrong[0]
    assert right[1][:8] == wrong[1][:8]
    assert right[1] != wrong[1]
    ends = [np.mean([bowl(v) for v in asked[-10:]]) for asked in right]
    assert ends[1] < 0.5 * ends[0]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_more_trials_go_on_where_fewer_ended(sampler):
    space = RATES if sampler != "grid" else GRID

    def result(values):
        # All three ends of a trial, told apart by its values.
        state = ("completed", "pruned", "failed")[len(json.dumps(values)) % 3]
        score = float(len(json.dumps(values)))
        return Result(state, score if state == "completed" else None, (score, score / 2))

    short, long = (studied(spec(sampler, space, trials=n, startup=3), result) for n in (5, 12))
    assert long[: len(short)] == short


def test_values_that_come_again_are_told_and_not_tried_again():
    space = {"network.hidden": {"choices": [2, 4]}}
    study = Study(spec("random", space, trials=12))
    asked = []
    while (trial := study.ask()) is not None:
        asked.append(trial.values["network.hidden"])
        study.tell(trial, Result("completed", 1.0))
    assert sorted(asked) == [2, 4]
    assert study.repeats == 10


def heard(pruning, scores):
    """How many epochs a fit with these stop scores runs, and whether it was pruned."""
    for epoch, score in enumerate(scores, 1):
        try:
            pruning(CurveRow(epoch, 1.0, score, score, 1, 0.1))
        except Pruned:
            return epoch, True
    return len(scores), False


def test_a_fit_worse_than_the_median_at_its_epoch_is_pruned():
    rivals = [[3.0, 2.0, 1.0], [5.0, 4.0, 3.0], [9.0, 8.0, 7.0]]
    assert heard(Pruning(rivals), [4.0, 3.9, 2.9]) == (3, False)
    assert heard(Pruning(rivals), [6.0, 1.0, 1.0]) == (1, True)
    assert heard(Pruning(rivals), [4.0, 4.5, 3.5]) == (3, True), "its best, 4.0, against 4, 4, 3"
    assert heard(Pruning(rivals, spared=2), [99.0, 99.0, 99.0]) == (3, True)
    assert heard(Pruning(), [99.0, 99.0]) == (2, False)
    assert heard(Pruning([[1.0]]), [0.5, 99.0]) == (2, False), "no rival has a second epoch"


def test_a_pruned_fit_stops_there_and_scores_nothing():
    panel, rows, _ = prepared(market())

    def fitted(rivals):
        return fit_tuned(panel, rows, NETWORK, TRAINING, 0, LOOKBACK, CPU, Pruning(rivals))

    alone = fitted([])
    assert len(alone.reports) == TRAINING.epochs
    assert set(alone.scores) == {"ic", "rank_ic", "mse"}
    hard = fitted([[alone.reports[0] + 1, alone.reports[1] - 1]])
    assert (hard.reports, hard.best_epoch, hard.scores) == (alone.reports[:2], None, None)
    assert fitted([[r + 1 for r in alone.reports]]) == alone, "rivals may prune, and no more"


def test_scores_are_those_of_their_definitions_on_the_rows_forecast():
    panel, rows, _ = prepared(market())
    test = rows.spans["test"]
    draw = np.random.default_rng(0)
    mean = 0.1 * draw.normal(size=len(test))
    made = pl.DataFrame({"row": test, "score": mean, "mean": mean})
    found = scores_of(panel, made)
    target = panel.target[test]
    # Three names a date are too few to correlate, so each symbol is correlated along time.
    own = [
        np.corrcoef(mean[panel.symbol[test] == s], target[panel.symbol[test] == s])[0, 1]
        for s in np.unique(panel.symbol[test])
    ]
    dates = np.unique(panel.symbol[test], return_counts=True)[1]
    assert found["mse"] == pytest.approx(np.mean((mean - target) ** 2))
    assert found["ic"] == pytest.approx(np.average(own, weights=dates))
    assert objective("ic", found) == -found["ic"]
    assert objective("mse", found) == found["mse"]
    without = scores_of(panel, made.with_columns(mean=pl.lit(None, pl.Float64)))
    assert without == found | {"mse": None}, "an order has a correlation, and no squared error"
    with pytest.raises(UsageError, match="is of a mean"):
        objective("mse", without)


def cut(frame, root, end):
    features = write_artifact(root, "features", "f", write_frames({"frame": frame}))
    return cut_past.fn(root, "p", features, end)


def test_the_past_has_no_label_of_any_horizon_that_was_not_yet_known(tmp_path):
    frame = market_of_three()
    end = SESSIONS[60]
    past = cut(frame, tmp_path, end).frame(tmp_path)
    seen = frame.filter(pl.col("date") <= end)
    known = seen["label_end"] <= end
    for name in ("target", "target_1", "target_9", "label_end"):
        expected = seen.select(pl.when(known).then(name)).to_series()
        assert past[name].equals(expected), name
    assert 0 < known.sum() < known.len()


def tried(frame, root):
    """A trial's scores and stop scores on folds of the past that the outer folds leave it."""
    _, _, spans = prepared(frame)
    end = date.fromisoformat(spans["stop"]["end"])
    past = cut(frame, root, end)
    splits = SplitSpec(folds=1, fit=20, stop=10, calibrate=5, test=10)
    panel = panel_arrays(past.frame(root), names_of(frame), LOOKBACK, EARLIER)
    plan = plan_windows(panel, LOOKBACK, HORIZON, splits, end)
    windows = write_artifact(root, "windows", "w", write_frames({"frame": plan.rows}, plan.summary))
    fit = tune_fold.fn(
        root, "t", past, windows, names_of(frame), EARLIER, LOOKBACK, 0, 0, NETWORK, TRAINING,
        "cpu", [], 0,
    )  # fmt: skip
    judged = judge_trial.fn(root, "j", {"network.hidden": 4}, [fit])
    return end, past, judged.read_json(root)


def test_replacing_everything_after_the_past_leaves_a_trial_bit_identical(tmp_path):
    roots = [tmp_path / name for name in ("truth", "other", "seen")]
    end, past, truth = tried(market(), roots[0])
    later = replaced_after(market(), end)
    assert not later.equals(market())
    _, past_of_other, other = tried(later, roots[1])
    assert past_of_other.sha256 == past.sha256
    assert other == truth
    # The proof that the comparison can fail: one session earlier, it tells.
    earlier = replaced_after(market(), SESSIONS[SESSIONS.index(end) - 5])
    assert tried(earlier, roots[2])[2] != truth


def test_the_past_holds_no_later_row_and_no_label_not_yet_known(tmp_path):
    end = SESSIONS[60]
    frame, past = market(), cut(market(), tmp_path, SESSIONS[60]).frame(tmp_path)
    assert past["date"].max() == end
    assert past["label_end"].max() <= end
    kept = frame.filter(pl.col("date") <= end)
    known = kept.filter(pl.col("label_end") <= end)
    assert past.height == kept.height
    assert past["target"].drop_nulls().to_list() == known["target"].drop_nulls().to_list()
    assert past.drop("target", "label_end").equals(kept.drop("target", "label_end"))


def test_a_trial_with_one_pruned_fit_is_pruned_and_has_no_score(tmp_path):
    def fit(key, scores):
        facts = {"scores": scores, "reports": [1.0, 0.5], "best_epoch": scores and 2}
        return write_artifact(tmp_path, "tuned", key, write_frames({}, facts))

    whole = fit("a", {"ic": 0.1, "rank_ic": 0.2, "mse": 1.0})
    other = fit("b", {"ic": 0.3, "rank_ic": 0.0, "mse": 3.0})
    done = judge_trial.fn(tmp_path, "j", {}, [whole, other]).read_json(tmp_path)
    assert done["scores"] == {"ic": pytest.approx(0.2), "rank_ic": 0.1, "mse": 2.0}
    assert done["trial"] == {"score": pytest.approx(0.2), "status": "completed"}
    cut_off = judge_trial.fn(tmp_path, "k", {}, [whole, fit("c", None)]).read_json(tmp_path)
    assert (cut_off["state"], cut_off["scores"]) == ("pruned", None)
    assert cut_off["trial"] == {"score": None, "status": "pruned"}


def test_a_tuning_score_is_told_from_an_evaluation(tmp_path):
    lake = Lake(tmp_path)
    row = {"trial": "a", "universe": "u", "target": "t", "spec": "s", "run": "r"}
    row |= {"first": SESSIONS[0], "last": SESSIONS[9]}
    assert not is_evaluated(lake, "a", at(0))
    count_trial(lake, row, at(0))
    assert not is_evaluated(lake, "a", at(0))
    complete_trial(lake, row, {"score": 0.1, "status": "completed"}, at(1))
    assert not is_evaluated(lake, "a", at(1))
    complete_trial(lake, row, {"score": 0.1, "returns": [0.01]}, at(2))
    assert is_evaluated(lake, "a", at(2))
    assert not is_evaluated(lake, "b", at(2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": {}}, "at least 1 item"),
        ({"space": {"features.lookback": {"choices": [1]}}}, "not a key of network, training"),
        ({"space": {"trainings.l1": {"choices": [0.1]}}}, "Did you mean 'training'?"),
        ({"space": {"network": {"choices": [1]}}}, "not a key of network, training"),
        ({"space": {"network.kind": {"choices": ["recurrent"]}}}, "one study for each kind"),
        ({"space": {"training.seeds": {"choices": [[0]]}}}, "tuning.seeds"),
        ({"space": {"network.hidden": [16, 32]}}, "network.hidden=[16, 32] is no range of values"),
        ({"space": {"network": {"hidden": {"chioces": [1]}}}}, "network.hidden.chioces=[1] is no"),
        ({"space": {"network.hidden": {"low": 1, "hihg": 2}}}, "Did you mean 'high'?"),
        ({"space": {"network.hidden": {"choices": []}}}, "at least 1 item"),
        ({"space": {"network.hidden": {"choices": [4, 4]}}}, "holds a value twice"),
        ({"space": {"training.l1": {"low": 2, "high": 1}}}, "low=2 is not below high=1"),
        ({"space": {"training.l1": {"low": 0.0, "high": 1.0, "log": True}}}, "low above 0"),
        ({"space": {"network.hidden": {"low": 2, "high": 8, "step": 1.5}}}, "take a whole step"),
        ({"sampler": "grid"}, "training.learning_rate has no countable values"),
        ({"seeds": (1, 1)}, "must be distinct"),
    ],
)  # fmt: skip
def test_a_space_that_cannot_be_searched_is_named(changes, said):
    with pytest.raises(ValidationError) as caught:
        TuningSpec(**changes)
    assert said in str(caught.value)


def test_keys_may_be_quoted_or_nested_and_survive_json():
    nested = {"network": {"hidden": {"choices": [2, 4, 8]}}, "training": {"epochs": GRID["training.epochs"]}}  # fmt: skip  # noqa: E501
    quoted = spec(space=GRID)
    assert spec(space=nested) == quoted
    assert TuningSpec.model_validate_json(quoted.model_dump_json()) == quoted
    assert quoted.space["training.epochs"].values() == (1, 2)


def test_a_step_reaches_the_end_that_floats_miss():
    found = spec(space={"training.dropout": {"low": 0.1, "high": 0.3, "step": 0.1}})
    assert found.space["training.dropout"].values() == pytest.approx((0.1, 0.2, 0.3))
