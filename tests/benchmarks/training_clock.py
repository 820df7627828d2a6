"""When batches begin and end, for all children of the benchmark `training`."""

import time
from typing import Any


class Clock:
    """Notes seconds and CPU seconds of the batches behind the warm-up."""

    def __init__(self, sizes: Any, warm_up: int | None = None) -> None:
        self.begin_at = sizes.warm_up if warm_up is None else warm_up
        self.end_at, self.batches = self.begin_at + sizes.batches, sizes.batches
        self.batch, self.done = -1, False
        self._began = self._ended = (0.0, 0.0)

    def tick(self, batches: int = 1) -> None:
        """Says that batches are done, or, at the first call, that the first one begins."""
        self.batch += batches if self.batch >= 0 else 1
        if self.batch == self.begin_at:
            self._began = time.perf_counter(), time.process_time()
        if self.batch == self.end_at:
            self._ended, self.done = (time.perf_counter(), time.process_time()), True

    def tell(self, sizes: Any) -> dict[str, Any]:
        """Returns the measures of a child."""
        if not self.done:
            raise SystemExit(
                f"the panel gave {self.batch} batches of {self.end_at}; raise symbols or days"
            )
        seconds, cpu = (b - a for a, b in zip(self._began, self._ended, strict=True))
        return speeds(self.batches * sizes.batch, seconds, cpu)


def speeds(samples: int, seconds: float, cpu: float) -> dict[str, Any]:
    """Returns what each child of this benchmark tells."""
    return {
        "samples": samples,
        "seconds": round(seconds, 4),
        "cpu_seconds": round(cpu, 4),
        "samples_a_second": round(samples / seconds, 1),
        "samples_a_cpu_second": round(samples / cpu, 1),
    }
