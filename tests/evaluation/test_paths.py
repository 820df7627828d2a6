"""Paths over combinatorial folds: one forecast a date each, scored apart."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr

from models.errors import DataError
from tasks.evaluation.paths import by_path, on_path, path_section, scatter, score_path
from tasks.lake.panel import panel_arrays
from tasks.lake.target_spec import TargetSpec
from tests.evaluation.worlds import SPEC, frames
from tests.lake.frames import feature_frame, weekdays

SESSIONS = weekdays(30)


def group_of(group, path, first, last):
    return {"group": group, "path": path, "start": str(SESSIONS[first]), "end": str(SESSIONS[last])}


# All pairs out of three groups of ten sessions.
FOLDS = [
    {"fold": 4, "tested": [group_of(0, 0, 0, 9), group_of(1, 0, 10, 19)]},
    {"fold": 5, "tested": [group_of(0, 1, 0, 9), group_of(2, 0, 20, 29)]},
    {"fold": 6, "tested": [group_of(1, 1, 10, 19), group_of(2, 1, 20, 29)]},
]


def test_a_path_takes_of_each_fold_what_the_plan_gave_it():
    first, second = by_path(FOLDS)
    assert {n: [t["group"] for t in tests] for n, tests in first.items()} == {4: [0, 1], 5: [2]}
    assert {n: [t["group"] for t in tests] for n, tests in second.items()} == {5: [0], 6: [1, 2]}


def test_a_path_holds_one_forecast_a_row_and_all_calibration_of_its_folds():
    frame = feature_frame({"A": (0, 29), "B": (5, 29)}, SESSIONS, features=1)
    panel = panel_arrays(frame, ("f0",), 1, 0)
    made = {}
    for fold in FOLDS:
        groups = [range(10 * t["group"], 10 * t["group"] + 10) for t in fold["tested"]]
        days = {SESSIONS[n] for group in groups for n in group}
        rows = [n for n, day in enumerate(frame["date"]) if day in days]
        others = [n for n in range(frame.height) if n not in rows]
        made[fold["fold"]] = pl.DataFrame(
            {"span": ["test"] * len(rows) + ["calibrate"] * len(others), "row": rows + others}
        )
    for tests in by_path(FOLDS):
        kept = {n: on_path(panel, made[n], mine) for n, mine in tests.items()}
        tested = pl.concat([k.filter(span="test") for k in kept.values()])["row"]
        assert sorted(tested) == list(range(frame.height))
        for number, forecasts in kept.items():
            calibrated = forecasts.filter(span="calibrate")
            assert calibrated.equals(made[number].filter(span="calibrate"))


def test_a_path_is_scored_like_a_plain_loop_would():
    predictions, panel, _ = frames(names=5, dates=120, skill=0.05)
    found = score_path(predictions, panel, TargetSpec(), SPEC, "gru", "mean")
    mine = predictions.filter(model="gru")
    each = [pearsonr(s["mean"], s["target"]).statistic for _, s in mine.group_by("symbol")]
    assert found["models"]["gru"]["ic"] == pytest.approx(np.mean(each), rel=1e-9)
    error = ((mine["target"] - mine["mean"]) ** 2).sum() / (mine["target"] ** 2).sum()
    assert found["models"]["gru"]["mse_ratio"] == pytest.approx(error, rel=1e-9)
    assert found["models"]["zero"]["mse_ratio"] == 1.0
    assert np.isfinite(found["net_sharpe"])
    assert found["dates"] == 120


def test_two_forecasts_for_one_date_on_a_path_are_refused():
    predictions, panel, _ = frames(names=5, dates=60, skill=0.0)
    twice = pl.concat([predictions, predictions.with_columns(fold=pl.lit(9, pl.Int64))])
    with pytest.raises(DataError, match="not forecast exactly once"):
        score_path(twice, panel, TargetSpec(), SPEC, "gru", "mean")


def test_scatter_by_hand():
    assert scatter([0.3, -0.1, 0.1], 0.0, "ic") == {
        "median": 0.1, "low": -0.1, "high": 0.3, "better": 2,
    }  # fmt: skip
    assert scatter([0.9, 1.0, 1.1], 1.0, "mse_ratio")["better"] == 1
    some = scatter([np.nan, 0.2], 0.0, "ic")
    assert (some["median"], some["better"]) == (0.2, 1)
    none = scatter([np.nan, np.nan], 0.0, "ic")
    assert np.isnan(none["median"])
    assert none["better"] == 0


def path(ic, **models):
    scores = {"ic": ic, "rank_ic": ic / 2, "mse_ratio": 1.0 - ic}
    return {
        "first": "2015-01-01", "last": "2015-02-11", "dates": 30, "net_sharpe": 10 * ic,
        "models": {"gru": scores} | models,
    }  # fmt: skip


def test_the_section_counts_the_paths_that_are_better_than_nothing():
    found = path_section([path(0.02), path(-0.01)], FOLDS, "gru")
    assert (found["folds"], found["groups"], found["test_groups"]) == (3, 3, 2)
    assert found["better"] == {"ic": 1, "rank_ic": 1, "mse_ratio": 1}
    assert [row["ic"] for row in found["paths"]] == [0.02, -0.01]
    assert found["models"][0]["mse_ratio"]["better"] == 1
    assert found["net_sharpe"]["low"] == -0.1


def test_paths_that_score_other_models_are_refused():
    with pytest.raises(DataError, match="The paths score other models"):
        path_section([path(0.02), path(0.01, zero={})], FOLDS, "gru")
