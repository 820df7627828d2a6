"""The directions of the house: flows → tasks → models, and never back."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGES = ("flows", "tasks", "models")
# What two stages may share lies here.
SHARED = ("tasks.lake", "models")
MODELS_MAY = {"torch", "numpy", "safetensors", "models"}
CLOCK = {"now", "today", "utcnow", "time", "perf_counter", "monotonic"}


def sources(home: Path = HOME) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((home / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def at_import(tree: ast.Module) -> ast.Module:
    """The tree without the bodies of its functions: what runs when the module is imported."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
            node.body = [ast.Pass()]
            return node

        def visit_Lambda(self, node: ast.Lambda) -> ast.Constant:
            return ast.Constant(None)

    return ast.fix_missing_locations(Strip().visit(tree))


def breaks(path: str, source: str) -> list[str]:
    """Returns what a file at `path` (relative to the home) breaks."""
    tree = ast.parse(source)
    parts = Path(path).with_suffix("").parts
    room, shell = parts[0], Path(path).name == "task.py"
    found = []
    for name in imported(tree):
        top = name.split(".")[0]
        if room == "models" and top in ("flows", "tasks"):
            found.append(f"models imports {name}")
        if room == "tasks" and top == "flows":
            found.append(f"tasks imports {name}")
        if room == "tasks" and top == "tasks" and not name.startswith(("tasks.lake", "tasks.__")):
            stage = name.split(".")[1] if "." in name else ""
            if stage != parts[1]:
                found.append(f"stage {parts[1]} imports {name}")
        if top == "prefect" and room != "flows" and not shell:
            found.append(f"prefect in {path}")
        if top == "deltalake" and parts[:2] != ("tasks", "lake"):
            found.append(f"deltalake in {path}")
        if top == "yfinance" and path != "tasks/ingest/providers/yahoo.py":
            found.append(f"yfinance in {path}")
    running = at_import(ast.parse(source))
    if room == "models":
        for name in imported(running):
            top = name.split(".")[0]
            if top not in MODELS_MAY and top not in sys.stdlib_module_names:
                found.append(f"models imports {name} at import")
    for node in ast.walk(running):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = getattr(node.func.value, "id", getattr(node.func.value, "attr", ""))
            if owner in ("datetime", "date", "time") and node.func.attr in CLOCK:
                found.append(f"the clock is read at import: {owner}.{node.func.attr}")
    if path in ("flows/tasks.py", "flows/models.py"):
        found.append(f"{path} hides a package from Prefect's workers")
    return found


@pytest.mark.parametrize(
    "path", [p.relative_to(HOME).as_posix() for p in sources()], ids=lambda p: p
)
def test_a_file_keeps_the_directions(path):
    assert breaks(path, (HOME / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("models/fit.py", "from tasks.lake import store"),
        ("models/fit.py", "import flows.train"),
        ("models/fit.py", "import polars as pl"),
        ("models/fit.py", "from pydantic import BaseModel"),
        ("tasks/windows/plan.py", "from flows.config import RunConfig"),
        ("tasks/windows/plan.py", "from tasks.features.spec import FeatureSpec"),
        ("tasks/windows/plan.py", "def f():\n    import prefect"),
        ("tasks/windows/plan.py", "import deltalake"),
        ("tasks/ingest/providers/files.py", "import yfinance as yf"),
        ("tasks/lake/store.py", "from prefect import task"),
        ("tasks/lake/store.py", "from tasks.ingest.quality import check"),
        ("tasks/lake/store.py", "from datetime import datetime\nNOW = datetime.now()"),
        ("tasks/lake/store.py", "import time\ndef f(at=1):\n    pass\nAT = time.time()"),
        ("flows/tasks.py", ""),
    ],
)
def test_a_broken_file_is_caught(path, source):
    assert breaks(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("models/baselines.py", "def f():\n    from sklearn.linear_model import Ridge"),
        ("tasks/windows/task.py", "from prefect import task"),
        ("tasks/windows/plan.py", "from models.scaler import Scaler"),
        ("tasks/windows/plan.py", "from tasks.lake.panel import PanelArrays"),
        ("flows/train.py", "from tasks.features.spec import FeatureSpec"),
        ("tasks/lake/store.py", "def f():\n    return datetime.now(UTC)"),
    ],
)
def test_what_is_allowed_is_let_through(path, source):
    assert breaks(path, source) == []


def test_help_brings_neither_prefect_nor_torch():
    script = (
        "import sys\n"
        "sys.argv = ['nightcast', '--help']\n"
        "from flows.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'prefect', 'torch', 'polars', 'numba'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
