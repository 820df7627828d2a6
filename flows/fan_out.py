"""Folds × seeds as a fan-out: one Prefect task run a fit, carried out by whom the user chose.

1. The fits are a flow of their own inside the run, whose task runner is that of the layout:
   threads that wait for worker processes, or Dask, or Ray.
2. The flow's own thread waits. It reports progress, gives up the other fits when one has failed,
   and answers SIGTERM and Ctrl-C: every fit keeps a checkpoint, and then the run ends.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue
from typing import Any

import torch
from joblib import cpu_count
from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner

from flows.config import RunConfig
from models.errors import UsageError
from tasks.lake.artifacts import Artifact
from tasks.lake.task import CachedStage
from tasks.training.compute_spec import ComputeSpec
from tasks.training.layout import Layout, lay_out
from tasks.training.workers import InProcess, hired

# One call of the API in so many seconds, however many fits there are.
_SECONDS_BETWEEN_REPORTS = 5.0

_AT_HAND: ContextVar[Callable[[], list[Artifact]]] = ContextVar("nightcast_fits")


@flow(name="fits", log_prints=False)
def fits() -> list[Artifact]:
    """Carries out the fits at hand, which came neither as parameters nor in a closure.

    Dask and Ray send a flow to their workers with every task, and these cannot be sent.
    """
    return _fits_at_hand()


def _fits_at_hand() -> list[Artifact]:
    return _AT_HAND.get()()


@dataclass(frozen=True)
class FanOut:
    """Who carries out the fits of a run: `layout` by Prefect, `staff` the arithmetic."""

    spec: ComputeSpec
    layout: Layout
    staff: InProcess

    def run(self, what: str, stage: CachedStage, each: Sequence[dict[str, Any]]) -> list[Artifact]:
        """Runs `stage` once for each of the inputs and returns the artifacts in their order.

        Args:
            what: The fits in words, such as `folds`.
            stage: The stage.
            each: The inputs of each run.

        Raises:
            Exception: What the first fit to fail has raised; the others keep their checkpoints.
        """
        chosen = fits.with_options(
            flow_run_name=f"fits of {what}", task_runner=_task_runner(self.spec, self.layout)
        )
        token = _AT_HAND.set(partial(self._fits, what, stage, each))
        try:
            with _one_server(self.layout):
                return chosen()
        finally:
            _AT_HAND.reset(token)

    def _fits(
        self, what: str, stage: CachedStage, each: Sequence[dict[str, Any]]
    ) -> list[Artifact]:
        runner, workers = self.layout.runner, self.layout.workers
        get_run_logger().info(f"fits of {what} begin fits={len(each)} {runner=!s} {workers=}")
        keys = [stage.key(inputs) for inputs in each]
        artifact: Any = create_progress_artifact(
            0.0, key=f"nightcast-{what}", description=f"Fits of {what}"
        )

        def report(done: Sequence[bool]) -> None:
            parts = [
                1.0 if d else self.staff.progress.get(k, 0.0)
                for k, d in zip(keys, done, strict=True)
            ]
            share = 100 * sum(parts) / len(parts)
            get_run_logger().info(f"fits of {what} done={sum(done)}/{len(done)} share={share:.0f}%")
            update_progress_artifact(artifact, share)

        # What runs in a cluster does not hear of `stop`: there Prefect's own answer has to do.
        stoppable = runner in ("in_process", "process")
        with _stopped_by_sigterm(self.staff.stop) if stoppable else nullcontext():
            with _shown_gpus(self.layout):
                futures = [stage.submit(**inputs) for inputs in each]
            try:
                results = _results(futures, report)
            except BaseException:
                self.staff.stop()
                raise
        report([True] * len(each))
        return results


def _results(
    futures: Sequence[PrefectFuture[Artifact]], report: Callable[[Sequence[bool]], None]
) -> list[Artifact]:
    """Waits for all futures, reporting which are done; raises what the first to fail has raised."""
    ended: Queue[int] = Queue()
    for number, future in enumerate(futures):
        future.add_done_callback(partial(_put, ended, number))
    results: dict[int, Artifact] = {}
    due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
    while len(results) < len(futures):
        with suppress(Empty):
            number = ended.get(timeout=max(0.0, due - time.monotonic()))
            results[number] = futures[number].result()
        if time.monotonic() >= due:
            report([i in results for i in range(len(futures))])
            due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
    return [results[number] for number in range(len(futures))]


def _put(ended: "Queue[int]", number: int, _: object) -> None:
    ended.put(number)


@contextmanager
def fan_out(config: RunConfig, device: str, windows: dict[str, Any]) -> Iterator[FanOut]:
    """Gives the fits of a run somebody to carry them out, until the context ends.

    Args:
        config: The run's configuration.
        device: `cpu` or `cuda`.
        windows: Summary of the windows artifact.
    """
    seeds, spec = len(config.training.seeds), config.compute
    rows = sum(fold["windows"]["fit"] for fold in windows["folds"]) * seeds
    most = config.training.max_windows_per_epoch
    fits = seeds * len(windows["folds"])
    drawn = rows if most is None else min(rows, most * fits)
    bars = drawn * config.window.lookback * config.training.epochs
    gpus = _gpus() if device == "cuda" else None
    layout = lay_out(spec, fits, bars, cpu_count(), gpus)
    with hired(layout) as staff:
        yield FanOut(spec, layout, staff)


def require_runner(spec: ComputeSpec, device: str) -> None:
    """Refuses a task runner that cannot serve, before anything is started.

    Raises:
        UsageError: It is not installed, or would put all fits on the first of several GPUs.
    """
    if spec.runner == "dask" and spec.address is None and device == "cuda" and len(_gpus()) > 1:
        raise UsageError(
            f"compute.runner='dask' starts workers that would all take the first of "
            f"{len(_gpus())} GPUs; take compute.runner='process', or start a Dask cluster with one "
            "GPU a worker and name it in compute.address."
        )
    _task_runner(spec, Layout("in_process" if spec.runner == "auto" else spec.runner, 1))


def _task_runner(spec: ComputeSpec, layout: Layout) -> Any:
    """Returns the Prefect task runner of a layout; nothing is started yet."""
    try:
        if layout.runner == "dask":
            from prefect_dask import DaskTaskRunner

            # One fit at a time in a process: torch's threads and random state are the process's.
            own = {"n_workers": layout.workers, "threads_per_worker": 1, "dashboard_address": None}
            if spec.address:
                return DaskTaskRunner(address=spec.address)
            return DaskTaskRunner(cluster_kwargs=own)
        if layout.runner == "ray":
            from prefect_ray import RayTaskRunner

            own = {} if spec.address else {"num_cpus": layout.workers, "include_dashboard": False}
            return RayTaskRunner(address=spec.address, init_kwargs=own)
    except ImportError as fault:
        raise UsageError(
            f"compute.runner={layout.runner!r} needs a package that is not installed ({fault}); "
            f"install 'nightcast[{layout.runner}]', or take compute.runner='process'."
        ) from fault
    return ThreadPoolTaskRunner(max_workers=layout.workers)


def _shown_gpus(layout: Layout) -> Any:
    """Asks Ray for a GPU a fit, or for a share of one: it shows none to a task that asks none."""
    if layout.runner != "ray" or not layout.gpus:
        return nullcontext()
    from prefect_ray.context import remote_options

    return remote_options(num_gpus=min(1.0, len(layout.gpus) / layout.workers))


def _one_server(layout: Layout) -> Any:
    """Lets the processes of Dask and Ray use the server in process of this run, where it has one.

    Each would start its own on the same database.
    """
    if layout.runner not in ("dask", "ray") or PREFECT_API_URL.value():
        return nullcontext()
    from prefect.server.api.server import SubprocessASGIServer

    return temporary_settings({PREFECT_API_URL: SubprocessASGIServer().api_url})


@contextmanager
def _stopped_by_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Answers SIGTERM by `stop`, and hands it on to who listened before when the context ends."""
    if threading.current_thread() is not threading.main_thread():
        # Only there may signals be heard.
        yield
        return
    asked = False

    def hear(*_: object) -> None:
        nonlocal asked
        asked = True
        stop()

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if asked:
            signal.raise_signal(signal.SIGTERM)


def _gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(i) for i in range(count)]
