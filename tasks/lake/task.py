"""The one way a stage becomes a Prefect task whose result is an artifact.

A stage's function takes the data root, its inputs and `key`; the decorator computes the key from
everything but the root, so that Prefect finds a finished result, and `write_artifact` a place for
a new one. A result whose files are gone is made again: then the cached record is passed over.
"""

import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import MissingContextError
from prefect.futures import PrefectFuture
from pydantic import BaseModel

from models.errors import NightcastError
from tasks.lake.artifacts import Artifact, TableRef, is_complete
from tasks.lake.cachekey import stage_key
from tasks.lake.store import take_reference
from tasks.lake.trials import TrialsRef, refer_to_trials

# What decides where a result lies or how it is made, but not what it is.
_NOT_INPUTS = {"root", "lake", "device"}


class CachedStage:
    """A stage as a callable that runs as a cached Prefect task; `fn` is the bare function."""

    def __init__(self, kind: str, function: Callable[..., Artifact], run_name: str) -> None:
        self.kind = kind
        self.fn = function
        self._module = function.__module__
        self._task: Task[..., Artifact] = Task(
            self._shell(),
            name=kind,
            task_run_name=run_name,
            cache_key_fn=lambda _, parameters: self.key(parameters),
            persist_result=True,
            result_serializer="json",
        )

    def key(self, inputs: Mapping[str, Any]) -> str:
        """Returns the key of the result that `inputs` lead to."""
        plain = {k: _identity(v) for k, v in inputs.items() if k not in _NOT_INPUTS}
        return stage_key(self.kind, self._module, str(inputs.get("device", "cpu")), plain)

    def __call__(self, **inputs: Any) -> Artifact:
        """Runs the stage, or returns its finished result while all its files are there."""
        return self._ready(inputs)(**inputs)

    def submit(self, **inputs: Any) -> PrefectFuture[Artifact]:
        """Hands a run to the flow's task runner, like a call that does not wait for its end."""
        return self._ready(inputs).submit(**inputs)

    def _ready(self, inputs: Mapping[str, Any]) -> Task[..., Artifact]:
        complete = is_complete(Path(inputs["root"]), self.kind, self.key(inputs))
        return self._task.with_options(refresh_cache=not complete)

    def _shell(self) -> Callable[..., Artifact]:
        signature = inspect.signature(self.fn)
        kept = [p for name, p in signature.parameters.items() if name != "key"]

        @functools.wraps(self.fn)
        def shell(*args: Any, **kwargs: Any) -> Artifact:
            inputs = dict(zip((p.name for p in kept), args, strict=False)) | kwargs
            key = self.key(inputs)
            began = time.perf_counter()
            log(f"{self.kind} begins key={key}")
            artifact = self.fn(**inputs, key=key)
            seconds = time.perf_counter() - began
            log(
                f"{self.kind} done key={key} rows={artifact.rows} seconds={seconds:.1f} "
                f"sha256={artifact.sha256[:12]}"
            )
            return artifact

        shell.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return shell


def cached_stage(kind: str, run_name: str) -> Callable[[Callable[..., Artifact]], CachedStage]:
    """Turns `function(root, …, key)` into a cached Prefect task of artifacts of `kind`.

    Args:
        kind: The artifact's kind and the task's name.
        run_name: Template of the task run's name over the function's parameters.
    """
    return lambda function: CachedStage(kind, function, run_name)


def may_heal(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Tells whether a failure is worth a retry: our own errors are certain, others may heal."""
    return not isinstance(state.result(raise_on_failure=False), NightcastError)


# Options of a task that appends to a table: never cached, and tried again where that may help.
WRITES_TO_LAKE: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 2,
    "retry_delay_seconds": 2,
    "retry_condition_fn": may_heal,
}


@task(name="snapshot", task_run_name="snapshot {table} of {symbols[0]} …", cache_policy=NO_CACHE)
def snapshot(
    lake: str, table: str, symbols: Sequence[str], cutoff: date, known_by: datetime
) -> TableRef:
    """Fixes what the stages after it read of a table, by both clocks and a digest."""
    return take_reference(lake, table, symbols, cutoff, known_by)


@task(name="snapshot trials", task_run_name="snapshot trials", cache_policy=NO_CACHE)
def snapshot_trials(lake: str, trial: dict[str, Any], known_by: datetime) -> TrialsRef:
    """Fixes which trials an evaluation counts beside its own, by both clocks and a digest."""
    return refer_to_trials(lake, trial, known_by)


def _identity(value: Any) -> Any:
    """Returns what of a parameter decides the result: of a reference, what it says of itself."""
    if isinstance(value, Artifact | TableRef | TrialsRef):
        return value.identity
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_identity(v) for v in value]
    return value


def log(line: str) -> None:
    """Writes a line into the run's log; outside a run there is none."""
    try:
        get_run_logger().info(line)
    except MissingContextError:
        return
