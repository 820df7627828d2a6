"""Ingestion as both flows use it: fetch in batches, check the losses, fix what was read."""

from dataclasses import dataclass
from datetime import date, datetime

from flows.config import RunConfig
from flows.session import Plan
from tasks.ingest.task import check_losses, fetch_batch
from tasks.lake.artifacts import TableRef
from tasks.lake.task import snapshot

# Some 300 task runs a flow are well within Prefect's reach whatever the universe.
BATCH = 150


@dataclass(frozen=True)
class Prices:
    """References to what the stages after ingestion read."""

    bars: TableRef
    actions: TableRef
    benchmark: TableRef | None


def ingest(
    config: RunConfig,
    plan: Plan,
    lake: str,
    session: date,
    now: datetime,
    run: str,
    known_by: datetime | None = None,
) -> Prices:
    """Brings the lake up to `session` and fixes what is read of it by digests.

    What comes in is known at `now`; what is read was known by `known_by`, by default `now` too.
    """
    known_by = known_by or now
    wanted = [*plan.symbols, *([plan.benchmark] if plan.benchmark else [])]
    fetching = [
        fetch_batch.submit(
            lake,
            config.provider,
            batch,
            batch[0],
            len(batch) - 1,
            session,
            config.universe.exchange,
            now,
            run,
        )
        for batch in (wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH))
    ]
    check_losses([f.result() for f in fetching], config.quality, session)
    bars = snapshot(lake, "bars", plan.symbols, session, known_by)
    actions = snapshot(lake, "actions", plan.symbols, session, known_by)
    index = None
    if plan.benchmark:
        index = snapshot(lake, "bars", (plan.benchmark,), session, known_by)
    return Prices(bars, actions, index)
