import json
import logging
import os
import shutil
import signal
import sys
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import TerminationSignal

from flows.fan_out import require_runner
from models.errors import UsageError
from tasks.lake.artifacts import folder_digest
from tasks.training.compute_spec import ComputeSpec
from tests.flows.tiny import TRAINED_TO, read, run

FITS = ("fit fold 0 seed 0", "fit fold 1 seed 0")
PROCESSES = ("compute.runner=process", "compute.processes=2")


@pytest.fixture
def unfitted(trained, tmp_path):
    """The trained root again, without its fits."""
    root = tmp_path / "root"
    shutil.copytree(trained.root, root)
    for kind in ("fold", "refit"):
        shutil.rmtree(root / "artifacts" / kind)
    return root


def fits_of(root):
    """The content of every fold's and refit's artifact, by its place."""
    return {
        str(path.relative_to(root)): folder_digest(path)
        for kind in ("fold", "refit")
        for path in root.glob(f"artifacts/{kind}/*")
    }


def workers():
    """The worker processes of this process."""
    children = psutil.Process().children(recursive=True)
    return [c for c in children if "tasks.training.worker" in c.cmdline()]


class Hearing(logging.Handler):
    """Does something at the first line of a task run that has a text in it."""

    def __init__(self, text, react):
        super().__init__()
        self.text, self.react, self.lines = text, react, []

    def emit(self, record):
        line = f"{getattr(record, 'task_run_name', '')}: {record.getMessage()}"
        if self.text in line and not any(self.text in earlier for earlier in self.lines):
            self.react()
        self.lines.append(line)

    def __enter__(self):
        logging.getLogger("prefect.task_runs").addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger("prefect.task_runs").removeHandler(self)


def progress(key):
    """The newest progress artifact of a key, in percent."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        )
    assert {a.type for a in found} == {"progress"}
    newest = max(found, key=lambda a: a.created)
    assert isinstance(newest.id, UUID)
    return json.loads(str(newest.data))


def test_processes_give_the_bits_of_this_process_even_if_one_is_killed(trained, unfitted):
    def kill_all():
        for worker in workers():
            worker.kill()

    with Hearing("seed 0: epoch=1/", kill_all):
        killed = run("train", unfitted, trained.config, TRAINED_TO, overrides=PROCESSES)
    assert killed.state.is_failed()
    assert "killed by SIGKILL" in killed.state.message
    assert list(unfitted.glob("work/fold-*/checkpoint.safetensors")), "no checkpoint was kept"
    assert not workers()

    again = run("train", unfitted, trained.config, TRAINED_TO, overrides=PROCESSES)
    assert again.state.is_completed(), again.state.message
    assert not workers(), "a finished run left its workers behind"
    assert {name: again.tasks[name] for name in FITS} == dict.fromkeys(FITS, "Completed()")
    assert fits_of(unfitted) == fits_of(trained.root), "processes made other fits"
    assert again.outcome["model"] == trained.train.outcome["model"]
    assert progress("nightcast-folds") == progress("nightcast-refits") == 100
    assert len(read(unfitted, "trials")) == 1


@pytest.mark.slow
def test_finished_fits_of_another_runner_are_taken_and_no_process_is_started(trained):
    started = []
    with Hearing("fit fold 1 seed 0", lambda: started.extend(workers())):
        again = run("train", trained.root, trained.config, TRAINED_TO, overrides=PROCESSES)
    assert all(again.stages().values()), again.stages()
    assert set(again.stages()) == set(trained.train.stages())
    assert not started


@pytest.mark.parametrize(
    "overrides",
    [PROCESSES, pytest.param(("compute.runner=in_process",), marks=pytest.mark.slow)],
    ids=lambda chosen: chosen[0],
)
def test_sigterm_is_answered_by_checkpoints_from_which_the_run_goes_on(
    trained, unfitted, overrides
):
    def terminate():
        os.kill(os.getpid(), signal.SIGTERM)

    # Prefect hands the signal on at last, to this test instead of its end.
    reached = []
    before = signal.signal(signal.SIGTERM, lambda *_: reached.append(True))
    try:
        with Hearing("seed 0: epoch=1/", terminate) as first, pytest.raises(TerminationSignal):
            run("train", unfitted, trained.config, TRAINED_TO, overrides=overrides)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert reached
    assert not workers()
    stopped = [line for line in first.lines if "epoch=" in line]
    assert not any("epoch=3/" in line for line in stopped), "a fit went on to its end"
    assert list(unfitted.glob("work/fold-*/checkpoint.safetensors"))

    with Hearing("epoch=", lambda: None) as second:
        again = run(
            "train", unfitted, trained.config, TRAINED_TO, overrides=("compute.runner=in_process",)
        )
    assert again.state.is_completed(), again.state.message
    assert not set(epochs(first.lines)) & set(epochs(second.lines)), "an epoch was fitted twice"
    assert fits_of(unfitted) == fits_of(trained.root)


def epochs(lines):
    """Such as "fit fold 0 seed 0: epoch=1/3"."""
    return [line.partition(" fit_loss")[0] for line in lines if "epoch=" in line]


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_cluster_gives_the_bits_of_this_process(trained, unfitted, runner):
    pytest.importorskip(f"prefect_{runner}", reason=f"the extra {runner} is not installed")
    overrides = (f"compute.runner={runner}", "compute.processes=2")
    there = run("train", unfitted, trained.config, TRAINED_TO, overrides=overrides)
    assert there.state.is_completed(), there.state.message
    assert fits_of(unfitted) == fits_of(trained.root)


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_runner_that_is_not_installed_is_refused_before_anything_is_started(
    prefect_api, monkeypatch, tmp_path, trained, runner
):
    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    with pytest.raises(UsageError, match=rf"compute\.runner='{runner}'.*nightcast\[{runner}\]"):
        require_runner(ComputeSpec(runner=runner), "cpu")
    refused = run("train", tmp_path, trained.config, overrides=(f"compute.runner={runner}",))
    assert refused.state.is_failed()
    assert not refused.tasks
