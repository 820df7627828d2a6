"""Keys of finished stages: equal keys mean equal inputs, equal code and equal libraries.

Prefect's own policies do not serve here: `INPUTS` does not know the task, `TASK_SOURCE` sees only
the decorated function and not the modules it calls. So a key digests the source of every module of
flows, tasks and models that the stage imports, found by walking `import` statements.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tasks.lake.artifacts import digest_text

_PACKAGES = ("flows", "tasks", "models")
# The calendars decide about sessions, and with them about labels and holidays.
_LIBRARIES = ("torch", "polars", "numpy", "numba", "scikit-learn", "exchange-calendars")


def stage_key(stage: str, module: str, device: str, *inputs: object) -> str:
    """Returns `stage-<digest>` of inputs, code, library versions and device type.

    Args:
        stage: The stage's word, such as `features`; it starts the key and makes it readable.
        module: The module whose code the stage runs, such as `tasks.training.task`.
        device: `cpu` or `cuda`.
        inputs: JSON-ready values: parents' digests, specs, seeds.
    """
    versions = {name: version(name) for name in _LIBRARIES}
    return f"{stage}-{digest_text(stage, code_digest(module), versions, device, inputs)}"


@cache
def code_digest(module: str, home: Path | None = None) -> str:
    """Returns the SHA-256 over the sources of `module` and of all it imports from our packages.

    Args:
        module: A dotted name.
        home: The folder that holds the packages; this installation's by default.
    """
    home = home or Path(__file__).parents[2]
    digest = hashlib.sha256()
    for name in sorted(modules_behind(module, home)):
        source = _source(home, name)
        digest.update(name.encode() + b"\0" + (source.read_bytes() if source else b"") + b"\0")
    return digest.hexdigest()


def modules_behind(module: str, home: Path) -> set[str]:
    """Returns the names of our modules that `module` imports, directly or through others."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source(home, name)
        if name not in seen and path is not None:
            seen.add(name)
            waiting += _imports(path)
    return seen


def _source(home: Path, name: str) -> Path | None:
    base = home.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from models import fit` names a module, `from models.fit import fit` a function.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] in _PACKAGES:
                # Importing a.b.c runs a/__init__.py and a/b/__init__.py too.
                yield from (".".join(parts[: i + 1]) for i in range(len(parts)))
