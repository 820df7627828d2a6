import ast
import hashlib
import json
from pathlib import Path

import pytest
import torch

import models
from models.bundle import CARD, MANIFEST, WEIGHTS, FileCheckpoint, load_bundle, save_bundle
from models.checkpoint import FitState
from models.errors import ModelError
from tests.models.cases import recurrent, same

SETS = [recurrent()().state_dict() for _ in range(3)]
SPEC = {"lookback": 20, "features": ["rsi(14)"], "target": {"horizon": 1, "scale": 0.1 + 0.2}}
CONTENT = {"weights": SETS, "manifest": SPEC, "card": "# Karte ✓\n"}


@pytest.fixture
def folder(tmp_path):
    save_bundle(tmp_path / "models" / "m1", **CONTENT)
    return tmp_path / "models" / "m1"


def test_a_bundle_comes_back_as_it_was(folder):
    bundle = load_bundle(folder)
    assert (bundle.manifest, bundle.card) == (SPEC, "# Karte ✓\n")
    assert len(bundle.weights) == 3
    assert all(same(left, right) for left, right in zip(bundle.weights, SETS, strict=True))
    assert bundle.sha256 == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, CARD, WEIGHTS]


def test_saving_the_same_again_changes_nothing_and_other_content_is_refused(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert save_bundle(folder, **CONTENT) == load_bundle(folder).sha256
    for other in ({"card": "other"}, {"weights": SETS[:2]}, {"manifest": {}}):
        with pytest.raises(ModelError, match="never overwritten"):
            save_bundle(folder, **CONTENT | other)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_tampered_file_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} was changed after it was published"):
        load_bundle(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CARD, MANIFEST])
def test_a_missing_file_is_refused_by_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} cannot be read .No such file"):
        load_bundle(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1}', "\x00"])
def test_a_broken_index_is_refused(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ModelError, match="is no bundle index"):
        load_bundle(folder)


def test_a_bundle_of_another_format_is_refused(folder):
    index = json.loads((folder / MANIFEST).read_text()) | {"format": 2}
    (folder / MANIFEST).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="has format 2, this nightcast reads format 1"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": []}, "0 weight sets"),
        ({"manifest": {"loss": float("nan")}}, "is no JSON"),
        ({"manifest": {"path": Path()}}, "is no JSON"),
    ],
)
def test_what_cannot_be_a_bundle_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ModelError, match=message):
        save_bundle(tmp_path / "m1", **CONTENT | changes)
    assert not (tmp_path / "m1").exists()


def test_the_index_is_not_there_before_all_other_files_are(tmp_path):
    (tmp_path / "m1" / f"{CARD}.tmp").mkdir(parents=True)  # the card cannot be written
    with pytest.raises(ModelError, match=CARD):
        save_bundle(tmp_path / "m1", **CONTENT)
    assert not (tmp_path / "m1" / MANIFEST).exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_former_one(tmp_path):
    checkpoint, first = FileCheckpoint(tmp_path / "fit"), FitState({"a": torch.ones(1)}, {"n": 1})
    checkpoint.save(first)
    (tmp_path / "fit.tmp").mkdir()
    with pytest.raises(ModelError, match=r"Is a directory\. What fit held before is kept"):
        checkpoint.save(FitState({"a": torch.zeros(1)}, {"n": 2}))
    assert checkpoint.load().record == first.record


def test_a_save_cut_off_before_its_last_file_leaves_no_bundle_and_heals(folder):
    whole = load_bundle(folder).sha256
    (folder / MANIFEST).unlink()
    (folder / WEIGHTS).write_bytes(b"half")
    with pytest.raises(ModelError, match=r"bundle\.json cannot be read"):
        load_bundle(folder)
    assert save_bundle(folder, **CONTENT) == whole
    assert load_bundle(folder).sha256 == whole


def test_a_checkpoint_comes_back_exactly(tmp_path):
    checkpoint = FileCheckpoint(tmp_path / "deep" / "fit.safetensors")
    assert checkpoint.load() is None
    record = {"loss": 0.1 + 0.2, "stop": None, "curve": [{"epoch": 1}], "name": "ü"}
    tensors = {"a/b": torch.randn(3, 2), "step": torch.tensor(4.0)}
    checkpoint.save(FitState({"a/b": torch.zeros(1)}, {}))
    checkpoint.save(FitState(tensors, record))
    state = checkpoint.load()
    assert state.record == record
    assert same(state.tensors, tensors)
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["fit.safetensors"]


def test_a_broken_checkpoint_is_an_error_and_not_a_fresh_start(tmp_path):
    path = tmp_path / "fit.safetensors"
    FileCheckpoint(path).save(FitState({"a": torch.zeros(100)}, {}))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"cannot be read .* delete it to start this fit anew"):
        FileCheckpoint(path).load()


def test_no_pickle_is_written_or_read_anywhere():
    for path in Path(models.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}, path
        called = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        assert not called & {"torch.save", "torch.load", "np.save", "np.load"}, path
