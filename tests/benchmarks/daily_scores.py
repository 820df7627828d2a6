"""Information coefficients by day, and how sure their means are."""

from typing import Any

import numpy as np
from arch.bootstrap import StationaryBootstrap

from tasks.evaluation.metrics import ic_per_date, ranks

# Sessions of a bootstrap block on average, and resamples.
BLOCK, SAMPLES = 20, 2000


def daily_ics(
    forecast: np.ndarray, target: np.ndarray, dates: np.ndarray, symbols: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns ic and rank_ic [D] across symbols on each date that occurs, in ascending order.

    Args:
        forecast: [n].
        target: [n].
        dates: [n], numbers or days.
        symbols: [n], numbers or names.
    """
    _, day = np.unique(dates, return_inverse=True)
    _, name = np.unique(symbols, return_inverse=True)
    x, y = np.full((2, day.max() + 1, name.max() + 1), np.nan)
    x[day, name], y[day, name] = forecast, target
    ranked = ic_per_date(ranks(x, axis=1), ranks(y, axis=1))
    return {"ic": ic_per_date(x, y), "rank_ic": ranked}


def mean_interval(series: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Returns the mean over days and its 95 % interval, stationary bootstrap (Politis & Romano).

    NaN days do not count.
    """
    known = series[np.isfinite(series)]
    bootstrap = StationaryBootstrap(BLOCK, known, seed=seed)
    means = np.array([data[0][0].mean() for data in bootstrap.bootstrap(SAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": _short(known.mean()), "low": _short(low), "high": _short(high)}


def ic_intervals(series: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns mean and interval of each series."""
    return {name: mean_interval(values) for name, values in series.items()}


def paired(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns mean and interval of the day by day difference of two on the same days."""
    return {name: mean_interval(one[name] - other[name]) for name in one}


def _short(value: float) -> float:
    return round(float(value), 5)
