"""Prefect shells of training: folds × seeds, baselines, the refit, and the counted trials."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.exceptions import MissingContextError
from safetensors.torch import save_file

from models.checkpoint import CurveRow
from tasks.lake.artifacts import Artifact, write_artifact, write_frames
from tasks.lake.panel import panel_arrays
from tasks.lake.store import Lake
from tasks.lake.task import WRITES_TO_LAKE, cached_stage
from tasks.training import workers
from tasks.training.baseline_spec import BaselineSpec
from tasks.training.folds import FoldFit, fit_baselines, refit_epochs
from tasks.training.network_spec import NetworkSpec
from tasks.training.orders import FitOrder, rows_of
from tasks.training.spec import TrainingSpec
from tasks.training.trials import complete_trial, count_trial, describe_trial


@cached_stage("fold", run_name="fit fold {fold} seed {seed}")
def train_fold(
    root: Path,
    key: str,
    features: Artifact,
    windows: Artifact,
    names: tuple[str, ...],
    earlier_bars: int,
    lookback: int,
    fold: int,
    seed: int,
    network: NetworkSpec,
    training: TrainingSpec,
    device: str,
    threads: int,
) -> Artifact:
    """Fits one network on one fold with one seed; a killed fit goes on after its last epoch."""
    order = FitOrder(
        root, key, features, windows, names, earlier_bars, lookback, fold, seed, network, training,
        device, None, threads,
    )  # fmt: skip
    parents = (features.sha256, windows.sha256)
    return _keep(root, "fold", key, _fit(order), {"fold": fold, "seed": seed}, parents)


@cached_stage("refit", run_name="refit seed {seed}")
def train_refit(
    root: Path,
    key: str,
    features: Artifact,
    windows: Artifact,
    folds: list[Artifact],
    names: tuple[str, ...],
    earlier_bars: int,
    lookback: int,
    seed: int,
    network: NetworkSpec,
    training: TrainingSpec,
    device: str,
    threads: int,
) -> Artifact:
    """Fits on every matured label for the median best epoch of the walk-forward's folds."""
    plan, fits = windows.read_json(root)["folds"], [fold.read_json(root) for fold in folds]
    # How a model is judged besides, by combinatorial folds, must not change the model.
    walked = [fit for fit in fits if "tested" not in plan[fit["fold"]]]
    epochs = refit_epochs([fit["best_epoch"] for fit in walked])
    order = FitOrder(
        root, key, features, windows, names, earlier_bars, lookback, None, seed, network, training,
        device, epochs, threads,
    )  # fmt: skip
    facts = {"fold": None, "seed": seed, "epochs": epochs}
    parents = (features.sha256, windows.sha256, *(fold.sha256 for fold in folds))
    return _keep(root, "refit", key, _fit(order), facts, parents)


@cached_stage("baselines", run_name="baselines fold {fold}")
def train_baselines(
    root: Path,
    key: str,
    features: Artifact,
    windows: Artifact,
    names: tuple[str, ...],
    earlier_bars: int,
    lookback: int,
    fold: int,
    baselines: BaselineSpec,
) -> Artifact:
    """Fits the null models on one fold and forecasts its calibrate and test rows."""
    panel = panel_arrays(features.frame(root), names, lookback, earlier_bars)
    rows = rows_of(root, windows, fold)
    forecasts = fit_baselines(panel, rows, baselines)
    fill = write_frames({"forecasts": forecasts}, {"fold": fold})
    return write_artifact(root, "baselines", key, fill, (features.sha256, windows.sha256))


@task(
    name="count trial",
    task_run_name="count trial",
    **WRITES_TO_LAKE,
)
def open_trial(
    root: Path,
    lake: str,
    recipe: dict[str, Any],
    symbols: tuple[str, ...],
    windows: Artifact,
    now: datetime,
    run: str,
) -> dict[str, Any]:
    """Counts a trial before anything is fitted and returns it; a re-run of it adds none."""
    trial = {**describe_trial(recipe, symbols, windows.read_json(root)), "run": run}
    count_trial(Lake(lake), trial, now)
    return trial


@task(
    name="close trial",
    task_run_name="close trial",
    **WRITES_TO_LAKE,
)
def close_trial(
    root: Path, lake: str, trial: dict[str, Any], evaluation: Artifact, now: datetime
) -> int:
    """Completes a trial with its score and its daily out-of-sample returns."""
    return complete_trial(Lake(lake), trial, evaluation.read_json(root)["trial"], now)


def _fit(order: FitOrder) -> FoldFit:
    return workers.current().fit(order, _log_epoch(order.most_epochs))


def _keep(
    root: Path,
    kind: str,
    key: str,
    fitted: FoldFit,
    facts: dict[str, Any],
    parents: tuple[str, ...],
) -> Artifact:
    """Writes what a fit left as an artifact, and only then lets its checkpoint go."""
    tables = {"curve": fitted.curve, **fitted.tables}
    found = {
        "best_epoch": fitted.best_epoch,
        "known": list(fitted.known),
        "levels": {name: list(words) for name, words in fitted.levels.items()},
        "out_of_time": fitted.out_of_time,
    }
    write = write_frames(tables, facts | found)

    def fill(folder: Path) -> int:
        save_file(fitted.weights, folder / "weights.safetensors")
        return write(folder)

    artifact = write_artifact(root, kind, key, fill, parents)
    shutil.rmtree(root / "work" / key, ignore_errors=True)
    return artifact


def _log_epoch(epochs: int) -> Callable[[CurveRow], None]:
    try:
        logger = get_run_logger()
    except MissingContextError:
        return lambda row: None

    def log(row: CurveRow) -> None:
        stop = "" if row.stop_loss is None else f" stop_loss={row.stop_loss:.5f}"
        logger.info(
            f"epoch={row.epoch}/{epochs} fit_loss={row.fit_loss:.5f}{stop} windows={row.windows}"
        )

    return log
