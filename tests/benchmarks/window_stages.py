"""Our children of the benchmark `windows`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from models.device import keep_freed_memory
from models.feed import Feed
from models.panel import Batch, Panel
from tests.benchmarks.meter import Meter
from tests.benchmarks.random_rows import arguments, rows, window_starts
from tests.benchmarks.random_walks import tell
from tests.benchmarks.windows import SIZES


def main() -> None:
    """Runs one child and prints what it measured."""
    chosen = arguments(("ours", "copy"), SIZES)
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()  # as tasks/training/orders.py does before a fit
    tell(measure(chosen) if chosen.kind == "ours" else copy(chosen))


def measure(sizes: Any) -> dict[str, Any]:
    """Returns set-up and pass of our windows, and the memory they take over their input's.

    Ratios are to the bytes of the features. On the CPU the panel shares its input's memory, so
    `memory_ratio` is what windows take beside it, and `memory_with_panel_ratio` counts the panel
    too.
    """
    values, labels = rows(sizes.symbols, sizes.days, sizes.features)
    ends = window_starts(sizes.symbols, sizes.days, sizes.lookback) + sizes.lookback - 1
    _warm_up(sizes)
    meter = Meter()
    with meter("setup"):
        feed = _feed(values, labels, ends, sizes)
    with meter("pass"):
        seen = sum(len(batch.windows) for batch in _epoch(feed, sizes))
    made = meter.result()
    start, peak = made["setup"]["start_mb"], made["peak_mb"]
    over = None if peak is None else peak - start
    panel_mb = values.nbytes / 1024**2
    speed = round(seen / made["pass"]["seconds"])
    return {
        **made,
        "windows": seen,
        "windows_a_second": speed,
        "over_input_mb": over,
        "panel_mb": round(panel_mb, 1),
        "memory_ratio": None if over is None else round(over / panel_mb, 3),
        "memory_with_panel_ratio": None if over is None else round(1 + over / panel_mb, 3),
    }


def copy(sizes: Any) -> dict[str, Any]:
    """Returns what copying a ready batch costs, as often as ours makes one."""
    ready = torch.zeros(sizes.batch, sizes.lookback, sizes.features)
    seen, meter = 0, Meter()
    with meter("pass"):
        for _ in range(sizes.batches):
            seen += len(ready.clone())
    made = meter.result()
    return {**made, "windows": seen, "windows_a_second": round(seen / made["pass"]["seconds"])}


def _feed(values: np.ndarray, labels: np.ndarray, ends: np.ndarray, sizes: Any) -> Feed:
    panel = Panel(values, labels, torch.device("cpu"))
    return Feed(panel, ends, sizes.lookback, sizes.batch)


def _epoch(feed: Feed, sizes: Any) -> Iterator[Batch]:
    """Yields the batches of an epoch in shuffled order, as the fit makes them."""
    drawn = feed.plan(torch.Generator().manual_seed(0))
    for what in drawn[: sizes.batches]:
        yield feed.batch(what)


def _warm_up(sizes: Any) -> None:
    """Brings torch's kernels and their threads into memory; what a process does once."""
    values, labels = rows(2, sizes.days, sizes.features)
    ends = window_starts(2, sizes.days, sizes.lookback) + sizes.lookback - 1
    for _ in _epoch(_feed(values, labels, ends, sizes), sizes):
        pass


if __name__ == "__main__":
    main()
