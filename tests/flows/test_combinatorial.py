"""A whole training run with combinatorial folds beside the walk-forward."""

import json
from math import ceil
from statistics import median

import pytest

from models.bundle import load_bundle
from tasks.lake.artifacts import Artifact
from tests.flows.tiny import TRAINED_TO, read, run

SHAPE = (
    'features.features=["log_return(1)", "roc(3)"]',
    "splits.scheme=combinatorial",
    "splits.groups=4",
    "splits.test_groups=2",
    "splits.fit=60",
    "splits.stop=20",
    "splits.calibrate=20",
    'baselines.names=["zero", "ridge"]',
)


@pytest.fixture(scope="module")
def crossed(prefect_api, world, tmp_path_factory):
    """The root of the run, its bundle and its evaluation."""
    root = tmp_path_factory.mktemp("crossed")
    made = run("train", root, world, TRAINED_TO, overrides=SHAPE)
    assert made.state.is_completed(), made.state.message
    bundle = Artifact.model_validate_json(read(root, "registry")["bundle"][0])
    loaded = load_bundle(root / bundle.uri)
    return root, loaded, Artifact.model_validate(loaded.manifest["evaluation"])


def test_every_model_is_scored_on_every_path(crossed):
    root, _, evaluation = crossed
    summary = evaluation.read_json(root)
    found = summary["paths"]
    assert (found["folds"], found["groups"], found["test_groups"]) == (6, 4, 2)
    assert [row["path"] for row in found["paths"]] == [0, 1, 2]
    assert {row["name"] for row in found["models"]} == {"gru", "ridge", "zero"}
    assert all(row["net_sharpe"] is not None for row in found["paths"])
    # All sessions are tested, not only the walk-forward's.
    assert found["first"] < summary["span"]["first"]
    assert found["dates"] > summary["span"]["dates"] == 2 * 60
    assert [fold["fold"] for fold in summary["plan"]] == [*range(8), -1]


def test_verdict_intervals_and_refit_are_those_of_the_walk_forward(crossed):
    root, bundle, evaluation = crossed
    predictions = evaluation.frame(root, "predictions.parquet")
    assert set(predictions["fold"]) == {0, 1}
    assert set(evaluation.frame(root, "curves.parquet")["fold"]) == {0, 1}
    fits = [json.loads(f.read_text()) for f in root.glob("artifacts/fold/*/summary.json")]
    assert sorted(fit["fold"] for fit in fits) == list(range(8))
    walked = median(fit["best_epoch"] for fit in fits if fit["fold"] < 2)
    # Halves round up.
    assert bundle.manifest["training"]["refit_epochs"] == ceil(walked)


def test_the_report_shows_the_plan_and_the_paths(crossed):
    root, *_ = crossed
    (page,) = (root / "reports").glob("*.html")
    text = page.read_text()
    assert 'id="plot-plan"' in text
    assert "Combinatorial paths" in text
    assert "2 of 4 groups tested in every combination" in text
