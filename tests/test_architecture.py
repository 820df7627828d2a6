"""The directions of the house: flows → tasks → models, and never back."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGES = ("flows", "tasks", "models")
# `models` runs as it is on a bare machine: these at import, those inside functions too.
AT_IMPORT = {"torch", "numpy", "safetensors", "models", *sys.stdlib_module_names}
INSIDE = {"sklearn", "numba", "threadpoolctl", "onnx", "onnxscript"}
# It knows neither clock, network nor disk; the bundle is a folder, and the device's settings are
# variables of the environment.
OUTSIDE_WORLD = {
    "time",
    "datetime",
    "socket",
    "http",
    "urllib",
    "shutil",
    "tempfile",
    "os",
    "pathlib",
}
MAY_TOUCH = {"models/bundle.py": {"os", "pathlib"}, "models/device.py": {"os"}}
CLOCK = {"now", "today", "utcnow", "time", "time_ns", "perf_counter", "monotonic", "localtime"}


def sources(home: Path = HOME) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((home / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of modules; `from tasks import lake` names tasks.lake."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module in PACKAGES:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def at_import(tree: ast.Module) -> ast.Module:
    """The tree without the bodies of its functions: what runs when the module is imported."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
            node.body = [ast.Pass()]
            return node

        visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

        def visit_Lambda(self, node: ast.Lambda) -> ast.Constant:
            return ast.Constant(None)

    return ast.fix_missing_locations(Strip().visit(tree))


def wrong_directions(path: str, tree: ast.Module) -> Iterator[str]:
    room, *inner = Path(path).with_suffix("").parts
    for name in imported(tree):
        top, *rest = name.split(".")
        if (room, top) in {("models", "flows"), ("models", "tasks"), ("tasks", "flows")}:
            yield f"{room} imports {top}"
        if room == top == "tasks" and rest[:1] not in ([inner[0]], ["lake"]):
            yield f"stage {inner[0]} imports {name}"
        if top == "prefect" and room != "flows" and (room, *inner[1:]) != ("tasks", "task"):
            yield "prefect outside flows and shells"
        if top == "deltalake" and (room, inner[0]) != ("tasks", "lake"):
            yield "deltalake outside the lake"
        if top == "yfinance" and path != "tasks/ingest/providers/yahoo.py":
            yield "yfinance outside its provider"
    if path in ("flows/tasks.py", "flows/models.py"):
        yield "a name that hides a package from Prefect's workers"


def foreign_to_models(path: str, tree: ast.Module) -> Iterator[str]:
    for name in imported(tree):
        top = name.split(".")[0]
        if top not in AT_IMPORT | INSIDE:
            yield f"models imports {top}"
        if top in OUTSIDE_WORLD - MAY_TOUCH.get(path, set()):
            yield f"models knows {top}"
    for name in imported(at_import(tree)):
        if name.split(".")[0] in INSIDE:
            yield f"models imports {name} at import"


def clocks_at_import(tree: ast.Module) -> Iterator[str]:
    loose = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
    }
    for node in ast.walk(at_import(tree)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in CLOCK:
                yield "the clock is read at import"
            if isinstance(called, ast.Name) and called.id in loose:
                yield "the clock is read at import"


def hidden_imports(tree: ast.Module) -> Iterator[str]:
    """Imports that neither these rules nor the keys of finished stages would see."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield "a relative import"
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "__import__"):
                yield "an import by a text"


def breaks(path: str, source: str) -> list[str]:
    """Returns what a file at `path` (relative to the home) breaks."""
    found = [*wrong_directions(path, ast.parse(source)), *clocks_at_import(ast.parse(source))]
    found += hidden_imports(ast.parse(source))
    if path.startswith("models/"):
        found += foreign_to_models(path, ast.parse(source))
    return found


@pytest.mark.parametrize(
    "path", [p.relative_to(HOME).as_posix() for p in sources()], ids=lambda p: p
)
def test_a_file_keeps_the_directions(path):
    assert breaks(path, (HOME / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("models/fit.py", "from tasks.lake import store", "models imports tasks"),
        ("models/fit.py", "import flows.train", "models imports flows"),
        ("models/fit.py", "import polars as pl", "models imports polars"),
        (
            "models/fit.py",
            "def f():\n    from pydantic import BaseModel",
            "models imports pydantic",
        ),
        ("models/fit.py", "import sklearn.linear_model", "at import"),
        ("models/fit.py", "if True:\n    from numba import njit", "at import"),
        ("models/fit.py", "class A:\n    import numba", "at import"),
        ("models/fit.py", "def f():\n    import time", "models knows time"),
        ("models/fit.py", "import os", "models knows os"),
        ("models/fit.py", "from urllib.request import urlopen", "models knows urllib"),
        ("models/device.py", "from pathlib import Path", "models knows pathlib"),
        ("models/task.py", "def f():\n    import prefect", "prefect outside"),
        ("tasks/windows/plan.py", "from flows.config import RunConfig", "tasks imports flows"),
        ("tasks/windows/plan.py", "import tasks.features.spec", "stage windows imports"),
        ("tasks/windows/plan.py", "from tasks import features", "stage windows imports"),
        (
            "tasks/windows/task.py",
            "def f():\n    from tasks.training import folds",
            "stage windows",
        ),
        ("tasks/lake/store.py", "from tasks.ingest.quality import check", "stage lake imports"),
        ("tasks/windows/plan.py", "def f():\n    import prefect", "prefect outside"),
        ("tasks/ingest/providers/task.py", "import prefect.states", "prefect outside"),
        ("tasks/lake/store.py", "from prefect import task", "prefect outside"),
        ("tasks/windows/plan.py", "import deltalake", "deltalake outside"),
        ("flows/show.py", "from deltalake import DeltaTable", "deltalake outside"),
        ("tasks/ingest/providers/files.py", "import yfinance as yf", "yfinance outside"),
        ("flows/tasks.py", "", "hides a package"),
        ("flows/models.py", "", "hides a package"),
        ("tasks/lake/store.py", "NOW = datetime.now(UTC)", "the clock is read"),
        ("tasks/lake/store.py", "import time\nAT = time.time()", "the clock is read"),
        ("flows/train.py", "from time import perf_counter as t\nAT = t()", "the clock is read"),
        ("flows/train.py", "class A:\n    day: date = date.today()", "the clock is read"),
        ("flows/train.py", "def f(now=datetime.datetime.now()):\n    pass", "the clock is read"),
        ("flows/train.py", "@at(date.today())\ndef f():\n    pass", "the clock is read"),
        ("tasks/windows/plan.py", "from ..features import spec", "a relative import"),
        ("tasks/windows/plan.py", "from . import splits", "a relative import"),
        ("tasks/windows/plan.py", "import importlib\nimportlib.import_module('x')", "by a text"),
        ("tasks/windows/plan.py", "__import__('prefect')", "by a text"),
    ],
)
def test_a_broken_file_is_caught_by_its_rule(path, source, rule):
    assert any(rule in found for found in breaks(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("models/baselines.py", "def f():\n    from sklearn.linear_model import Ridge"),
        ("models/baselines.py", "import math\nfrom models import errors"),
        ("models/bundle.py", "import os\nfrom pathlib import Path"),
        ("tasks/windows/task.py", "from prefect import task"),
        ("tasks/windows/plan.py", "from models.scaler import Scaler"),
        ("tasks/windows/plan.py", "from tasks.lake.panel import PanelArrays"),
        ("tasks/windows/plan.py", "from tasks.windows.splits import walk_forward"),
        ("tasks/ingest/providers/yahoo.py", "import yfinance"),
        ("tasks/lake/store.py", "import deltalake"),
        ("flows/train.py", "import prefect\nfrom tasks.features.spec import FeatureSpec"),
        ("tasks/lake/store.py", "def f():\n    return datetime.now(UTC)"),
        ("tasks/lake/store.py", "f = lambda: date.today()"),
        ("tasks/lake/store.py", "async def f():\n    return time.time()"),
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
