"""A membership file with and without sectors, through training and a published night."""

import json
from pathlib import Path

import pytest

from models.bundle import load_bundle
from tests.flows.tiny import SYMBOLS, TRAINED_TO, forecasts, run

TOLD = "network.covariates=['sector', 'exchange']"
FAST = ["splits.folds=1", "training.epochs=1", "baselines.names=['zero']"]


@pytest.fixture
def members(tmp_path):
    """BBB changes its sector after the training, to one that nobody had; FFF's is not known."""
    path = tmp_path / "members.csv"
    path.write_text(
        "symbol,from,to,sector\n"
        "AAA,,,Banks\nBBB,,2019-07-26,Banks\nBBB,2019-07-27,,Crypto\n"
        "CCC,,,Energy\nDDD,,,Energy\nEEE,,,Energy\nFFF,,,\n"
    )
    return f"universe.file='{path}'"


def test_a_network_told_of_sectors_forecasts_by_the_levels_of_its_bundle(
    prefect_api, world, members, tmp_path
):
    root = tmp_path / "root"
    trained = run("train", root, world, TRAINED_TO, overrides=[*FAST, TOLD, members])
    assert trained.state.is_completed(), trained.state.message
    (folder,) = root.glob("artifacts/bundle/*")
    bundle = load_bundle(folder)
    assert bundle.manifest["levels"] == {"sector": ["Banks", "Energy"], "exchange": ["XNYS"]}
    assert bundle.manifest["network"]["covariates"] == ["sector", "exchange"]
    assert bundle.weights[0]["head.weight"].shape == (1, 4 + 3)
    (made,) = root.glob("artifacts/evaluation/*/summary.json")
    summary = json.loads(made.read_text())
    within = {row["name"]: row["forecasts"] for row in summary["skill"]["sectors"]}
    assert list(within) == ["Banks", "Energy", None]
    assert sum(within.values()) == summary["span"]["rows"]
    earned = [row["name"] for row in summary["earned"]["sectors"] if row["kind"] == "sector"]
    assert earned == ["Banks", "Energy", None]
    report = Path(trained.outcome["report"]).read_text()
    assert "What each sector earned" in report
    assert "without a sector" in report
    # Tonight's configuration asks for no covariates: the bundle decides.
    night = run("daily", root, world, overrides=[members])
    assert night.state.is_completed(), night.state.message
    assert sorted(forecasts(root)["symbol"]) == list(SYMBOLS)


@pytest.mark.parametrize("kind", ["train", "tune"])
@pytest.mark.parametrize(
    ("setting", "met"),
    [
        (TOLD, "network.covariates=['sector', 'exchange']"),
        ("evaluation.portfolio.max_sector_weight=0.4",) * 2,
    ],
)
def test_what_needs_sectors_stops_before_anything_is_fetched_where_none_is_named(
    prefect_api, world, tmp_path, kind, setting, met
):
    path = tmp_path / "members.csv"
    path.write_text("symbol,from,to,sector\nAAA,,,\nBBB,,,\n")
    stopped = run(
        kind, tmp_path / "root", world, TRAINED_TO, overrides=[setting, f"universe.file='{path}'"]
    )
    assert stopped.state.is_failed()
    assert f"{met} cannot do without sectors, and none of the 2 spells in" in stopped.state.message
    assert "fill its column `sector`, or leave" in stopped.state.message
    assert stopped.tasks == {}
    assert not list(tmp_path.glob("root/artifacts/*"))
