"""The flow `train`: from bars to a published model."""

from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.config import RunConfig
from flows.environment import data_root
from flows.naming import name_this_run
from flows.prices import BATCHES_AT_ONCE, ingest
from flows.session import plan_run
from tasks.evaluation.task import evaluate_folds
from tasks.features.task import build_features, prove_features
from tasks.publishing.task import register_model, write_bundle, write_report
from tasks.training.task import close_trial, open_trial, train_baselines, train_fold, train_refit
from tasks.windows.task import make_windows


@flow(name="train", log_prints=False, task_runner=BATCHES_AT_ONCE)
def train(
    config: RunConfig = RunConfig(),  # noqa: B008  (frozen; Prefect reads the form's defaults here)
    as_of: date | None = None,
    now: datetime | None = None,
) -> State[Any]:
    """Trains, evaluates and publishes a model.

    Args:
        config: What to train on what; the defaults take the embedded sample.
        as_of: Last session the model may see; empty takes the newest.
        now: The run's instant (UTC); empty reads the clock.
    """
    now, place = now or datetime.now(UTC), data_root()
    root, lake = place.root, place.lake
    plan = plan_run(config, "train", as_of, now, lake)
    if plan.session is None:
        return Completed(name="Skipped", message=plan.reason)
    session, run = plan.session, flow_run.get_id() or ""
    name_this_run(f"train-{config.name}-{session}")
    get_run_logger().info(
        f"train name={config.name} session={session} symbols={len(plan.symbols)} "
        f"device={plan.device}"
    )
    prices = ingest(config, plan, lake, session, now, run)

    features = build_features(
        root=root,
        lake=lake,
        bars=prices.bars,
        actions=prices.actions,
        benchmark=prices.benchmark if config.target.excess == "benchmark" else None,
        features=config.features,
        target=config.target,
        members=prices.members,
        newest=None,
    )
    proof = prove_features(
        root=root,
        lake=lake,
        bars=prices.bars,
        actions=prices.actions,
        features=config.features,
        members=prices.members,
        seed=config.evaluation.seed,
    )
    shape: dict[str, Any] = {
        "root": root,
        "features": features,
        "names": config.features.features,
        "earlier_bars": config.features.lookback,
    }
    windows = make_windows(
        **shape,
        horizon=config.target.horizon,
        window=config.window,
        splits=config.splits,
        cutoff=session,
    )
    recipe = config.model_dump(mode="json")
    trial = open_trial(root, lake, recipe, plan.symbols, windows, now, run)
    shape |= {"lookback": config.window.lookback}
    fit: dict[str, Any] = {
        **shape,
        "windows": windows,
        "network": config.network,
        "training": config.training,
        "device": plan.device,
    }
    folds = [
        train_fold(**fit, fold=fold, seed=seed)
        for fold in range(config.splits.folds)
        for seed in config.training.seeds
    ]
    baselines = [
        train_baselines(**shape, windows=windows, fold=fold, baselines=config.baselines)
        for fold in range(config.splits.folds)
    ]
    evaluation = evaluate_folds(
        **shape,
        lake=lake,
        folds=folds,
        baselines=baselines,
        benchmark=prices.benchmark,
        target=config.target,
        network=config.network.cell,
        spec=config.evaluation,
    )
    close_trial(root, lake, trial, evaluation, now)
    refits = [train_refit(**fit, folds=folds, seed=seed) for seed in config.training.seeds]
    bundle = write_bundle(
        root=root,
        recipe=recipe,
        symbols=plan.symbols,
        windows=windows,
        refits=refits,
        evaluation=evaluation,
        proof=proof,
        tables=prices.read_for(config.target),
        survivorship=plan.survivorship,
        device=plan.device,
    )
    model = register_model(root, lake, bundle, now)
    report = write_report(root, lake, f"model-{model}", bundle, None, now)
    outcome = {"model": model, "cutoff": str(session), "report": str(report)}
    return Completed(message=f"{model}; report {report}", data=outcome)
