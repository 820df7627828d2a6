"""The benchmark of windows at a size that runs in seconds; nothing here asserts a time."""

from argparse import Namespace

import numpy as np
import pytest

from tests.benchmarks.children import run_benchmark
from tests.benchmarks.random_rows import rows, window_starts
from tests.benchmarks.window_peers import every_window, item
from tests.benchmarks.window_stages import measure
from tests.benchmarks.windows import PEERS, conclude

SMALL = Namespace(symbols=3, days=40, features=2, lookback=5, batch=7, batches=100, threads=1)


def told(sizes):
    return [f"--{name}={size}" for name, size in vars(sizes).items()]


def test_peers_make_the_windows_that_start_where_ours_do():
    values, _ = rows(SMALL.symbols, SMALL.days, SMALL.features)
    starts = window_starts(SMALL.symbols, SMALL.days, SMALL.lookback)
    expected = np.stack([values[start : start + SMALL.lookback] for start in starts])
    np.testing.assert_array_equal(every_window(values, SMALL), expected)
    cut = np.concatenate([windows.numpy() for windows, _ in item(values, SMALL)])
    order = np.lexsort(expected.reshape(len(starts), -1).T)
    other = np.lexsort(cut.reshape(len(starts), -1).T)
    np.testing.assert_array_equal(cut[other], expected[order])


def test_ours_passes_over_every_window_once():
    assert measure(SMALL)["windows"] == 3 * (40 - 5)


def test_the_fastest_peer_that_ran_counts():
    ratios = {f"ours / {name}": None for name in PEERS}
    ratios |= {"ours / item": {"windows_a_second": 20.0}, "ours / copy": {"windows_a_second": 0.5}}
    ratios["ours / materialised"] = {"windows_a_second": 10.0}
    medians = {"memory_ratio": 0.3, "memory_with_panel_ratio": 1.3, "setup.seconds": 0.01}
    made = conclude({"ratios": ratios, "results": {"ours": {"medians": medians}}})
    assert made == {
        "best_peer": "materialised",
        "best_peer_ratio": 10.0,
        "memory_ratio": 0.3,
        "memory_with_panel_ratio": 1.3,
        "setup_seconds": 0.01,
        "copy_ratio": 0.5,
    }


@pytest.mark.slow
def test_the_report_has_the_ratios_and_says_which_peers_are_missing():
    made = run_benchmark("windows", *told(SMALL))
    assert made["best_peer_ratio"] > 0
    assert made["setup_seconds"] >= 0
    assert made["results"]["item"]["medians"]["windows"] == 3 * (40 - 5)
    for name in ("qlib_batch", "darts", "keras"):
        assert made["results"][name]["reason"] or made["results"][name]["medians"]
