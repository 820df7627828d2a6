"""A random-walk panel as arrays; needs only numpy, so that peers in other environments share it."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BAR = ("open", "high", "low", "close", "volume")


def walks(symbols: int, days: int, seed: int = 7) -> dict[str, np.ndarray]:
    """Returns coherent bars of geometric random walks, float64 [symbols, days] by column."""
    draw = np.random.default_rng(seed)
    sd = 0.02 * (0.5 + draw.random((symbols, 1)))
    close = 100 * np.exp(np.cumsum(0.0003 + sd * draw.standard_normal((symbols, days)), axis=1))
    before = np.concatenate([np.full((symbols, 1), 100.0), close[:, :-1]], axis=1)
    open_ = before * np.exp(0.3 * sd * draw.standard_normal((symbols, days)))
    up = np.abs(sd * draw.standard_normal((symbols, days))) / 2
    down = np.abs(sd * draw.standard_normal((symbols, days))) / 2
    return {
        "open": open_,
        "high": np.maximum(open_, close) * np.exp(up),
        "low": np.minimum(open_, close) * np.exp(-down),
        "close": close,
        "volume": np.floor(np.exp(13 + 0.5 * draw.standard_normal((symbols, days)))),
    }


def names(symbols: int) -> list[str]:
    """Returns the symbols' names, ascending."""
    return [f"S{i:05d}" for i in range(symbols)]


def arguments() -> argparse.Namespace:
    """Returns the command line of a child of the benchmark `indicators`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    for name in ("symbols", "days", "calls", "large-symbols", "qlib-symbols"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def timed(call: Callable[[], Any], calls: int) -> dict[str, float]:
    """Returns seconds of the first call, and the medians of the calls after it.

    A result is dropped before the next call, as a user's would be.
    """
    began = time.perf_counter()
    call()
    first = time.perf_counter() - began
    seconds, cpu = [], []
    for _ in range(calls):
        began, worked = time.perf_counter(), time.process_time()
        call()
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    return {
        "first_seconds": round(first, 6),
        "seconds": round(statistics.median(seconds), 6),
        "cpu_seconds": round(statistics.median(cpu), 6),
    }


def tell(measures: dict[str, Any]) -> None:
    """Prints a child's answer."""
    print(json.dumps(measures))
