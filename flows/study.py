"""The trials of the flow `tune`, one after another: asked, counted, fitted or pruned, told."""

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import product
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

from flows.config import RunConfig, with_values
from flows.labelled import reach
from flows.session import Plan
from models.errors import ModelError, UsageError
from tasks.lake.artifacts import Artifact
from tasks.lake.store import Lake
from tasks.training.task import close_trial, open_trial
from tasks.training.tuning import METRICS, Asked, Result, Study, is_evaluated, objective
from tasks.training.tuning_task import judge_trial, tune_fold
from tasks.windows.spec import SplitSpec
from tasks.windows.task import make_windows


@dataclass
class Bench:
    """What all trials of a run share, and what has come of them.

    Attributes:
        past: The features as they were known at the close of `end`; trials read nothing else.
        splits: Folds of a trial.
        rows: Number, values, state, scores and reason of every trial so far.
        tried: Artifacts of those that did not fail.
        completed: Fits of those that were neither pruned nor failed.
    """

    config: RunConfig
    plan: Plan
    now: datetime
    root: Path
    lake: str
    past: Artifact
    end: date
    splits: SplitSpec
    rows: list[dict[str, Any]] = field(default_factory=list)
    tried: list[Artifact] = field(default_factory=list)
    completed: list[list[Artifact]] = field(default_factory=list)

    @property
    def shape(self) -> dict[str, Any]:
        """What every stage after the features takes."""
        return {
            "root": self.root,
            "features": self.past,
            "names": self.config.features.features,
            "earlier_bars": self.config.features.lookback,
        }

    def rivals(self, fit: int) -> list[Artifact]:
        """Returns the fits that the pruner compares a trial's fit number `fit` with."""
        tuning = self.config.tuning
        if tuning.pruner == "none" or len(self.completed) < tuning.startup:
            return []
        return [fits[fit] for fits in self.completed]


def run_trials(study: Study, bench: Bench) -> None:
    """Makes all trials that the study asks for; their rows and artifacts end up on the bench."""
    metric = bench.config.tuning.metric
    progress: Any = create_progress_artifact(
        0.0, key="nightcast-study", description="Trials of the study"
    )
    while (asked := study.ask()) is not None:
        study.tell(asked, _run_one(asked, bench))
        row = bench.rows[-1]
        get_run_logger().info(
            f"trial={asked.number + 1}/{study.trials} state={row['state']} "
            f"{metric}={row[metric]} values={row['values']}"
        )
        update_progress_artifact(progress, 100.0 * (asked.number + 1) / study.trials)


def _run_one(asked: Asked, bench: Bench) -> Result:
    """Counts, fits and judges a trial; one that cannot be fitted is told as failed."""
    row: dict[str, Any] = {"number": asked.number, "values": asked.values}
    try:
        fits, judged = _fit_and_judge(asked, bench)
    except (ModelError, UsageError) as error:
        nothing = dict.fromkeys(METRICS)
        bench.rows.append(row | {"state": "failed", **nothing, "reason": str(error)})
        return Result("failed", None)
    facts = judged.read_json(bench.root)
    scores: dict[str, Any] = facts["scores"] or dict.fromkeys(METRICS)
    bench.rows.append(row | {"state": facts["state"], **scores, "reason": None})
    bench.tried.append(judged)
    if facts["state"] == "pruned":
        return Result("pruned", None, tuple(facts["reports"]))
    bench.completed.append(fits)
    return Result("completed", objective(bench.config.tuning.metric, scores))


def _fit_and_judge(asked: Asked, bench: Bench) -> tuple[list[Artifact], Artifact]:
    config, tuning = with_values(bench.config, asked.values), bench.config.tuning
    windows = make_windows(
        **bench.shape,
        horizon=config.target.longest,
        window=config.window,
        splits=bench.splits,
        cutoff=bench.end,
        **reach(config),
    )
    run, symbols = flow_run.get_id() or "", bench.plan.symbols
    trial = open_trial(bench.root, bench.lake, config.recipe(), symbols, windows, bench.now, run)
    fits: list[Artifact] = []
    for fold, seed in product(range(tuning.folds), tuning.seeds):
        rivals = bench.rivals(len(fits))
        fitted = tune_fold(
            **bench.shape,
            windows=windows,
            lookback=config.window.lookback,
            fold=fold,
            seed=seed,
            network=config.network,
            training=config.training,
            device=bench.plan.device,
            rivals=rivals,
            spared=tuning.spared if rivals else 0,
        )
        fits.append(fitted)
        if fitted.read_json(bench.root)["scores"] is None:
            break
    judged = judge_trial(root=bench.root, values=asked.values, fits=fits)
    if not is_evaluated(Lake(bench.lake), trial["trial"], bench.now):
        close_trial(bench.root, bench.lake, trial, judged, bench.now)
    return fits, judged
