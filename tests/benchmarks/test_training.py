"""The benchmark of training at a size that runs in seconds; nothing here asserts a time."""

from argparse import Namespace

import pytest
import torch

from tests.benchmarks.children import run_benchmark
from tests.benchmarks.frame import Outcome
from tests.benchmarks.training import CELLS, KEYS, SIZES, TORCH_PEERS, conclude
from tests.benchmarks.training_clock import Clock
from tests.benchmarks.training_peers import build, copied, cut, run_torch
from tests.benchmarks.training_stages import _network, measure_dense, measure_last

SMALL = Namespace(
    symbols=3,
    dense_symbols=4,
    days=60,
    features=2,
    lookback=5,
    hidden=4,
    batch=8,
    batches=4,
    warm_up=1,
    chunk=10,
    threads=1,
)
PEERS_OF_A_CELL = (*TORCH_PEERS, "torch_same_env", "torch_item_same_env", "keras")


def of(speed):
    return Outcome(rounds=[{"samples_a_second": speed, "samples_a_cpu_second": speed / 2}])


@pytest.mark.parametrize("cell", CELLS)
def test_ours_and_the_peers_train_the_same_network(cell):
    sizes = Namespace(**{**vars(SMALL), "cell": cell})
    ours, theirs = _network(sizes), build(sizes)
    shapes = [sorted(tuple(p.shape) for p in network.parameters()) for network in (ours, theirs)]
    assert shapes[0] == shapes[1]
    ours.rnn.load_state_dict(theirs.rnn.state_dict())
    ours.head.load_state_dict(theirs.head.state_dict())
    windows = torch.randn(3, sizes.lookback, sizes.features)
    torch.testing.assert_close(ours(windows).reshape(-1), theirs(windows))


def test_the_two_loaders_of_torch_hold_the_same_windows_and_labels():
    def found(loader):
        whole = [torch.cat(parts) for parts in zip(*loader, strict=True)]
        rows = torch.cat([whole[0].flatten(1), whole[1][:, None]], dim=1)
        return {tuple(row) for row in rows.tolist()}

    sizes = Namespace(**{**vars(SMALL), "batch": 1})
    assert found(copied(sizes)) == found(cut(sizes))
    assert len(found(cut(sizes))) == 3 * (60 - 5)


def test_only_the_batches_behind_the_warm_up_count():
    sizes = Namespace(**{**vars(SMALL), "cell": "gru"})
    assert run_torch(sizes, cut(sizes))["samples"] == 4 * 8
    assert measure_last(sizes)["samples"] == 2 * 4 * 8


def test_a_panel_with_too_few_batches_is_told():
    clock = Clock(SMALL)
    clock.tick()
    with pytest.raises(SystemExit, match="gave 0 batches of 5"):
        clock.tell(SMALL)


def test_dense_counts_labels():
    sizes = Namespace(**{**vars(SMALL), "cell": "gru"})
    # Both measured epochs see each of the 4 × 55 labels, fewer than batch × batches × chunk.
    assert measure_dense(sizes)["samples"] == 2 * 4 * 55


def test_the_best_peer_of_the_worse_cell_counts():
    outcomes = {}
    for cell, ours in (("lstm", 60.0), ("gru", 90.0)):
        outcomes[f"ours {cell}"] = of(ours)
        outcomes[f"dense {cell}"] = of(800.0)
        outcomes[f"rnn {cell}"] = of(100.0)
        outcomes |= {f"{name} {cell}": of(10.0) for name in PEERS_OF_A_CELL}
        outcomes[f"qlib {cell}"] = of(20.0)
        outcomes[f"darts {cell}"] = Outcome("no darts")
        outcomes[f"keras {cell}"] = Outcome("no keras")
    made = conclude(outcomes, CELLS)
    assert made["by_cell"]["last_vs_torch_ratio"] == {"lstm": 3.0, "gru": 4.5}
    assert made["last_vs_torch_ratio"] == 3.0
    assert made["last_vs_torch_same_env_ratio"] == 6.0
    assert made["last_vs_keras_ratio"] is None
    assert made["dense_labels_ratio"] == 80.0
    assert made["rnn_share"] == 0.6


@pytest.mark.slow
def test_the_report_has_its_keys_and_says_which_peers_are_missing():
    sizes = [f"--{name}={getattr(SMALL, name.replace('-', '_'))}" for name in SIZES]
    made = run_benchmark("training", *sizes, "--cells", "gru")
    assert set(KEYS) <= set(made)
    assert made["last_vs_torch_ratio"] > 0
    assert made["last_vs_torch_same_env_ratio"] > 0
    assert made["dense_labels_ratio"] > 0
    for name in ("lightning", "qlib", "darts", "keras"):
        result = made["results"][f"{name} gru"]
        assert result["reason"] or result["medians"]
