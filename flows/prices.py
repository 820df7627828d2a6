"""Ingestion as both flows use it: fetch in batches, close the night, fix what is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from prefect.task_runners import ThreadPoolTaskRunner

from flows.config import RunConfig
from flows.session import Plan
from tasks.ingest.holdings import Night
from tasks.ingest.task import close_ingestion, fetch_batch, keep_members, tidy_lake
from tasks.lake.artifacts import TableRef
from tasks.lake.membership import Membership
from tasks.lake.target_spec import TargetSpec
from tasks.lake.task import snapshot

# Some 300 task runs a flow are well within Prefect's reach whatever the universe.
BATCH = 150
# Batches at the same time: one waits for the network while another is judged and written.
BATCHES_AT_ONCE: Any = ThreadPoolTaskRunner(max_workers=4)


@dataclass(frozen=True)
class Prices:
    """References to what the stages after ingestion read, and who was a member when.

    `actions` are the members' and the benchmark's.
    """

    bars: TableRef
    actions: TableRef
    benchmark: TableRef | None
    members: Membership

    def read_for(self, target: TargetSpec) -> list[TableRef]:
        """Returns what features and targets are made of."""
        index = [self.benchmark] if self.benchmark and target.excess == "benchmark" else []
        return [self.bars, self.actions, *index]


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
    members = keep_members(lake, config.name, plan.membership, known_by, now)
    night = Night(
        session=session,
        exchange=config.universe.exchange,
        now=now,
        run=run,
        quality=config.quality,
        currency=config.universe.currency,
    )
    listed_on = dict(plan.membership.select("symbol", "exchange").iter_rows())
    listed_on |= dict.fromkeys(_index(plan), night.exchange)
    wanted = [*plan.symbols, *_index(plan)]
    fetching = [
        fetch_batch.submit(
            lake,
            config.provider,
            config.fallback,
            batch,
            batch[0],
            len(batch) - 1,
            night.on(exchange),
        )
        for exchange, batch in _batches(wanted, listed_on)
    ]
    for batch in fetching:
        batch.result()
    close_ingestion(lake, wanted, night)
    tidy_lake(lake)
    symbols = members.symbols(session)
    bars = snapshot(lake, "bars", symbols, session, known_by)
    benchmark = (plan.benchmark,) if plan.benchmark else ()
    acting = tuple(sorted({*symbols, *benchmark}))
    actions = snapshot(lake, "actions", acting, session, known_by)
    index = snapshot(lake, "bars", benchmark, session, known_by) if benchmark else None
    return Prices(bars, actions, index, members)


def _index(plan: Plan) -> list[str]:
    """Returns the benchmark where it has to be fetched besides the members."""
    return [plan.benchmark] if plan.benchmark and plan.benchmark not in plan.symbols else []


def _batches(
    symbols: Sequence[str], listed_on: Mapping[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Yields batches of symbols that follow the sessions of one exchange."""
    for exchange in sorted({listed_on[s] for s in symbols}):
        own = [s for s in symbols if listed_on[s] == exchange]
        yield from ((exchange, own[i : i + BATCH]) for i in range(0, len(own), BATCH))
