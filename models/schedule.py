"""How the learning rate runs over the steps of a fit.

First a linear rise (the warm-up), then the schedule over the steps that are left. Nothing is kept
between steps: the rate is a function of the step's number alone, so a fit taken up goes on with
the same rates.
"""

import math
from collections.abc import Callable

from models.errors import UsageError, near


def _constant(_share: float) -> float:
    return 1.0


def _cosine(share: float) -> float:
    """Half a cosine down to 0, without restarts (Loshchilov & Hutter 2017, SGDR, eq. 5)."""
    return 0.5 * (1.0 + math.cos(math.pi * share))


def _linear(share: float) -> float:
    return 1.0 - share


def _step(share: float) -> float:
    """Halved at 50 % and again at 75 %."""
    return 1.0 if share < 0.5 else 0.5 if share < 0.75 else 0.25


# Each takes the share [0, 1) of the steps after the warm-up that are done.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "step": _step,
}


def learning_rate_at(schedule: str, warmup: float, step: int, steps: int) -> float:
    """Returns what the learning rate is multiplied with in one step, in (0, 1].

    Args:
        schedule: a name in SCHEDULES.
        warmup: share of all steps, in [0, 1), over which the factor rises linearly to 1.
        step: from 0.
        steps: of the whole fit, if no patience ends it.

    Raises:
        UsageError: an unknown schedule, a warm-up outside [0, 1), or a step outside the fit.
    """
    if schedule not in SCHEDULES:
        raise UsageError(
            f"schedule={schedule!r} is unknown.{near(schedule, SCHEDULES)} "
            f"Use one of {', '.join(SCHEDULES)}."
        )
    if not 0.0 <= warmup < 1.0:
        raise UsageError(f"warmup={warmup} is no share of the steps; use 0 or more, below 1.")
    if not 0 <= step < steps:
        raise UsageError(f"step={step} lies outside the fit; use 0 to {steps - 1}.")
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return SCHEDULES[schedule]((step - rising) / (steps - rising))
