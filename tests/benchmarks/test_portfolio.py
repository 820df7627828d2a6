"""The benchmark of the portfolio at a size that runs in seconds; nothing here asserts a time."""

from argparse import Namespace

import numpy as np
import pytest

from tests.benchmarks.children import run_benchmark
from tests.benchmarks.portfolio import PEERS, conclude
from tests.benchmarks.portfolio_peers import shifted
from tests.benchmarks.portfolio_stages import measure
from tests.benchmarks.random_market import RATE, best_weights, traded

SMALL = {"symbols": 8, "days": 40, "names": 3, "calls": 1, "bt-days": 10}


def test_ours_earns_what_weights_times_returns_earn():
    made = measure(Namespace(kind="ours", symbols=8, days=40, names=3, calls=1))
    given = traded(8, 40)
    # Weights drift from open to open, and turning them round costs the rate. Shares set at the
    # close before are off by what happens overnight.
    weights = shifted(best_weights(given.signal, 3))[1:]
    growth = given.open[2:] / given.open[1:-1]
    worth, drifted = 1.0, np.zeros(8)
    for row, after in zip(weights, growth, strict=False):
        worth *= 1.0 - RATE * np.abs(row - drifted).sum()
        earned = row @ after
        worth, drifted = worth * earned, row * after / earned
    assert made["final"] == pytest.approx(worth, rel=0.03)


def test_slippage_and_limits_are_measured_too():
    plain, dear = (
        measure(Namespace(kind=kind, symbols=8, days=40, names=3, calls=1))
        for kind in ("ours", "ours_slippage")
    )
    assert dear["final"] != plain["final"]


def test_the_figures_that_count_are_told_and_a_missing_peer_is_null():
    results = {name: {"medians": None} for name in PEERS}
    results["vectorbt"] = {"medians": {"seconds": 2.0, "final": 1.1}}
    results["ours"] = {"medians": {"seconds": 0.1, "first_seconds": 0.5, "final": 1.0}}
    results["ours_cold"] = {"medians": {"first_seconds": 9.0}}
    ratios = {f"{name} / ours": None for name in PEERS}
    ratios["vectorbt / ours"] = {"seconds": 20.0}
    made = conclude({"results": results, "ratios": ratios})
    assert made == {
        "seconds": 0.1,
        "first_call_seconds": 0.5,
        "compile_seconds": 9.0,
        "vectorbt_ratio": 20.0,
        "vectorbt_weights_ratio": None,
        "bt_ratio": None,
        "vectorbt_gap": pytest.approx(0.1),
    }


@pytest.mark.slow
def test_the_report_says_which_peers_are_missing():
    made = run_benchmark("portfolio", *(f"--{name}={size}" for name, size in SMALL.items()))
    assert made["seconds"] > 0
    for name in PEERS:
        assert made["results"][name]["reason"] or made["results"][name]["medians"]
