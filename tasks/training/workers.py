"""Who carries out the fits of a run: this process, or worker processes.

Fits are handed over from threads, one fit a thread. A worker is a fresh interpreter and no fork: a
forked child may die in numba's or OpenMP's threads. It is started when its first fit comes, keeps
the panel for the next, and ends with its parent.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any

from models.checkpoint import CurveRow
from models.errors import NightcastError, RunError, Stopped
from tasks.training import worker
from tasks.training.folds import FoldFit
from tasks.training.layout import Layout, in_turn
from tasks.training.orders import FitOrder, carry_out, panel_of

OnEpoch = Callable[[CurveRow], None]

# The threads of torch, its random state and its switches are those of the whole process, and a
# worker of a Dask cluster may have several threads.
_ONE_AT_A_TIME = threading.Lock()


class InProcess:
    """Carries out fits in this process, one at a time.

    Attributes:
        progress: The share of each fit, by its key, that is done, from 0 to 1.
    """

    def __init__(self) -> None:
        self.progress: dict[str, float] = {}
        self._stopping = threading.Event()

    def fit(self, order: FitOrder, on_epoch: OnEpoch) -> FoldFit:
        """Carries out one fit; `on_epoch` hears of every epoch, in the calling thread.

        Raises:
            Stopped: `stop` was called; a checkpoint is kept.
            RunError: The process of the fit was killed; its last checkpoint is kept.
            Exception: What the fit raised.
        """

        def heard(row: CurveRow) -> None:
            self.progress[order.key] = row.epoch / order.most_epochs
            on_epoch(row)

        if self._stopping.is_set():
            raise Stopped("The run was stopped before this fit began; run it again.")
        return self._fit(order, heard)

    def stop(self) -> None:
        """Lets every fit at hand keep a checkpoint and end; no other one begins."""
        self._stopping.set()

    def close(self) -> None:
        """Lets go what fits have shared; no fit may be at hand."""
        panel_of.cache_clear()

    def _fit(self, order: FitOrder, heard: OnEpoch) -> FoldFit:
        with _ONE_AT_A_TIME:
            return carry_out(order, heard, self._stopping.is_set)


class Processes(InProcess):
    """Carries out as many fits at the same time as there are worker processes."""

    def __init__(self, count: int, gpus: Sequence[str] = ()) -> None:
        super().__init__()
        self._workers = [_Worker(environment) for environment in in_turn(count, gpus)]
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        for one in self._workers:
            self._free.put(one)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [pid for one in self._workers if (pid := one.pid) is not None]

    def _fit(self, order: FitOrder, heard: OnEpoch) -> FoldFit:
        one = self._free.get()
        try:
            return one.fit(order, heard)
        finally:
            self._free.put(one)

    def stop(self) -> None:
        """Lets every fit at hand keep a checkpoint and end; no other one begins."""
        super().stop()
        for one in self._workers:
            one.stop()

    def close(self) -> None:
        """Ends the worker processes."""
        for one in self._workers:
            one.close()


class _Worker:
    """One worker process, started by its first fit and again after it was killed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def fit(self, order: FitOrder, heard: OnEpoch) -> FoldFit:
        process = self._started(order.threads)
        try:
            kind, value = _ask(process, order)
            while kind == "epoch":
                heard(value)
                kind, value = _ask(process, "go on")
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._cut_off(process, order) from None
        except BaseException:
            # What the worker says next would be taken for the answer to another order.
            self.close()
            raise
        if kind == "failed":
            raise value
        return value

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            if self._process is not None:
                self._process.terminate()

    def close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _started(self, threads: int) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._stopping:
                raise Stopped("The run was stopped before this fit began; run it again.")
            if self._process is not None and self._process.poll() is not None:
                _end(self._process)  # killed while it had nothing to do: nothing is lost
                self._process = None
            if self._process is None:
                self._process = _start(threads, self._environment)
            return self._process

    def _cut_off(self, process: "subprocess.Popen[bytes]", order: FitOrder) -> NightcastError:
        """Returns what to say of a process that has ended in the middle of a fit."""
        self.close()
        if self._stopping:
            return Stopped("The fit was stopped; its last checkpoint is kept, run it again.")
        code = _end(process)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        which = "The refit" if order.fold is None else f"The fit of fold {order.fold}"
        return RunError(
            f"{which} with seed {order.seed} was cut off: its process {process.pid} {how}. The "
            "last checkpoint is kept; run the command again, and with fewer compute.processes if "
            "memory ran out, where systems answer with SIGKILL."
        )


def _start(threads: int, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Starts a worker that finds our modules where this process found them."""
    given = {
        "PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path),
        "OMP_NUM_THREADS": str(threads),
        "POLARS_MAX_THREADS": str(threads),
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", worker.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **given, **environment},
    )


def _ask(process: "subprocess.Popen[bytes]", what: object) -> tuple[str, Any]:
    pickle.dump(what, process.stdin)  # type: ignore[arg-type]
    process.stdin.flush()  # type: ignore[union-attr]
    answer: tuple[str, Any] = pickle.load(process.stdout)  # type: ignore[arg-type]  # noqa: S301
    return answer


def _end(process: "subprocess.Popen[bytes]") -> int:
    """Ends a worker by closing its standard input; returns its exit status."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # a broken pipe has something left to flush
            pipe.close()  # type: ignore[union-attr]
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


_CURRENT: ContextVar[InProcess] = ContextVar("nightcast_workers")


@contextmanager
def hired(layout: Layout) -> Iterator[InProcess]:
    """Has the fits of this context, and of threads that took it over, carried out by a layout.

    Under dask and ray nobody is hired: there each task carries out its fit where it runs.
    """
    one = Processes(layout.workers, layout.gpus) if layout.runner == "process" else InProcess()
    token = _CURRENT.set(one)
    try:
        yield one
    finally:
        _CURRENT.reset(token)
        one.close()


def current() -> InProcess:
    """Returns who carries out the fits of this context."""
    return _CURRENT.get(None) or InProcess()
