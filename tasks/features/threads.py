"""Work that does without the interpreter's lock, in as many threads as there are processors."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def thread_count() -> int:
    """Returns the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """Returns what each of `work` returns; raises what the first of them that failed has raised."""
    with ThreadPoolExecutor(thread_count()) as threads:
        return [done.result() for done in [threads.submit(one) for one in work]]
