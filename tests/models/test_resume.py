import json
import os
import subprocess
import sys
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest

from models.bundle import FileCheckpoint
from models.errors import ModelError, Stopped
from models.fit import fit
from models.panel import Panel
from tests.models.cases import CPU, LOOKBACK, MemoryCheckpoint, ends, recurrent, same, settings

ROOT = Path(__file__).parents[2]


def noisy_fit(checkpoint, stop_ends, seed=0, stopping=lambda: False, **changes):
    """A fit with dropout, a cap on windows, and early stopping that comes while it runs."""
    random = np.random.default_rng(0)
    panel = Panel(random.standard_normal((300, 4)), random.standard_normal(300), CPU)
    chosen = settings(
        **{"epochs": 12, "patience": 4, "learning_rate": 0.05, "max_windows_per_epoch": 100}
        | changes
    )
    factory = recurrent("lstm", layers=2, dropout=0.3)
    spans = ends(10, 200), stop_ends
    return fit(factory, panel, *spans, LOOKBACK, chosen, seed, checkpoint, stopping=stopping)


@pytest.mark.parametrize("stop_ends", [ends(210, 290), None], ids=["early stopping", "refit"])
def test_a_resume_after_any_epoch_equals_the_straight_run(stop_ends):
    checkpoint = MemoryCheckpoint()
    straight = noisy_fit(checkpoint, stop_ends)
    if stop_ends is not None:
        assert len(straight.curve) < 12, "early stopping never came: the counter is not tested"
    assert len(checkpoint.states) == len(straight.curve)
    for epoch in range(len(straight.curve) + 1):
        resumed = noisy_fit(checkpoint.after(epoch), stop_ends)
        assert same(resumed.weights, straight.weights), f"resumed after epoch {epoch}"
        assert (resumed.best_epoch, resumed.curve) == (straight.best_epoch, straight.curve)


@pytest.mark.parametrize("supervision", ["last", "dense"])
def test_a_fit_stopped_after_any_step_goes_on_to_the_same_bits(supervision):
    changes = {"epochs": 3, "batch_size": 40, "supervision": supervision, "chunk": 5}
    changes |= {"max_windows_per_epoch": None, "augment": (("jitter", 0.1),), "schedule": "cosine"}
    asked = []
    straight = noisy_fit(None, ends(210, 290), stopping=lambda: bool(asked.append(1)), **changes)
    steps = len(asked)
    assert steps >= 3
    for step in range(1, steps + 1):
        checkpoint, so_far = MemoryCheckpoint(), count(1)
        with pytest.raises(Stopped, match="run it again to go on"):
            noisy_fit(
                checkpoint,
                ends(210, 290),
                stopping=lambda so_far=so_far, step=step: next(so_far) == step,
                **changes,
            )
        resumed = noisy_fit(checkpoint, ends(210, 290), **changes)
        assert same(resumed.weights, straight.weights), f"stopped after step {step} of {steps}"
        assert (resumed.best_epoch, resumed.curve) == (straight.best_epoch, straight.curve)


def test_a_checkpoint_changes_nothing_and_a_finished_fit_is_not_gone_on_with(tmp_path):
    checkpoint = FileCheckpoint(tmp_path / "new" / "fit.safetensors")
    first = noisy_fit(checkpoint, ends(210, 290))
    assert same(first.weights, noisy_fit(None, ends(210, 290)).weights)
    content = checkpoint.path.read_bytes()
    again = noisy_fit(checkpoint, ends(210, 290))
    assert same(first.weights, again.weights)
    assert again.curve == first.curve
    assert checkpoint.path.read_bytes() == content


def test_saved_states_are_not_changed_by_later_steps():
    checkpoint = MemoryCheckpoint()
    noisy_fit(checkpoint, None)
    for earlier, later in pairwise(checkpoint.states):
        assert not same(earlier.tensors, later.tensors)
    third = {name: value.clone() for name, value in checkpoint.states[2].tensors.items()}
    noisy_fit(checkpoint.after(3), None)
    assert same(checkpoint.states[2].tensors, third)


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"seed": 1}, "seed is 0, this fit's is 1"),
        ({"learning_rate": 0.01}, "settings"),
        ({"stop_ends": ends(210, 289)}, "stop"),
    ],
)
def test_the_checkpoint_of_another_fit_is_refused(changes, differing):
    checkpoint = MemoryCheckpoint()
    noisy_fit(checkpoint, ends(210, 290), epochs=1)
    with pytest.raises(ModelError, match=f"belongs to another fit: its {differing}"):
        noisy_fit(checkpoint, **{"stop_ends": ends(210, 290), "epochs": 1} | changes)


def child(*arguments):
    # Passive: threads that spin while they wait take minutes on a machine that is busy besides.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.models.train_child", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_one_and_two_threads_give_the_same_weights_and_curve():
    one, two = (child(threads).communicate()[0] for threads in (1, 2))
    assert [line.split()[0] for line in one.splitlines()] == ["lstm", "gru", "rnn"]
    assert one == two


def test_a_fit_killed_at_10_random_moments_ends_in_identical_weights(tmp_path):
    answer = json.loads(child(1, tmp_path / "fit.safetensors").communicate()[0])
    assert len(answer["reached"]) == 10
    assert answer["reached"] == sorted(answer["reached"])
    assert len(set(answer["reached"])) > 3, "the kills hit the same epoch"
    assert answer["resumed"] == answer["straight"]
