"""A run that is killed is taken up by the same command: nothing is lost, done twice or altered."""

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.flows.tiny import LAST, TRAINED_TO, forecasts, read

HOME = Path(__file__).parents[2]
TRAIN = ("train", "--as-of", TRAINED_TO)
DAILY = ("daily", "--as-of", LAST)
NEVER = "no line says this"

# Where a run writes these, it has just begun or finished something.
MOMENTS = {
    TRAIN: (
        "train name=", "fetch done", "features begins", "features done", "windows begins",
        "count trial", "fold 0 seed 0: epoch=2/", "fold 1 seed 0: epoch=1/", "baselines begins",
        "evaluation begins", "close trial", "refit begins", "refit done", "bundle begins",
        "gate model=", "report model",
    ),
    DAILY: (
        "daily session=", "fetch done", "features begins", "features done", "forecast begins",
        "forecast done", "publish", "report night", "new forecasts of",
    ),
}  # fmt: skip


class Child:
    """The command in a process of its own; `states` are those of its task runs by name."""

    def __init__(self, root, config, command, api=None, dies_at=NEVER, delay=0.0):
        # Passive: threads that spin while they wait take minutes on a machine that is busy besides.
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        environment.pop("PREFECT_API_URL", None)
        if api:
            environment["PREFECT_API_URL"] = api
        name, *options = map(str, command)
        words = [dies_at, str(delay), name, str(config), "--root", str(root), *options]
        self.said, self.servers = "", []
        with subprocess.Popen(
            [sys.executable, "-m", "tests.faults.dying", *words],
            cwd=HOME,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            for line in process.stderr:
                self.said += line
                if "Beginning flow run" in line:
                    self.servers = psutil.Process(process.pid).children(recursive=True)
        self.code = process.returncode

    @property
    def killed(self):
        return self.code == -signal.SIGKILL

    @property
    def states(self):
        return dict(re.findall(r"^\S+ +(.+): Finished in state (\w+)", self.said, re.MULTILINE))


def same_as(trained, root):
    """Claims that a root ended as the undisturbed one did."""
    assert forecasts(root).equals(forecasts(trained.root))
    for table, what in (("registry", ["model", "event"]), ("trials", ["trial", "score"])):
        ours, theirs = (read(r, table).select(what) for r in (root, trained.root))
        assert ours.equals(theirs), table
    night = Path(f"reports/night-tiny-{LAST}.html")
    assert (root / night).exists()


def test_killed_in_a_fold_between_folds_and_in_publishing_a_run_ends_like_an_undisturbed_one(
    trained, prefect_api, tmp_path
):
    root = tmp_path / "root"
    files = root, trained.config

    in_a_fold = Child(*files, TRAIN, dies_at="fit fold 0 seed 0: epoch=1/")
    assert in_a_fold.killed, in_a_fold.said
    assert in_a_fold.servers, "the server in process was not found"
    _, alive = psutil.wait_procs(in_a_fold.servers, timeout=30)
    assert not alive, "the killed run left its server behind"
    assert list(root.glob("work/fold-*/checkpoint.safetensors"))
    assert not list(root.glob("artifacts/fold/*"))

    between = Child(*files, TRAIN, prefect_api, dies_at="fit fold 1 seed 0: fold begins")
    assert between.killed, between.said
    assert between.states[f"features to {TRAINED_TO}"] == "Cached"
    assert between.states[f"windows to {TRAINED_TO}"] == "Cached"
    assert "fit fold 0 seed 0: epoch=1/" not in between.said, "the first epoch was fitted again"
    assert "fit fold 0 seed 0: epoch=2/" in between.said
    assert between.states["fit fold 0 seed 0"] == "Completed"

    at_last = Child(*files, TRAIN, prefect_api)
    assert at_last.code == 0, at_last.said
    assert at_last.states["fit fold 0 seed 0"] == "Cached"
    assert at_last.states["fit fold 1 seed 0"] == "Completed"
    assert not list(root.glob("work/*")), "a finished fit left its checkpoint"

    publishing = Child(*files, DAILY, prefect_api, dies_at=f"forecast of {LAST}: Finished in state")
    assert publishing.killed, publishing.said
    assert read(root, "forecasts").is_empty()
    night = Child(*files, DAILY, prefect_api)
    assert night.code == 0, night.said
    assert night.states[f"forecast of {LAST}"] == "Cached"
    same_as(trained, root)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_a_random_moment_a_run_ends_like_an_undisturbed_one(
    trained, prefect_api, tmp_path, seed
):
    chance = random.Random(seed)
    root = tmp_path / "root"
    files = root, trained.config
    command = chance.choice((TRAIN, DAILY))
    moment, delay = chance.choice(MOMENTS[command]), chance.choice((0, chance.uniform(0, 0.2)))
    if command is DAILY:
        assert Child(*files, TRAIN, prefect_api).code == 0
    first = Child(*files, command, prefect_api, moment, delay)
    # A run that was about to end may have done so within the delay.
    assert first.killed or delay, first.said
    again = Child(*files, command, prefect_api)
    assert again.code == 0, again.said
    finished = {name for name, state in first.states.items() if state in ("Completed", "Cached")}
    repeated = [
        name for name in finished if re.search(rf" {re.escape(name)}: \w+ begins", again.said)
    ]
    assert not repeated, f"{moment} + {delay}: done twice"
    if command is TRAIN:
        assert Child(*files, DAILY, prefect_api).code == 0
    same_as(trained, root)
