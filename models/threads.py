"""Jobs side by side, each on one thread: no bit then depends on how many threads there are."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

Each = Callable[[Callable[[int], Any]], Iterator[Any]]


@contextmanager
def side_by_side(jobs: int, threads: int | None = None) -> Iterator[Each]:
    """Yields a map over the numbers of the jobs, in their order, some at a time.

    Each of torch's operations runs on the thread that calls it, this one's too.

    Args:
        jobs: how many there are.
        threads: at work side by side; None takes torch's number.
    """
    with alone() as before:
        workers = min(threads or before, jobs)
        if workers <= 1:
            yield lambda work: map(work, range(jobs))
            return
        # Made anew for each use, in about half a millisecond: kept threads would not live through
        # a fork of the process.
        with ThreadPoolExecutor(workers, initializer=_work_alone) as pool:
            yield lambda work: pool.map(work, range(jobs))


@contextmanager
def alone() -> Iterator[int]:
    """Lets torch use one thread for a while; yields how many it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def _work_alone() -> None:
    torch.set_num_threads(1)
