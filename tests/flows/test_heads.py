"""Heads other than the mean's, through training, a published night and the command that shows it.

They learn on a copy of the trained root, so that bars, features and their proof are there.
"""

import json
import shutil
import sys
from itertools import pairwise

import pytest

from flows.cli import main
from tests.flows.tiny import SYMBOLS, TRAINED_TO, forecasts, run

QUANTILES = ("q05", "q25", "q50", "q75", "q95")
FAST = ("splits.folds=1", "training.epochs=1", "baselines.names=['zero']")


@pytest.fixture(scope="module")
def root(trained, tmp_path_factory):
    copy = tmp_path_factory.mktemp("heads") / "root"
    shutil.copytree(trained.root, copy)
    return copy


@pytest.fixture
def night(root, world, capsys, monkeypatch):
    """Trains under a name and publishes a night; returns the ledger's rows, and what is shown."""

    def command(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["nightcast", "forecasts", "--root", str(root), *arguments]
        )
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return capsys.readouterr().out

    def made(name, *overrides):
        overrides = [*FAST, f"name={name}", *overrides]
        trained = run("train", root, world, TRAINED_TO, overrides=overrides)
        assert trained.state.is_completed(), trained.state.message
        daily = run("daily", root, world, overrides=overrides)
        assert daily.state.is_completed(), daily.state.message
        rows = forecasts(root).filter(model=trained.outcome["model"]).sort("rank")
        assert sorted(rows["symbol"]) == list(SYMBOLS)
        assert rows["score"].is_finite().all()
        assert rows["score"].is_sorted(descending=True)
        told = json.loads(command("--json"))
        for column in ("model", "symbol", "rank", "score", "mean", *QUANTILES):
            assert [row[column] for row in told] == rows[column].to_list()
        return rows, " ".join(command().split())

    return made


def ordered(rows):
    """Whether each quantile lies above the one before it."""
    return all((rows[low] < rows[high]).all() for low, high in pairwise(QUANTILES))


def test_a_rank_head_publishes_an_order_and_neither_a_mean_nor_quantiles(night):
    rows, shown = night("rank", "network.head=rank", "training.sampling=date")
    assert rows.select("mean", *QUANTILES).null_count().row(0) == (6,) * 6
    assert "rank symbol score 90 % interval" in shown
    assert f"1 {rows['symbol'][0]} {rows['score'][0]:+.4f} –" in shown


def test_a_direction_head_publishes_a_chance_which_is_no_mean_of_a_return(night):
    rows, shown = night("direction", "network.head=direction")
    assert rows["score"].is_between(-1, 1).all()
    assert rows.select("mean", *QUANTILES).null_count().row(0) == (6,) * 6
    assert "rank symbol score 90 % interval" in shown


def test_a_direction_head_publishes_the_mean_of_a_direction(night):
    rows, shown = night("direction-of-it", "network.head=direction", "target.form=direction")
    assert set(rows["unit"]) == {"direction"}
    assert rows["mean"].equals(rows["score"].alias("mean"))
    assert rows.select(QUANTILES).null_count().row(0) == (0,) * 5
    assert all(rows[q].is_between(-1, 1).all() for q in QUANTILES)
    assert "forecast (direction)" in shown


def test_a_quantile_head_publishes_quantiles_around_its_median_and_no_mean(night):
    rows, shown = night("quantiles", "network.head=quantiles")
    assert rows["mean"].null_count() == 6
    assert ordered(rows)
    assert "median %" in shown
    assert f"{100 * rows['q50'][0]:+.3f}" in shown
