import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.lake.cachekey import code_digest, modules_behind, stage_key

HOME = Path(__file__).parents[2]
MODELS = sorted(path.name for path in (HOME / "models").glob("*.py"))
# Intervals are made by evaluation and used by forecasting; what is fitted does not see them.
NOT_TRAINED_WITH = {"export.py", "intervals.py", "novelty.py"}


@pytest.fixture
def copy(tmp_path):
    for package in ("flows", "tasks", "models"):
        shutil.copytree(
            HOME / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def digest(home, module="tasks.training.task"):
    # A process keeps a digest for as long as it lives; here the code changes under it.
    code_digest.cache_clear()
    return code_digest(module, home)


def edit(path):
    path.write_text(path.read_text() + "\n# edited\n")


def test_editing_any_file_of_models_that_training_runs_changes_its_digest(copy):
    seen = {digest(copy)}
    unseen = set()
    for count, name in enumerate(MODELS, start=2):
        edit(copy / "models" / name)
        seen.add(digest(copy))
        if len(seen) + len(unseen) < count:
            unseen.add(name)
    assert unseen == NOT_TRAINED_WITH


def test_what_training_does_not_see_changes_evaluation_and_forecasting(copy):
    stages = [f"tasks.{stage}.task" for stage in ("evaluation", "forecasting", "training")]
    before = [digest(copy, stage) for stage in stages]
    edit(copy / "models" / "intervals.py")
    changed = [old != digest(copy, stage) for old, stage in zip(before, stages, strict=True)]
    assert changed == [True, True, False]


@pytest.mark.parametrize(
    "name", ["tasks/training/folds.py", "tasks/training/spec.py", "tasks/lake/panel.py",
             "tasks/lake/__init__.py", "tasks/lake/store.py"]
)  # fmt: skip
def test_editing_a_file_behind_training_changes_its_digest(copy, name):
    before = digest(copy)
    edit(copy / name)
    assert digest(copy) != before


@pytest.mark.parametrize("name", ["flows/cli.py", "flows/train.py", "tasks/ingest/quality.py"])
def test_editing_an_unrelated_file_changes_nothing(copy, name):
    before = digest(copy)
    edit(copy / name)
    assert digest(copy) == before


def test_the_place_of_the_code_does_not_count(copy):
    assert digest(copy) == digest(HOME) == code_digest("tasks.training.task")


def test_every_way_to_import_is_followed(tmp_path):
    sources = {
        "tasks/a.py": "import models.b\nfrom models import c\nfrom models.d import name\n",
        "models/b.py": "def late():\n    from models import e\n",
        "models/c.py": "import numpy\nimport models.absent\n",
        "models/d.py": "if True:\n    import models.f as g\n",
        "models/e.py": "import models.b  # in a ring\n",
        "models/f.py": "import other.package\n",
        "models/lonely.py": "",
        "models/__init__.py": "",
        "tasks/__init__.py": "",
    }
    for path, text in sources.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    found = modules_behind("tasks.a", tmp_path)
    assert found == {"tasks.a", "models", *(f"models.{x}" for x in "bcdef")}


def key(stage="fold", module="tasks.windows.plan", device="cpu", inputs=({"seed": 0}, "parent")):
    return stage_key(stage, module, device, *inputs)


def test_the_key_changes_with_stage_code_device_and_every_input():
    others = [
        key(stage="refit"),
        key(module="tasks.windows.splits"),
        key(device="cuda"),
        key(inputs=({"seed": 1}, "parent")),
        key(inputs=({"seed": "0"}, "parent")),
        key(inputs=({"seed": 0}, "other")),
        key(inputs=({"seed": 0},)),
        key(inputs=("parent", {"seed": 0})),
        key(inputs=({"seed": 0, "x": None}, "parent")),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert key().startswith("fold-")


@pytest.mark.parametrize("library", ["torch", "polars", "numpy", "numba", "scikit-learn"])
def test_the_key_changes_with_the_version_of_each_library(tmp_path, monkeypatch, library):
    before = key()
    about = tmp_path / f"{library.replace('-', '_')}-0.0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert key() != before


def test_the_key_is_the_same_in_another_process_at_another_place(tmp_path):
    program = (
        "from tasks.lake.cachekey import stage_key\n"
        "print(stage_key('fold', 'tasks.windows.plan', 'cpu', {'seed': 0}, 'parent'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(HOME)}
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert made.stdout.strip() == key()
