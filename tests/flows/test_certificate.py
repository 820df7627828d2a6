"""What a whole run makes of its causality certificate, clean and not."""

import json
from pathlib import Path

import pytest

from models.bundle import load_bundle
from tasks.evaluation.certificate.verdict import CHECKS
from tests.faults.canaries.defects import scaler_over_all_rows
from tests.flows.tiny import TRAINED_TO, read, run


def bundles(root):
    return [load_bundle(path) for path in (root / "artifacts" / "bundle").iterdir()]


def test_a_run_leaves_its_certificate_in_bundle_card_and_report(trained):
    (bundle,) = bundles(trained.root)
    certificate = bundle.manifest["certificate"]
    assert [check["name"] for check in certificate["checks"]] == [*CHECKS]
    assert certificate["holds"]
    assert all(check["trials"] for check in certificate["checks"])
    assert len(certificate["cutoffs"]) == 8
    said = "10 checks"
    assert f"Certificate: {said}" in bundle.card
    page = Path(trained.train.outcome["report"]).read_text()
    assert f"Certificate: {said}" in page
    assert "of this run so far" in page


def test_a_leaking_run_fails_by_the_leaks_name_and_keeps_all_but_the_promotion(
    prefect_api, world, tmp_path, monkeypatch
):
    scaler_over_all_rows(monkeypatch)
    leaking = run("train", tmp_path, world, TRAINED_TO)
    assert leaking.state.is_failed()
    with pytest.raises(Exception, match=r"not clean: .*fit inputs: the .* of fold 0 change"):
        leaking.state.result()
    decided = read(tmp_path, "registry").sort("sequence")
    assert decided["event"].to_list() == ["candidate", "rejected"]
    assert "certificate is not clean: " in json.loads(decided["evidence"][1])["reason"]
    assert read(tmp_path, "trials")["status"].to_list() == ["completed"]
    (bundle,) = bundles(tmp_path)
    assert not bundle.manifest["certificate"]["holds"]
    (report,) = (tmp_path / "reports").iterdir()
    assert "The causality proof failed." in report.read_text()
