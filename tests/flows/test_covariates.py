"""A membership file with sectors, through training and a published night."""

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
    # Tonight's configuration asks for no covariates: the bundle decides.
    night = run("daily", root, world, overrides=[members])
    assert night.state.is_completed(), night.state.message
    assert sorted(forecasts(root)["symbol"]) == list(SYMBOLS)
