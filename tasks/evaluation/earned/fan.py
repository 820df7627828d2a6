"""How far growth and drawdown could have come out, had the same sessions come otherwise."""

import numpy as np

from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import drawdown, simple_returns, wealth
from tasks.evaluation.significance import Resamples


def fan(equity: FloatArray, resamples: Resamples, confidence: float) -> dict[str, FloatArray]:
    """Returns `growth_low`, `growth_high` (growth of 1) and `drawdown_low` (0 or below), each [D].

    Sessions are drawn anew in blocks. A bound is that of each session by itself, so that a whole
    history leaves the band somewhere more often than the confidence says.
    """
    growth = wealth(simple_returns(equity)[resamples.order[1:]])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(growth, [tail, 1.0 - tail], axis=0)
    return {
        "growth_low": low,
        "growth_high": high,
        "drawdown_low": np.quantile(drawdown(growth), tail, axis=0),
    }
