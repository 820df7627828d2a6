"""Prefect shells of ingestion: fetch a batch into the lake, close the night, keep the members."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from tasks.ingest.closing import NightReport, close_night
from tasks.ingest.holdings import Night
from tasks.ingest.nightly import BatchReport, ingest_batch
from tasks.ingest.providers import shared_provider
from tasks.ingest.spec import ProviderSpec
from tasks.lake.membership import Membership, known_membership, record_membership
from tasks.lake.store import Lake
from tasks.lake.task import WRITES_TO_LAKE, may_heal
from tasks.lake.upkeep import tidy

# The UI lists so many symbols; those with something to tell come first.
_LISTED = 1000


@task(
    name="fetch",
    task_run_name="fetch {first} and {more} more",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=exponential_backoff(2),
    retry_jitter_factor=0.5,
    retry_condition_fn=may_heal,
)
def fetch_batch(
    lake: str,
    provider: ProviderSpec,
    fallback: ProviderSpec | None,
    symbols: Sequence[str],
    first: str,
    more: int,
    night: Night,
) -> BatchReport:
    """Fetches a batch into the lake; what became of each symbol is in the table `fetch_log`."""
    del first, more  # They name the task run.
    report = ingest_batch(
        Lake(lake),
        shared_provider(provider, night.run),
        None if fallback is None else shared_provider(fallback, night.run),
        symbols,
        night,
    )
    get_run_logger().info(
        f"fetch done symbols={len(symbols)} kept={report.kept} requests={report.requests} "
        f"bars={report.bars} new_rows={report.new_rows} refused={report.refused} "
        f"held={report.held} failed={report.failed}"
        + "".join(f" {rule}={count}" for rule, count in sorted(report.flags.items()))
    )
    return report


@task(name="close ingestion", task_run_name="close ingestion of {night.session}", **WRITES_TO_LAKE)
def close_ingestion(lake: str, symbols: Sequence[str], night: Night) -> NightReport:
    """Judges across symbols, shows each one's state, and stops the run when too much is lost."""
    report = close_night(Lake(lake), symbols, night)
    log = get_run_logger()
    for warning in report.warnings:
        log.warning(warning)
    log.info(f"ingestion done {report.summary}")
    told = report.symbols.sort("noteworthy", "symbol", descending=[True, False]).head(_LISTED)
    create_table_artifact(
        key="nightcast-ingestion",
        table=told.with_columns(pl.selectors.date().cast(pl.String)).to_dicts(),
        description=f"Ingestion of {night.session}: {report.summary}\n\n"
        + "\n".join(f"- {w}" for w in report.warnings),
    )
    report.enforce()
    return report


@task(name="tidy lake", task_run_name="tidy lake", cache_policy=NO_CACHE)
def tidy_lake(lake: str) -> None:
    """Packs the small files that many nights leave; what a read gives stays the same to the bit."""
    done = {t: d for t, d in tidy(Lake(lake)).items() if d.packed or d.deleted}
    told = " ".join(f"{t}: packed={d.packed} deleted={d.deleted}" for t, d in done.items())
    get_run_logger().info(f"tidy done {told or 'nothing to do'}")


@task(name="members", task_run_name="members of {universe}", **WRITES_TO_LAKE)
def keep_members(
    lake: str, universe: str, spells: pl.DataFrame, known_by: datetime, now: datetime
) -> Membership:
    """Keeps who belongs to the universe in the lake; returns who did as known by `known_by`."""
    store = Lake(lake)
    record_membership(store, universe, spells, now)
    return known_membership(store, universe, known_by)
