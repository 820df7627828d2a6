"""The flow `daily`: tonight's forecasts from the champion."""

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
from tasks.features.spec import FeatureSpec
from tasks.features.task import build_features
from tasks.forecasting.task import make_forecast
from tasks.lake.store import Lake
from tasks.lake.target_spec import TargetSpec
from tasks.publishing.ledger import recorded_clock
from tasks.publishing.registry import champion, manifest_of
from tasks.publishing.task import publish_night, write_report


@flow(name="daily", log_prints=False, task_runner=BATCHES_AT_ONCE)
def daily(
    config: RunConfig = RunConfig(),  # noqa: B008  (frozen; Prefect reads the form's defaults here)
    as_of: date | None = None,
    now: datetime | None = None,
) -> State[Any]:
    """Forecasts the sessions after the close and publishes them.

    Args:
        config: Which universe from which provider; the champion decides about everything else.
        as_of: The session to forecast after; empty takes the newest.
        now: The run's instant (UTC); empty reads the clock.
    """
    now, place = now or datetime.now(UTC), data_root()
    root, lake = place.root, place.lake
    plan = plan_run(config, "daily", as_of, now, lake)
    if plan.session is None:
        name_this_run(f"daily-{config.name}-skipped")
        return Completed(name="Skipped", message=plan.reason)
    session = plan.session
    name_this_run(f"daily-{config.name}-{session}")
    model = champion(Lake(lake), config.name, session, now, config.universe.exchange)
    get_run_logger().info(f"daily session={session} model={model.model} ({model.label})")
    known_by = recorded_clock(Lake(lake), model.model, session, now)
    run = flow_run.get_id() or ""
    prices = ingest(config, plan, lake, session, now, run, known_by=known_by)

    manifest = manifest_of(root, model)
    features = build_features(
        root=root,
        lake=lake,
        bars=prices.bars,
        actions=prices.actions,
        benchmark=None,
        features=FeatureSpec(features=manifest["features"], lookback=manifest["earlier_bars"]),
        target=TargetSpec(**manifest["target"]),
        members=prices.members,
        newest=manifest["lookback"],
    )
    forecast = make_forecast(
        root=root, bundle=model.bundle, features=features, cutoff=session, device=plan.device
    )
    added = publish_night(
        root, lake, model, forecast, session, known_by, now, prices.members.on(session)
    )
    report = write_report(
        root, lake, f"night-{config.name}-{session}", model, session, now, forecast
    )
    outcome = {
        "model": model.model,
        "cutoff": str(session),
        "published": added,
        "report": str(report),
    }
    return Completed(message=f"{added} new forecasts of {session}; report {report}", data=outcome)
