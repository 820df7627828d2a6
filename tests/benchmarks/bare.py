"""A flow without its engine: the same function calls the same stages in the same order.

Every task that a flow's module names is replaced by its bare function. What a user waits for
(lake, artifacts, contracts, digests) stays; Prefect's server, database and states do not. As the
flow itself says what runs, this follows it by itself.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from types import ModuleType
from typing import Any

from prefect import Task

from tasks.lake.task import CachedStage
from tests.benchmarks.meter import Meter

_POOL = ThreadPoolExecutor()


class BareTask:
    """A task or cached stage that runs in place, measured under its name where a meter is given."""

    def __init__(self, task: Any, meter: Meter | None) -> None:
        self._task = task
        self._meter = meter
        self._name: str = task.kind if isinstance(task, CachedStage) else task.name

    def __call__(self, *given: Any, **inputs: Any) -> Any:
        """Runs the function; a stage's own key is part of its cost."""
        with self._meter(self._name) if self._meter else nullcontext():
            if isinstance(self._task, CachedStage):
                inputs["key"] = self._task.key(inputs)
            return self._task.fn(*given, **inputs)

    def submit(self, *given: Any, **inputs: Any) -> Future[Any]:
        """Runs the function in a thread, as Prefect's default task runner does."""
        return _POOL.submit(self, *given, **inputs)


def strip(module: ModuleType, meter: Meter | None = None) -> None:
    """Replaces all tasks in `module` by bare ones.

    Args:
        module: A module whose functions call tasks by name.
        meter: Measures each task; None where tasks run at the same time, and as one are measured.
    """
    for name, value in list(vars(module).items()):
        if isinstance(value, Task | CachedStage):
            setattr(module, name, BareTask(value, meter))


def measured(function: Callable[..., Any], meter: Meter, stage: str) -> Callable[..., Any]:
    """Returns `function`, measured as `stage`."""

    def call(*given: Any, **inputs: Any) -> Any:
        with meter(stage):
            return function(*given, **inputs)

    return call
