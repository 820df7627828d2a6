"""The flow `tune`: a study of other values, scored before the first calibrate span.

1. Features and the outer folds are those of `train`; the same finished stages serve both.
2. The past is cut off at the end of the first outer fold's stop span. Trials read nothing else, so
   no row and no label of any calibrate or test span can have a part in the choice.
3. Every trial gets inner folds of that past: fit | stop | test, the latter two as long as the
   outer stop span. It is counted in the lake before it is fitted.
4. The study keeps no state (see `tasks/training/tuning.py`): run again after a kill, it asks for
   the same trials and takes their finished fits.
"""

from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.config import RunConfig, with_values
from flows.environment import data_root
from flows.inner import inner_splits
from flows.labelled import label_features, plan_folds
from flows.naming import name_this_run
from flows.prices import BATCHES_AT_ONCE, ingest
from flows.session import Plan, plan_run
from flows.study import Bench, run_trials
from models.errors import ModelError
from tasks.lake.artifacts import Artifact
from tasks.training.tuning import Study, objective
from tasks.training.tuning_task import cut_past, write_study


@flow(name="tune", log_prints=False, task_runner=BATCHES_AT_ONCE)
def tune(
    config: RunConfig = RunConfig(),  # noqa: B008  (frozen; Prefect reads the form's defaults here)
    as_of: date | None = None,
    now: datetime | None = None,
) -> State[Any]:
    """Tries values of `config.tuning` and keeps the best as a configuration to train with.

    Args:
        config: What to train on what; `tuning` says which values to try.
        as_of: Last session the run may see; empty takes the newest. A study that was cut off on an
            earlier day goes on with that day's session.
        now: The run's instant (UTC); empty reads the clock.
    """
    now, place = now or datetime.now(UTC), data_root()
    splits = inner_splits(config)
    plan = plan_run(config, "train", as_of, now, place.lake)
    if plan.session is None:
        return Completed(name="Skipped", message=plan.reason)
    name_this_run(f"tune-{config.name}-{plan.session}")
    get_run_logger().info(
        f"tune name={config.name} session={plan.session} symbols={len(plan.symbols)} "
        f"sampler={config.tuning.sampler} trials={config.tuning.trials} device={plan.device}"
    )
    past, end = _past(config, plan, now)
    bench = Bench(config, plan, now, place.root, place.lake, past, end, splits)
    study = Study(config.tuning)
    run_trials(study, bench)
    outcome = _outcome(study, bench)
    return Completed(message=f"best trial {outcome['best'] + 1}; {outcome['file']}", data=outcome)


def _past(config: RunConfig, plan: Plan, now: datetime) -> tuple[Artifact, date]:
    """Returns the features up to the end of the first outer fold's stop span, and that day."""
    assert plan.session is not None  # noqa: S101
    place = data_root()
    prices = ingest(config, plan, place.lake, plan.session, now, flow_run.get_id() or "")
    features = label_features(config, prices, place.root, place.lake)
    windows = plan_folds(config, features, plan.session, place.root)
    first = windows.read_json(place.root)["folds"][0]
    end = date.fromisoformat(first["spans"]["stop"]["end"])
    return cut_past(root=place.root, features=features, end=end), end


def _outcome(study: Study, bench: Bench) -> dict[str, Any]:
    """Writes what the study comes to and returns it, ready for JSON."""
    metric = bench.config.tuning.metric
    judged = [row for row in bench.rows if row["state"] == "completed"]
    if not judged:
        raise ModelError(
            f"None of the {len(bench.rows)} trials could be completed; the last one: "
            f"{bench.rows[-1]['reason']} Narrow tuning.space."
        )
    best = min(judged, key=lambda row: objective(metric, row))
    written = write_study(
        root=bench.root,
        trials=bench.rows,
        tried=bench.tried,
        tuning=bench.config.tuning,
        best=best["number"],
        recipe=with_values(bench.config, best["values"]).recipe(),
    )
    shown = [
        {"trial": row["number"] + 1, **row, "values": str(row["values"])} for row in bench.rows
    ]
    create_table_artifact(
        [{k: v for k, v in row.items() if k != "number"} for row in shown],
        key="nightcast-trials",
        description=f"Trials of the study; the best is trial {best['number'] + 1}",
    )
    return {
        "best": best["number"],
        "values": best["values"],
        "metric": metric,
        "trials": bench.rows,
        "repeats": study.repeats,
        "session": str(bench.plan.session),
        "end": str(bench.end),
        "file": str(written.path(bench.root, "best.toml")),
    }
