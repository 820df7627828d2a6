"""Our children of the benchmark `training`."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import CurveRow
from models.device import keep_freed_memory, make_deterministic
from models.fit import FitSettings, fit
from models.networks import Recurrent
from models.panel import Batch, Panel
from models.step import cut
from tests.benchmarks.random_rows import arguments, rows, window_starts
from tests.benchmarks.random_walks import tell
from tests.benchmarks.training import CELLS, SIZES
from tests.benchmarks.training_clock import Clock, speeds

# An epoch before the measured ones, and how many are measured.
_WARM_UP, _MEASURED = 1, 2


def main() -> None:
    """Runs one child and prints what it measured."""
    chosen = arguments(KINDS, SIZES, {"cell": CELLS})
    torch.set_num_threads(chosen.threads)
    # What tasks/training/task.py does before a fit.
    make_deterministic()
    keep_freed_memory()
    tell(KINDS[chosen.kind](chosen))


def measure_last(sizes: Any) -> dict[str, Any]:
    """Returns windows a second of our fit."""
    return _fit(sizes, sizes.symbols, "last", sizes.batch * sizes.batches)


def measure_dense(sizes: Any) -> dict[str, Any]:
    """Returns labels a second of our fit with a label at every step of a chunk."""
    most = sizes.batch * sizes.batches * sizes.chunk
    return _fit(sizes, sizes.dense_symbols, "dense", most)


def measure_recurrence(sizes: Any) -> dict[str, Any]:
    """Returns windows a second of forward and backward of the recurrent module alone.

    As the fit does it: in its micro-batches, each on one thread, several side by side.
    """
    module = _network(sizes).rnn
    assert isinstance(module, nn.RNNBase)
    parameters = list(module.parameters())
    values, _ = rows(1, sizes.batch * sizes.lookback, sizes.features)
    ready = torch.from_numpy(values).view(sizes.batch, sizes.lookback, sizes.features)
    whole = Batch(ready, torch.zeros(sizes.batch, 1), torch.arange(sizes.batch))
    parts = [part.windows for part in cut(whole)]

    def work(windows: Tensor) -> None:
        torch.autograd.grad(module(windows)[0][:, -1].sum(), parameters)

    clock = Clock(sizes)
    clock.tick()
    with ThreadPoolExecutor(sizes.threads, initializer=lambda: torch.set_num_threads(1)) as pool:
        while not clock.done:
            list(pool.map(work, parts))
            clock.tick()
    return clock.tell(sizes)


def _network(sizes: Any) -> Recurrent:
    options = {"cell": sizes.cell, "layers": 2, "hidden": sizes.hidden, "dropout": 0.0}
    return Recurrent(inputs=sizes.features, **options)


def _fit(sizes: Any, symbols: int, supervision: str, most: int) -> dict[str, Any]:
    """Returns labels a second over the epochs behind the first; whole epochs, all included."""
    values, labels = rows(symbols, sizes.days, sizes.features)
    ends = window_starts(symbols, sizes.days, sizes.lookback) + sizes.lookback - 1
    settings = FitSettings(
        epochs=_WARM_UP + _MEASURED,
        batch_size=sizes.batch,
        learning_rate=1e-3,
        weight_decay=1e-3,
        clip_norm=1.0,
        patience=_WARM_UP + _MEASURED,
        max_windows_per_epoch=most,
        supervision=supervision,
        chunk=sizes.chunk,
    )
    marks: list[tuple[float, float]] = []
    seen: list[int] = []

    def mark(row: CurveRow) -> None:
        marks.append((time.perf_counter(), time.process_time()))
        seen.append(row.windows)

    panel = Panel(values, labels, torch.device("cpu"))
    fit(lambda: _network(sizes), panel, ends, None, sizes.lookback, settings, 0, on_epoch=mark)
    seconds, cpu = (b - a for a, b in zip(marks[_WARM_UP - 1], marks[-1], strict=True))
    return speeds(sum(seen[_WARM_UP:]), seconds, cpu)


KINDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "ours": measure_last,
    "dense": measure_dense,
    "rnn": measure_recurrence,
}

if __name__ == "__main__":
    main()
