"""The forecasts of combinatorial folds: one score for each path, and how they scatter.

1. A path takes of each fold the test spans that the plan gave it: one forecast a date over all
   sessions (see `tasks/windows/combinatorial.py`).
2. Each path is scored like the walk-forward; its fixed intervals come from the calibrate spans.
3. The section shows median and extremes over the paths. They share most of their training rows and
   all their outcomes, so that their scatter is no standard error, and no test is made of it: the
   verdict stays that of the walk-forward, which alone could have been traded.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from models.errors import DataError
from tasks.evaluation.aligned import check_predictions, score_grid, traded_market
from tasks.evaluation.metrics import ratio_over_dates
from tasks.evaluation.performance import sharpe, simple_returns
from tasks.evaluation.scores import ic_over_dates, rank_ic_over_dates, score_dates
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trading import run_portfolios
from tasks.lake.panel import PanelArrays
from tasks.lake.target_spec import TargetSpec

# What a path is scored by, and the value that knowing nothing gives.
NOTHING = {"ic": 0.0, "rank_ic": 0.0, "mse_ratio": 1.0}

Tests = list[Mapping[str, Any]]


def by_path(folds: Sequence[Mapping[str, Any]]) -> list[dict[int, Tests]]:
    """Returns for each path, by number of fold, the groups that the fold tests for it."""
    paths: dict[int, dict[int, Tests]] = {}
    for fold in folds:
        for test in fold["tested"]:
            paths.setdefault(test["path"], {}).setdefault(fold["fold"], []).append(test)
    return [paths[number] for number in sorted(paths)]


def on_path(panel: PanelArrays, forecasts: pl.DataFrame, tests: Tests) -> pl.DataFrame:
    """Returns a fold's forecasts without the test rows that belong to other paths.

    Args:
        panel: The panel that `row` counts in.
        forecasts: Columns span, row and more.
        tests: The groups that the fold tests for this path.
    """
    days = panel.dates[forecasts["row"].to_numpy()]
    mine = np.zeros(len(days), bool)
    for test in tests:
        mine |= (days >= np.datetime64(test["start"])) & (days <= np.datetime64(test["end"]))
    return forecasts.filter((pl.col("span") != "test") | pl.Series(mine))


def score_path(
    predictions: pl.DataFrame,
    panel: pl.DataFrame,
    target: TargetSpec,
    spec: EvaluationSpec,
    network: str,
    head: str,
    spells: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Returns span and scores of one path, for each model and for the long-only portfolio.

    Raises:
        DataError: the path has two forecasts for one date and symbol, or too few dates.
    """
    check_predictions(predictions, network)
    scored = score_grid(predictions, target.horizon, spec.min_names_for_ic, head)
    once = np.ones((1, scored.dates.len()))
    models = {}
    for model in scored.models:
        scores = score_dates(model, scored)
        errors = ratio_over_dates(scores.squared_error, scores.squared_error_zero, once)
        models[model.name] = {
            "ic": float(ic_over_dates(scores, scored, once)[0]),
            "rank_ic": float(rank_ic_over_dates(scores, scored, once)[0]),
            "mse_ratio": float(errors[0]),
        }
    forecasts = predictions.filter(pl.col("model") == network)
    signal, market = traded_market(panel, forecasts, target.horizon, spells)
    ledger = run_portfolios(signal, market, None, spec.portfolio, target.horizon)["long_only"]
    returns = simple_returns(ledger.equity)
    return {
        "first": scored.dates[0].isoformat(),
        "last": scored.dates[-1].isoformat(),
        "dates": scored.dates.len(),
        "models": models,
        "net_sharpe": float(sharpe(returns, np.ones((1, returns.size)))[0]),
    }


def path_section(
    paths: Sequence[Mapping[str, Any]], folds: Sequence[Mapping[str, Any]], network: str
) -> dict[str, Any]:
    """Returns the section "paths" of the summary.

    Args:
        paths: What `score_path` returns, path by path.
        folds: The combinatorial folds of the plan.
        network: The model to judge.

    Raises:
        DataError: the paths do not score the same models.
    """
    names = [*paths[0]["models"]]
    if any([*path["models"]] != names for path in paths):
        raise DataError(
            f"The paths score other models than {names}; train all baselines on every fold."
        )
    models = [
        {"name": name}
        | {
            metric: scatter([path["models"][name][metric] for path in paths], nothing, metric)
            for metric, nothing in NOTHING.items()
        }
        for name in names
    ]
    mine: dict[str, Any] = next(row for row in models if row["name"] == network)
    groups = {test["group"] for fold in folds for test in fold["tested"]}
    return {
        "groups": len(groups),
        "test_groups": len(folds[0]["tested"]),
        "folds": len(folds),
        "first": min(path["first"] for path in paths),
        "last": max(path["last"] for path in paths),
        "dates": max(path["dates"] for path in paths),
        "paths": [
            {"path": n, **path["models"][network], "net_sharpe": path["net_sharpe"]}
            for n, path in enumerate(paths)
        ],
        "models": models,
        "net_sharpe": scatter([path["net_sharpe"] for path in paths], 0.0, "net_sharpe"),
        "better": {metric: mine[metric]["better"] for metric in NOTHING},
    }


def scatter(values: Sequence[float], nothing: float, metric: str) -> dict[str, float | int]:
    """Returns median, extremes and on how many paths a metric is better than knowing nothing.

    An undefined value counts as not better; all are NaN where no path has one.
    """
    known = np.asarray([value for value in values if np.isfinite(value)])
    if known.size == 0:
        return {"median": np.nan, "low": np.nan, "high": np.nan, "better": 0}
    better = known < nothing if metric == "mse_ratio" else known > nothing
    return {
        "median": float(np.median(known)),
        "low": float(known.min()),
        "high": float(known.max()),
        "better": int(better.sum()),
    }
