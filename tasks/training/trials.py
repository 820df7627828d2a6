"""The counted trials: whatever is tried on a universe is entered before it is fitted.

A trial is a specification on a universe, with the seeds that it is fitted with and the portfolio
that trades its forecasts: each can be searched for the best Sharpe ratio. Folds, re-runs and later
sessions are one trial. A trial that was killed counts: it stays `started`. The count stands behind
the deflated Sharpe ratio.

Provider and quality bounds make no other trial: a lake holds one account of each bar, and a file's
path changes with every refresh. Who serves other bars until a ratio pleases is seen by no count.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from tasks.lake.artifacts import digest_text
from tasks.lake.store import Lake
from tasks.lake.tables import TRIALS
from tasks.lake.target_spec import TargetSpec

# What shapes no forecast is no part of a specification.
_NOT_SPECIFIED = (
    "name",
    "provider",
    "evaluation",
    "quality",
    "universe",
    "baselines",
    "tuning",
    "compute",
)


def describe_trial(
    recipe: dict[str, Any], symbols: Sequence[str], windows: dict[str, Any]
) -> dict[str, Any]:
    """Returns a trial's row without its status.

    Args:
        recipe: The run's configuration.
        symbols: The universe.
        windows: Summary of the windows artifact; the walk-forward's test spans are the evaluation
            span.
    """
    spec = specification(recipe)
    universe = digest_text(list(symbols))
    target = TargetSpec(**recipe["target"]).name
    tests = [fold["spans"]["test"] for fold in windows["folds"] if "tested" not in fold]
    return {
        "trial": digest_text(spec, universe, target, _searched(recipe)),
        "universe": universe,
        "target": target,
        "first": date.fromisoformat(tests[0]["start"]),
        "last": date.fromisoformat(tests[-1]["end"]),
        "spec": spec,
    }


def specification(recipe: dict[str, Any]) -> str:
    """Returns the digest of what shapes a forecast: equal for refreshes of one specification."""
    spec = {k: v for k, v in recipe.items() if k not in _NOT_SPECIFIED}
    spec["training"] = {k: v for k, v in recipe["training"].items() if k not in ("seeds", "device")}
    return digest_text(spec)


def count_trial(lake: Lake, trial: dict[str, Any], now: datetime) -> int:
    """Enters a trial as started unless it is counted already; returns the rows written."""
    known = lake.read("trials", cutoff=None, known_by=now)
    if trial["trial"] in known["trial"]:
        return 0
    return lake.append("trials", _row({**trial, "status": "started"}), now)


def complete_trial(lake: Lake, trial: dict[str, Any], scored: dict[str, Any], now: datetime) -> int:
    """Completes a trial with `score` and daily `returns`; returns the rows written."""
    return lake.append("trials", _row({**trial, "status": "completed", **scored}), now)


def _searched(recipe: dict[str, Any]) -> dict[str, Any]:
    """Returns what makes another trial of one specification; the capacity curve only shows it."""
    portfolio = {k: v for k, v in recipe["evaluation"]["portfolio"].items() if k != "capacity"}
    return {"seeds": sorted(recipe["training"]["seeds"]), "portfolio": portfolio}


def _row(values: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: [values.get(name)] for name in TRIALS.columns}, schema=dict(TRIALS.columns)
    )
