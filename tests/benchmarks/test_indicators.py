"""The benchmark of indicators at a size that runs in seconds; nothing here asserts a time."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from tasks.features.engine import compute
from tasks.features.names import parse
from tests.benchmarks import frame
from tests.benchmarks.indicator_peers import talib_columns
from tests.benchmarks.indicator_stages import COLUMNS, panel
from tests.benchmarks.indicators import RATIOS

SMALL = {"symbols": 4, "days": 300, "calls": 2, "large-symbols": 6, "qlib-symbols": 2}


@pytest.mark.slow
def test_the_report_has_the_ratios_and_says_which_peers_are_missing():
    sizes = [f"--{name}={size}" for name, size in SMALL.items()]
    command = (sys.executable, "-m", "tests.benchmarks.indicators", *sizes, "--repeats=1", "--json")
    run = subprocess.run(command, cwd=frame.HOME, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    made = json.loads(run.stdout)
    assert set(RATIOS) <= set(made)
    assert made["talib_ratio"] > 0
    assert made["copy_ratio"] > 0
    for name in ("polars_talib", "pyqlib"):
        assert made["results"][name]["reason"] or made["results"][name]["medians"]
    assert made["results"]["memory"]["medians"]["result_mb"] > 0


def test_peers_and_ours_make_the_same_columns():
    bars = panel(1, 900)
    ours = compute(bars, [parse(name) for name in COLUMNS]).drop("symbol", "date")
    arrays = (bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    theirs = talib_columns(*arrays)
    assert len(theirs) == len(COLUMNS)
    close = bars["close"].to_numpy()
    dollars = (bars["close"] * bars["volume"]).rolling_mean(20).to_numpy()
    for name, value in zip(COLUMNS, theirs, strict=True):
        if name.startswith("on_balance"):
            continue  # over 20 bars here, since the first bar there
        match parse(name).indicator.unit:
            case "price":
                value = value / close - 1.0
            case "price_difference":
                value = value / close
            case "per_money":
                value = value * dollars
        if name.startswith("realised"):
            value = value * np.sqrt(20 / 19)  # the sample's deviation here
        np.testing.assert_allclose(ours[name].to_numpy()[600:], value[600:], rtol=1e-4, atol=1e-6)


def test_the_synthetic_panel_is_one():
    made = panel(3, 40)
    assert made.height == 120
    assert made.filter(pl.col("high") < pl.max_horizontal("open", "close")).is_empty()
    assert made["symbol"].is_sorted()
