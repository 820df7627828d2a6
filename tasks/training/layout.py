"""How the fits of a run are laid out: by whom, how many at the same time, on which GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.training.compute_spec import ComputeSpec

# A process takes some 3 s to start, in which one core goes through about 2 million bars of windows.
_WORTH_A_PROCESS = 5_000_000


@dataclass(frozen=True)
class Layout:
    """Who carries out fits, how many at the same time, and on which GPUs in turn."""

    runner: Literal["in_process", "process", "dask", "ray"]
    workers: int
    gpus: tuple[str, ...] = ()


def lay_out(
    spec: ComputeSpec, fits: int, bars: int, cores: int, gpus: Sequence[str] | None
) -> Layout:
    """Returns who carries out fits by a specification.

    Args:
        spec: What the user chose.
        fits: How many there are.
        bars: What they go through at most: windows × lookback × epochs, summed over the fits.
        cores: How many this process may use.
        gpus: Those this process may use; None where the fits run on the CPU.
    """
    places = max(1, cores // spec.threads) if gpus is None else max(1, len(gpus))
    workers = max(1, min(spec.processes or places, fits))
    runner = spec.runner
    if runner == "auto":
        worth = bars >= _WORTH_A_PROCESS if gpus is None else len(gpus) > 1
        runner = "process" if workers > 1 and worth else "in_process"
    return Layout(runner, 1 if runner == "in_process" else workers, tuple(gpus or ()))


def in_turn(count: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Returns the variables that show each of `count` workers one GPU, taken in turn."""
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {} for i in range(count)]
