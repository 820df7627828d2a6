from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.bundle import Bundle
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.publishing.manifest import build_manifest, causality_of, certificate_of, leaking
from tasks.publishing.material import report_material
from tasks.publishing.registry import Entry
from tests.publishing import material

CUTOFF = date(2012, 11, 30)
PROOF = {"holds": True, "sentence": "12 checks, 1,640 trials, no feature saw the future."}
CERTIFICATE = {"holds": True, "sentence": "10 checks, 340 trials, nothing came from the future."}

STANDING = Entry(
    "sample", "gru-h1-20121130", "champion", "first", CUTOFF, CUTOFF,
    Artifact(kind="bundle", key="k", uri="", sha256="0", rows=1),
    {"verdict": {"label": "no edge"}, "reason": "there was no champion."},
    datetime(2012, 12, 1, tzinfo=UTC),
)  # fmt: skip
LOOKS = {"mean": [0.0], "axes": [[1.0]], "variances": [1.0], "rest": 0.001, "threshold": 3.5}


def manifest(evaluation: Artifact, proof: dict[str, Any]) -> dict[str, Any]:
    recipe = {
        "name": "sample", "universe": {"exchange": "XNYS"}, "provider": {"kind": "sample"},
        "target": {"kind": "open_to_open", "horizon": 1},
        "features": {"features": ["rsi(14)"], "lookback": 126}, "window": {"lookback": 20},
        "network": {"cell": "gru"}, "training": {"seeds": [0], "max_windows_per_epoch": None},
        "splits": {"folds": 4, "scheme": "rolling", "test": 60},
    }  # fmt: skip
    span = {"start": "2000-10-02", "end": "2012-11-29", "labels_by": "2012-11-30"}
    known_by = datetime(2026, 11, 20, 22, 10, tzinfo=UTC)
    return build_manifest(
        model="gru-h1-20121130",
        recipe=recipe,
        symbols=["AAPL", "IBM"],
        refit={"spans": {"fit": span}, "windows": {"fit": 9_012}, "scaler": {}, "novelty": LOOKS},
        epochs=4,
        known=["AAPL", "IBM"],
        levels={"sector": ("Technology",)},
        evaluation=evaluation,
        summary={**material.make_summary(), "offsets": {}},
        tables=[
            TableRef(table="bars", cutoff=CUTOFF, known_by=known_by, symbols=(), rows=1, digest="0")
        ],
        survivorship="Nobody is missing.",
        fingerprint={"device": "cpu"},
        causality=proof,
        certificate=CERTIFICATE,
    )


@pytest.fixture
def evaluation(tmp_path: Path) -> Artifact:
    days = material.sessions(20)
    frames = {
        "daily": material.make_daily(days), "equity": material.make_equity(days),
        "curves": material.make_curves(), "predictions": material.make_predictions(["A"], days),
    }  # fmt: skip
    return write_artifact(tmp_path, "evaluation", "k", write_frames(frames, {"network": "gru"}))


def test_the_manifest_carries_the_certificate_as_it_is(evaluation: Artifact):
    made = manifest(evaluation, PROOF)
    assert made["causality"] == PROOF
    assert causality_of(made) == PROOF["sentence"]


def test_the_manifest_carries_the_certificate_of_the_whole_run(evaluation: Artifact):
    made = manifest(evaluation, PROOF)
    assert made["certificate"] == CERTIFICATE
    assert certificate_of(made) == CERTIFICATE["sentence"]
    assert certificate_of({}) == "no certificate was made when this model was trained."


@pytest.mark.parametrize(
    ("proof", "certificate", "leaks"),
    [
        (True, True, False), (True, False, True), (False, True, True), (True, None, False),
        (None, None, None),
    ],
)  # fmt: skip
def test_a_model_leaks_where_either_says_so(
    proof: bool | None, certificate: bool | None, leaks: bool | None
):
    said = {"causality": proof, "certificate": certificate}
    assert leaking({k: {"holds": v} for k, v in said.items() if v is not None}) is leaks


def test_the_manifest_carries_the_statistics_of_what_was_fitted_on(evaluation: Artifact):
    assert manifest(evaluation, PROOF)["novelty"] == LOOKS


def test_the_manifest_carries_the_levels_of_the_covariates(evaluation: Artifact):
    assert manifest(evaluation, PROOF)["levels"] == {"sector": ["Technology"]}


def test_a_manifest_from_before_the_proof_does_not_pass_for_a_proved_one():
    assert causality_of({}) == "not proved when this model was trained."


def test_the_report_of_a_run_that_was_not_tried_in_full_says_so_and_not_that_it_leaks(
    tmp_path: Path, evaluation: Artifact
):
    untried = [{"name": "orders", "trials": 0, "leak": None}]
    told = {"holds": False, "sentence": "could not be tried: orders.", "checks": untried}
    values = manifest(evaluation, PROOF) | {"certificate": told}
    assert leaking(values) is False
    bundle = Bundle(values, weights=[], card="", sha256="0")
    made = report_material(tmp_path, bundle, None, material.make_curves().clear(), STANDING)
    assert made.causal is False
    assert made.model["state"] == STANDING.state


@pytest.mark.parametrize(
    ("proof", "causal"), [(PROOF, True), (PROOF | {"holds": False}, False), (None, None)]
)
def test_the_report_is_told_whether_the_proof_held(
    tmp_path: Path, evaluation: Artifact, proof: dict[str, Any] | None, causal: bool | None
):
    values = manifest(evaluation, proof or {})
    if proof is None:
        # As in bundles from before there were proofs.
        del values["causality"], values["certificate"]
    bundle = Bundle(values, weights=[], card="", sha256="0")
    made = report_material(tmp_path, bundle, None, material.make_curves().clear(), STANDING)
    assert made.causal is causal
    assert made.causality == causality_of(bundle.manifest)
    assert made.certificate == certificate_of(bundle.manifest)
    state = "refused: it leaks" if causal is False else "champion (first, no edge)"
    assert made.model["state"] == state
    assert made.facts["Gate"] == "champion (first, no edge): there was no champion."


def test_the_report_says_what_share_of_the_run_the_certificate_took(
    tmp_path: Path, evaluation: Artifact
):
    bundle = Bundle(manifest(evaluation, PROOF), weights=[], card="", sha256="0")
    refused = material.make_curves().clear()
    made = report_material(tmp_path, bundle, None, refused, STANDING, certified_in=(3.0, 40.0))
    assert made.facts["Certificate made in"] == "3.0 s, 7.5% of this run so far"
    later = report_material(tmp_path, bundle, None, refused, STANDING)
    assert "Certificate made in" not in later.facts
