"""The flow `tune`: what it counts, what it leaves, and that it goes on after SIGKILL."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch

from flows.cli import _print_study, main
from flows.config import load_config, with_values
from flows.inner import inner_splits
from models.errors import UsageError
from tests.flows.tiny import TRAINED_TO, read, run

SPACE = (
    "tuning.space.network.hidden.choices=[2, 4]",
    "tuning.space.training.learning_rate={low=1e-4, high=1e-1, log=true}",
    "tuning.space.window.lookback={low=3, high=5}",
)
STUDY = (*SPACE, "tuning.trials=5", "tuning.startup=1", "tuning.spared=0", "training.epochs=2")


def tune(root, config, overrides):
    """Runs the flow on a data root and waits for its end."""
    return run("tune", root, config, TRAINED_TO, overrides=overrides)


@pytest.fixture(scope="module")
def studied(prefect_api, world, tmp_path_factory):
    """An undisturbed study: its root and its run."""
    root = tmp_path_factory.mktemp("studied")
    run = tune(root, world, STUDY)
    assert run.state.is_completed(), run.state.message
    return root, run


def test_the_folds_of_a_study_leave_out_what_the_longest_horizon_needs():
    plain, further = (inner_splits(load_config(None, o)) for o in ([], ["target.also=[5, 20]"]))
    assert (plain.calibrate, further.calibrate) == (5, 21)
    # Labels that are not known at the end of the past, and those between stop and test.
    assert plain.fit - further.fit == (20 - 1) + (21 - 5)


def trials(root):
    """What the lake knows of the trials, without the clocks and the runs."""
    kept = "trial", "universe", "target", "status", "spec", "first", "last", "score"
    return read(root, "trials").select(kept).sort("trial")


def plain(outcome):
    return {k: v for k, v in outcome.items() if k != "file"}


def test_every_trial_is_counted_and_the_pruned_ones_too(studied):
    root, run = studied
    rows = run.outcome["trials"]
    states = [row["state"] for row in rows]
    assert len(rows) + run.outcome["repeats"] == 5
    assert set(states) == {"completed", "pruned"}, "choose another seed: the test wants both"
    counted = trials(root)
    assert counted["status"].value_counts().sort("status").rows() == [
        (state, states.count(state)) for state in ("completed", "pruned")
    ]
    scores = [row["ic"] for row in rows if row["state"] == "completed"]
    assert sorted(counted["score"].drop_nulls()) == sorted(scores)
    best = max((row for row in rows if row["ic"] is not None), key=lambda row: row["ic"])
    assert run.outcome["best"] == best["number"]


def test_a_trial_is_scored_before_the_first_calibrate_span(studied):
    root, run = studied
    plans = [json.loads(p.read_text()) for p in root.glob("artifacts/windows/*/summary.json")]
    windows = max(plans, key=lambda plan: plan["folds"][-1]["spans"]["test"]["end"])
    first = windows["folds"][0]["spans"]
    assert run.outcome["end"] == first["stop"]["end"] < first["calibrate"]["start"]
    assert trials(root)["last"].cast(pl.String).max() < first["stop"]["end"]
    for path in root.glob("artifacts/past/*/frame.parquet"):
        assert str(pl.read_parquet(path)["date"].max()) == first["stop"]["end"]


def test_the_best_configuration_is_a_file_to_train_with(studied, world):
    _, run = studied
    asked = load_config(world, STUDY)
    best = load_config(Path(run.outcome["file"]))
    assert best == with_values(asked, run.outcome["values"])
    assert best.training.learning_rate == run.outcome["values"]["training.learning_rate"]


def test_a_study_run_again_with_more_trials_takes_every_fit_and_goes_on(studied, world, tmp_path):
    root, before = tmp_path / "root", studied[1]
    shutil.copytree(studied[0], root)
    longer = tune(root, world, (*STUDY, "tuning.trials=7"))
    made = before.outcome["trials"]
    assert longer.outcome["trials"][: len(made)] == made
    assert len(longer.outcome["trials"]) > len(made)
    ours, theirs = trials(root), trials(studied[0])
    assert ours.join(theirs, on="trial", how="semi").equals(theirs)
    old, new = written(studied[0]), written(root)
    assert len(new) > len(old)
    assert {name: new[name] for name in old} == old, "a finished fit was made anew"


def written(root):
    """When each fit of a root was written; a copy keeps the time."""
    return {p.parent.name: p.stat().st_mtime_ns for p in root.glob("artifacts/tuned/*/curve.*")}


CHILD = """
import sys
from datetime import date
from pathlib import Path
import torch
from flows.config import load_config
from flows.tune import tune
# Sums of other lengths round otherwise: as many threads as where the study goes on.
torch.set_num_threads(int(sys.argv[3]))
tune(load_config(Path(sys.argv[1]), sys.argv[4:]), date.fromisoformat(sys.argv[2]))
"""


def test_a_killed_study_goes_on_to_the_same_trials_and_the_same_best(
    studied, prefect_api, world, tmp_path
):
    root, said = tmp_path / "root", tmp_path / "said"
    environment = {
        **os.environ,
        "NIGHTCAST_ROOT": str(root),
        "PREFECT_API_URL": prefect_api,
        "PREFECT_LOCAL_STORAGE_PATH": str(root / "prefect" / "storage"),
    }
    threads = str(torch.get_num_threads())
    command = [sys.executable, "-c", CHILD, str(world), str(TRAINED_TO), threads, *STUDY]
    with said.open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as child:
        # A trial has two fits: the second trial has one, and is at the other.
        while len(list(root.glob("artifacts/tuned/tuned-*"))) < 3:
            assert child.poll() is None, said.read_text()
            time.sleep(0.01)
        child.kill()
    before, fits = trials(root), written(root)
    assert 2 <= before.height < len(studied[1].outcome["trials"])
    went_on = tune(root, world, STUDY)
    assert plain(went_on.outcome) == plain(studied[1].outcome)
    assert trials(root).equals(trials(studied[0]))
    # Killed between a fit's artifact and Prefect's record of it, that one is made anew.
    assert sum(written(root)[name] != when for name, when in fits.items()) <= 1


def test_a_trained_trial_keeps_its_evaluation_when_a_study_tries_it(trained, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(trained.root, root)
    before = read(root, "trials")
    fixed = ("tuning.space={network={hidden={choices=[4, 2]}}}", "tuning.sampler=grid")
    run = tune(root, trained.config, (*fixed, "tuning.pruner=none"))
    after = read(root, "trials")
    assert (len(before), len(after), len(run.outcome["trials"])) == (1, 2, 2)
    kept = after.filter(pl.col("trial").is_in(before["trial"].to_list()))
    assert kept["returns"].to_list() == before["returns"].to_list()
    assert kept["score"].to_list() == before["score"].to_list()
    features = [s for name, s in run.tasks.items() if name.startswith("features")]
    assert [s.startswith("Cached") for s in features] == [True], "train and tune share features"


def test_trials_that_cannot_be_fitted_are_counted_and_the_study_goes_on(
    prefect_api, world, tmp_path
):
    root = tmp_path / "root"
    spoilt = ("tuning.space={network={bidirectional={choices=[false, true]}}}",)
    rest = ("tuning.sampler=grid", "training.supervision=dense", "tuning.folds=1")
    run = tune(root, world, (*spoilt, *rest, "training.epochs=1", "training.chunk=10"))
    assert run.state.is_completed(), run.state.message
    rows = {row["values"]["network.bidirectional"]: row for row in run.outcome["trials"]}
    assert rows[True]["state"] == "failed"
    assert "bidirectional" in rows[True]["reason"]
    assert rows[False]["state"] == "completed"
    assert sorted(trials(root)["status"]) == ["completed", "started"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["tuning.space.network.hiden.choices=[4]"], "Did you mean 'network.hidden'?"),
        (["tuning.space.network.hidden.choices=[0]"], "cannot try network.hidden=0"),
        (["tuning.space.training.metric.choices=['ic', 'mse']"], "set tuning.pruner='none'"),
        (["tuning.metric=mse", "network.head=rank"], "is of a mean, and network.head='rank'"),
        (["tuning.tirals=3"], "Did you mean 'trials'?"),
    ],
)
def test_a_space_that_the_configuration_does_not_take_is_named(world, overrides, said):
    with pytest.raises(UsageError) as caught:
        load_config(world, overrides)
    assert said in str(caught.value)


def test_folds_that_do_not_fit_before_the_first_calibrate_span_are_refused(world):
    splits = inner_splits(load_config(world))
    assert (splits.folds, splits.stop, splits.test, splits.calibrate) == (2, 30, 30, 5)
    # 150 fit + 30 stop − 2 × 30 test − 30 stop − 5 between − 2 labels that are not known.
    assert splits.fit == 83
    longer = inner_splits(load_config(world, ["tuning.space.window.lookback.choices=[5, 9]"]))
    assert longer.fit == 79
    with pytest.raises(UsageError, match=r"tuning\.folds=5 leaves -7 sessions .* by 27"):
        inner_splits(load_config(world, ["tuning.folds=5"]))


def test_the_command_shows_trials_and_how_to_train_with_the_best(capsys):
    scored = {"state": "completed", "ic": 0.0312, "rank_ic": 0.02, "mse": 1e-4, "reason": None}
    failed = {"state": "failed", **dict.fromkeys(("ic", "rank_ic", "mse")), "reason": "no [way]"}
    outcome = {
        "best": 0,
        "values": {"network.cell": "lstm", "training.epochs": 3},
        "metric": "ic",
        "trials": [
            {"number": 0, "values": {"network.cell": "lstm", "training.epochs": 3}, **scored},
            {"number": 1, "values": {"network.cell": "gru", "training.epochs": 3}, **failed},
        ],
        "repeats": 2,
        "session": "2020-01-03",
        "end": "2019-01-02",
        "file": "/root of it/best.toml",
    }
    _print_study(outcome)
    shown = capsys.readouterr().out
    assert "0.0312" in shown
    assert "1 best" in shown
    assert "Trial 2 failed: no [way]" in shown
    assert "2 more came back" in shown
    assert "--set 'network.cell=\"lstm\"' --set training.epochs=3" in shown
    assert "nightcast train '/root of it/best.toml'" in shown


def test_a_study_that_does_not_fit_is_bad_usage_and_writes_nothing(
    capsys, monkeypatch, world, tmp_path
):
    root = tmp_path / "root"
    arguments = ["tune", str(world), "--root", str(root), "--set", "tuning.folds=5"]
    monkeypatch.setattr(sys, "argv", ["nightcast", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "raise splits.fit by 27" in " ".join(capsys.readouterr().err.split())
    assert not root.exists()


def test_a_study_of_a_head_without_a_mean_is_scored_by_its_order(prefect_api, world, tmp_path):
    rank = ("network.head=rank", "training.sampling=date", "tuning.trials=1", "training.epochs=1")
    run = tune(tmp_path, world, (SPACE[0], *rank))
    assert run.state.is_completed(), run.state.message
    (trial,) = run.state.result()["trials"]
    assert trial["state"] == "completed"
    assert trial["mse"] is None
    assert -1 <= trial["ic"] <= 1
