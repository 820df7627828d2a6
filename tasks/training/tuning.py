"""A study: which values are tried next, which fits end early, how a trial is scored.

1. `Study.ask` names the values of the next trial. They follow from the seed and from the results
   of the trials before it, and from nothing else.
2. The caller fits the trial; `Pruning` hears every epoch and ends a fit that is worse than the
   median of the completed trials at the same epoch of the same fold and seed.
3. `Study.tell` takes the result.

So a study keeps no state of its own: after a kill it is asked and told again from the first trial
on, and as every finished fit is an artifact, only the fit that was cut off is made anew. All
scores in here are the lower the better: correlations are negated.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import optuna
import polars as pl
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from models.checkpoint import CurveRow
from models.errors import UsageError
from models.metrics import score
from tasks.lake.panel import PanelArrays
from tasks.lake.store import Lake
from tasks.training.folds import fit_network
from tasks.training.inputs import FoldRows
from tasks.training.network_spec import NetworkSpec
from tasks.training.spec import TrainingSpec
from tasks.training.tuning_spec import Choices, Dimension, TuningSpec

State = Literal["completed", "pruned", "failed"]

# Scores of a trial, as they are shown: of these, only mse is the better the lower.
METRICS = ("ic", "rank_ic", "mse")
Scores = dict[str, float | None]


@dataclass(frozen=True)
class Asked:
    """A trial to make: its number, its values by dotted key, and Optuna's handle on it."""

    number: int
    values: dict[str, Any]
    handle: optuna.Trial = field(repr=False)


@dataclass(frozen=True)
class Result:
    """How a trial ended: its score, and the stop scores of all its epochs, fit after fit."""

    state: State
    score: float | None
    reports: tuple[float, ...] = ()


class Study:
    """Asks for trials and takes their results, in memory; one trial after another."""

    def __init__(self, spec: TuningSpec) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = spec.space
        self._study = optuna.create_study(sampler=_sampler(spec))
        self._known: dict[str, Result] = {}
        self._asked = 0
        self.trials = spec.trials
        self.repeats = 0
        if spec.sampler == "grid":
            grid = _grid(spec)
            self.trials = min(spec.trials, len(grid))
            for point in grid[: self.trials]:
                self._study.enqueue_trial(point)

    def ask(self) -> Asked | None:
        """Returns the next trial, or None at the end.

        A sampler that comes back to values it had before is told their result at once; such a
        repeat counts as one of `trials`.
        """
        while self._asked < self.trials:
            self._asked += 1
            handle = self._study.ask({k: _distribution(d) for k, d in self._space.items()})
            values = {k: _value(d, handle.params[k]) for k, d in self._space.items()}
            asked = Asked(handle.number, values, handle)
            if _text(values) not in self._known:
                return asked
            self.repeats += 1
            self.tell(asked, self._known[_text(values)])
        return None

    def tell(self, asked: Asked, result: Result) -> None:
        """Takes the result of the trial that was asked for last."""
        self._known[_text(asked.values)] = result
        if result.state == "completed":
            self._study.tell(asked.handle, result.score)
            return
        for step, reported in enumerate(result.reports):
            asked.handle.report(reported, step)
        pruned = result.state == "pruned"
        self._study.tell(asked.handle, state=TrialState.PRUNED if pruned else TrialState.FAIL)


class Pruned(Exception):  # noqa: N818  (an outcome, no error)
    """Ends a fit that does worse than the trials before it."""


class Pruning:
    """Hears a fit's epochs and raises Pruned where the median pruner gives it up.

    Args:
        rivals: Stop scores by epoch of the same fold and seed, one list a completed trial; without
            any, nothing is pruned.
        spared: First epochs that are never the last.
    """

    def __init__(self, rivals: Sequence[Sequence[float]] = (), spared: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.reports: list[float] = []
        # Whether there are rivals enough is settled by who brings them.
        pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=spared)
        study = optuna.create_study(pruner=pruner)
        for curve in rivals:
            study.add_trial(
                optuna.trial.create_trial(value=0.0, intermediate_values=dict(enumerate(curve)))
            )
        self._trial = study.ask()

    def __call__(self, row: CurveRow) -> None:
        """Takes an epoch, as the fit's `on_epoch`.

        Raises:
            Pruned: the fit is not worth another epoch.
        """
        if row.stop_score is None:
            return
        self._trial.report(row.stop_score, len(self.reports))
        self.reports.append(row.stop_score)
        if self._trial.should_prune():
            raise Pruned


@dataclass(frozen=True)
class TunedFit:
    """One fit of a trial: stop scores by epoch, and the scores after stop; pruned, it has none."""

    reports: tuple[float, ...]
    best_epoch: int | None
    scores: Scores | None


def fit_tuned(
    panel: PanelArrays,
    rows: FoldRows,
    network: NetworkSpec,
    training: TrainingSpec,
    seed: int,
    lookback: int,
    device: torch.device,
    pruning: Pruning,
) -> TunedFit:
    """Fits one fold of a trial with one seed and scores its forecasts on the fold's *test* rows.

    No checkpoint is kept: a fit of a study is short, and one taken up half-way would have to
    replay what the pruner heard.
    """
    try:
        fitted = fit_network(
            panel, rows, network, training, seed, lookback, device, on_epoch=pruning
        )
    except Pruned:
        return TunedFit(tuple(pruning.reports), None, None)
    made = fitted.forecasts.filter(pl.col("span") == "test")
    return TunedFit(tuple(pruning.reports), fitted.best_epoch, scores_of(panel, made))


def scores_of(panel: PanelArrays, forecasts: pl.DataFrame) -> Scores:
    """Returns ic, rank_ic and mse of point forecasts (columns row, score, mean), as they are shown.

    A head without a mean has no mse.
    """
    ends = forecasts["row"].to_numpy()
    dates = torch.from_numpy(panel.dates[ends].astype(np.int64))
    symbols = torch.from_numpy(panel.symbol[ends].astype(np.int64))
    points, labels = (
        forecasts["score"].to_numpy(writable=True)[:, None],
        panel.target[ends][:, None],
    )
    lower = {m: score(m, "mean", points, labels, dates, symbols) for m in METRICS}
    found: Scores = {m: value if m == "mse" else -value for m, value in lower.items()}
    return found | {"mse": None} if forecasts["mean"].null_count() else found


def objective(metric: str, scores: Scores) -> float:
    """Returns the score that a study lowers."""
    value = scores[metric]
    if value is None:
        raise UsageError(
            f"tuning.metric={metric!r} is of a mean, and the network's head has none; set "
            "tuning.metric to ic or rank_ic."
        )
    return value if metric == "mse" else -value


def is_evaluated(lake: Lake, trial: str, now: datetime) -> bool:
    """Tells whether a trial has out-of-sample returns, which no tuning score may replace."""
    known = lake.read("trials", cutoff=None, known_by=now)
    mine = known.filter((pl.col("trial") == trial) & (pl.col("status") == "completed"))
    return bool(mine.select((pl.col("returns").list.len() > 0).any()).item())


def _sampler(spec: TuningSpec) -> BaseSampler:
    if spec.sampler == "tpe":
        return TPESampler(n_startup_trials=spec.startup, seed=spec.seed)
    return RandomSampler(seed=spec.seed)


def _grid(spec: TuningSpec) -> list[dict[str, Any]]:
    """Returns the grid's points in a seeded order, so that a part of it is spread over it all.

    Optuna's own grid sampler ends a study by a call that is forbidden where trials are asked for.
    """
    axes = []
    for dimension in spec.space.values():
        values = dimension.values() or ()
        axes.append(range(len(values)) if isinstance(dimension, Choices) else values)
    points = [dict(zip(spec.space, point, strict=True)) for point in itertools.product(*axes)]
    return [points[i] for i in np.random.default_rng(spec.seed).permutation(len(points))]


def _distribution(dimension: Dimension) -> BaseDistribution:
    # Optuna's categories are plain values; a choice may be a list, so its number stands for it.
    if isinstance(dimension, Choices):
        return CategoricalDistribution(range(len(dimension.choices)))
    if dimension.whole:
        high = (dimension.values() or (dimension.high,))[-1]
        return IntDistribution(
            int(dimension.low), int(high), dimension.log, int(dimension.step or 1)
        )
    values = dimension.values()
    return FloatDistribution(
        float(dimension.low),
        float(values[-1] if values else dimension.high),
        dimension.log,
        dimension.step,
    )


def _value(dimension: Dimension, drawn: Any) -> Any:
    return dimension.choices[drawn] if isinstance(dimension, Choices) else drawn


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
