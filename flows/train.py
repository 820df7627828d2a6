"""The flow `train`: from bars to a published model."""

import time
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.certificate.task import certify_run
from flows.config import RunConfig
from flows.environment import data_root
from flows.fan_out import fan_out, require_runner
from flows.gate import ask_gate, outcome_of
from flows.labelled import label_features, plan_folds
from flows.naming import name_this_run
from flows.prices import BATCHES_AT_ONCE, ingest
from flows.session import plan_run
from tasks.evaluation.certificate.verdict import require_clean
from tasks.evaluation.task import evaluate_folds
from tasks.features.task import prove_features
from tasks.lake.task import snapshot_trials
from tasks.publishing.registry import CROWNED
from tasks.publishing.task import write_bundle, write_report
from tasks.training.task import close_trial, open_trial, train_baselines, train_fold, train_refit


@flow(name="train", log_prints=False, task_runner=BATCHES_AT_ONCE)
def train(
    config: RunConfig = RunConfig(),  # noqa: B008  (frozen; Prefect reads the form's defaults here)
    as_of: date | None = None,
    now: datetime | None = None,
) -> State[Any]:
    """Trains and evaluates a model, and asks the gate whether it becomes champion.

    Args:
        config: What to train on what; the defaults take the embedded sample.
        as_of: Last session the model may see; empty takes the newest.
        now: The run's instant (UTC); empty reads the clock.
    """
    began, now, place = time.monotonic(), now or datetime.now(UTC), data_root()
    root, lake = place.root, place.lake
    plan = plan_run(config, "train", as_of, now, lake)
    require_runner(config.compute, plan.device)
    if plan.session is None:
        return Completed(name="Skipped", message=plan.reason)
    session, run = plan.session, flow_run.get_id() or ""
    name_this_run(f"train-{config.name}-{session}")
    get_run_logger().info(
        f"train name={config.name} session={session} symbols={len(plan.symbols)} "
        f"device={plan.device}"
    )
    prices = ingest(config, plan, lake, session, now, run)

    features = label_features(config, prices, root, lake)
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
    windows = plan_folds(config, features, session, root)
    recipe = config.recipe()
    trial = open_trial(root, lake, recipe, plan.symbols, windows, now, run)
    tried = snapshot_trials(lake, trial, now)
    shape |= {"lookback": config.window.lookback}
    fit: dict[str, Any] = {
        **shape,
        "windows": windows,
        "network": config.network,
        "training": config.training,
        "device": plan.device,
        "threads": config.compute.threads,
    }
    planned = windows.read_json(root)
    numbers = [fold["fold"] for fold in planned["folds"]]
    with fan_out(config, plan.device, planned) as fits:
        each = [
            {**fit, "fold": fold, "seed": seed}
            for fold in numbers
            for seed in config.training.seeds
        ]
        folds = fits.run("folds", train_fold, each)
        baselines = [
            train_baselines(**shape, windows=windows, fold=fold, baselines=config.baselines)
            for fold in numbers
        ]
        evaluation = evaluate_folds(
            **shape,
            lake=lake,
            windows=windows,
            folds=folds,
            baselines=baselines,
            actions=prices.actions,
            benchmark=prices.benchmark,
            trials=tried,
            target=config.target,
            network=config.network.name,
            spec=config.evaluation,
            head=config.network.head,
            members=prices.members,
        )
        close_trial(root, lake, trial, evaluation, now)
        last = [{**fit, "folds": folds, "seed": seed} for seed in config.training.seeds]
        refits = fits.run("refits", train_refit, last)
    asked = time.monotonic()
    certificate = certify_run(
        root=root,
        lake=lake,
        universe=config.name,
        members=prices.members,
        bars=prices.bars,
        actions=prices.actions,
        benchmark=prices.benchmark if config.target.excess == "benchmark" else None,
        features=config.features,
        target=config.target,
        window=config.window,
        splits=config.splits,
        network=config.network,
        training=config.training,
        baselines=config.baselines.names,
        evaluation=config.evaluation,
        frame=features,
        windows=windows,
        folds=folds,
        refits=refits,
        evaluated=evaluation,
        trial=trial["trial"],
        device=plan.device,
        threads=config.compute.threads,
    )
    took = time.monotonic() - asked, time.monotonic() - began
    bundle = write_bundle(
        root=root,
        recipe=recipe,
        symbols=plan.symbols,
        windows=windows,
        refits=refits,
        evaluation=evaluation,
        proof=proof,
        certificate=certificate,
        tables=prices.read_for(config.target),
        survivorship=plan.survivorship,
        device=plan.device,
    )
    judged = ask_gate(
        root=root,
        lake=lake,
        bundle=bundle,
        features=features,
        spec=config.gate,
        evaluation=config.evaluation,
        quality=config.quality,
        now=now,
    )
    model, said = judged.model, outcome_of(judged)
    report = write_report(root, lake, f"model-{model}", judged, None, now, certified_in=took)
    require_clean(certificate.read_json(root), f"{model} (report {report})")
    outcome = {
        "model": model,
        "cutoff": str(session),
        "promoted": judged.event in CROWNED,
        "gate": said,
        "report": str(report),
    }
    return Completed(message=f"{model} {said} Report {report}", data=outcome)
