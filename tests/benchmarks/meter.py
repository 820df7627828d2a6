"""Seconds and memory of the stages inside one process, for the children that a benchmark starts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PROCESS = Path("/proc/self")


class Meter:
    """Collects, for every stage, what `with meter("stage"):` saw; a repeated stage adds up.

    A stage has `seconds`, `cpu_seconds` (all threads), `start_mb` (resident when it began) and
    `peak_mb` (highest resident, what earlier stages left in the process included). Where the
    system does not tell, memory is None.
    """

    def __init__(self) -> None:
        self._stages: dict[str, dict[str, Any]] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measures the block as `stage`."""
        told = _forget_peak()
        start = _resident("VmRSS") if told else None
        began, worked = time.perf_counter(), time.process_time()
        yield
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
        peak = _resident("VmHWM") if told else None
        seen = self._stages.setdefault(
            stage, {"seconds": 0.0, "cpu_seconds": 0.0, "start_mb": start, "peak_mb": peak}
        )
        seen["seconds"] = round(seen["seconds"] + seconds, 4)
        seen["cpu_seconds"] = round(seen["cpu_seconds"] + cpu, 4)
        if peak is not None:
            seen["peak_mb"] = max(seen["peak_mb"], peak)

    def result(self) -> dict[str, Any]:
        """Returns all stages, and the sum of seconds and the highest peak over them."""
        peaks = [s["peak_mb"] for s in self._stages.values()]
        return {
            **self._stages,
            "stage_seconds": round(sum(s["seconds"] for s in self._stages.values()), 3),
            "peak_mb": None if None in peaks else max(peaks),
        }


def _forget_peak() -> bool:
    """Sets the process's recorded peak to its present size; returns whether it could."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(line: str) -> float:
    for entry in (_PROCESS / "status").read_text().splitlines():
        if entry.startswith(line + ":"):
            return round(int(entry.split()[1]) / 1024, 1)
    raise OSError(f"{_PROCESS}/status has no line {line}; it is no Linux /proc.")
