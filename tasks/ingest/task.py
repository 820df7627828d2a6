"""Prefect shells of ingestion: fetch a batch into the lake, and stop when too much was refused."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff
from pydantic import BaseModel, ConfigDict

from models.errors import DataError
from tasks.ingest.providers import open_provider
from tasks.ingest.quality import check, check_actions, count_by_symbol, enforce_ceiling
from tasks.ingest.spec import ProviderSpec, QualitySpec
from tasks.lake.calendar import known_sessions
from tasks.lake.store import Lake
from tasks.lake.task import may_heal


class FetchReport(BaseModel):
    """What a batch brought: bars served and refused by symbol, rows that were new to the lake."""

    model_config = ConfigDict(frozen=True)

    served: dict[str, int]
    refused: dict[str, int]
    empty: tuple[str, ...]
    added: int


@task(
    name="fetch",
    task_run_name="fetch {first} and {more} more",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=exponential_backoff(2),
    retry_jitter_factor=0.5,
    retry_condition_fn=may_heal,
)
def fetch_batch(
    lake: str,
    provider: ProviderSpec,
    symbols: Sequence[str],
    first: str,
    more: int,
    cutoff: date,
    exchange: str,
    known_at: datetime,
    run: str,
) -> FetchReport:
    """Fetches bars and actions up to `cutoff`; good rows go to the lake, refused ones aside."""
    del first, more  # They name the task run.
    fetched = open_provider(provider).fetch(symbols, None, cutoff)
    days = fetched.bars["date"].cast(pl.Date).drop_nulls()
    # A mistyped date may lie beyond any calendar; the rule `off_calendar` then refuses its row.
    span = (days.min(), days.max()) if len(days) else (cutoff, cutoff)
    open_days = known_sessions(exchange, *span)  # type: ignore[arg-type]
    bars, refused_bars = check(fetched.bars, open_days)
    actions, refused_actions = check_actions(fetched.actions, bars)
    store = Lake(lake)
    _require_one_source(store, bars, cutoff, known_at)
    refused = pl.concat([refused_bars, refused_actions]).with_columns(run=pl.lit(run))
    store.append("quarantine", refused, known_at)
    added = store.append("bars", bars, known_at) + store.append("actions", actions, known_at)
    report = FetchReport(
        served=count_by_symbol(fetched.bars),
        refused=count_by_symbol(refused_bars),
        empty=tuple(s for s, outcome in fetched.outcomes.items() if outcome != "ok"),
        added=added,
    )
    get_run_logger().info(
        f"fetch done symbols={len(symbols)} bars={bars.height} new_rows={added} "
        f"refused={refused.height} empty={len(report.empty)}"
    )
    return report


@task(name="check losses", task_run_name="check losses to {cutoff}", cache_policy=NO_CACHE)
def check_losses(reports: list[FetchReport], quality: QualitySpec, cutoff: date) -> FetchReport:
    """Adds up the batches; a DataError stops the run when more was refused than allowed."""
    total = FetchReport(
        served={s: n for r in reports for s, n in r.served.items()},
        refused={s: n for r in reports for s, n in r.refused.items()},
        empty=tuple(s for r in reports for s in r.empty),
        added=sum(r.added for r in reports),
    )
    if not total.served:
        raise DataError(
            f"The provider served no bar up to {cutoff} for any of {len(total.empty)} symbols; "
            "check the universe and the cutoff."
        )
    enforce_ceiling(total.served, total.refused, quality)
    return total


def _require_one_source(lake: Lake, bars: pl.DataFrame, cutoff: date, known_by: datetime) -> None:
    """Refuses to splice two sources inside one symbol: their adjustments and scales differ."""
    symbols = bars["symbol"].unique().to_list()
    held = lake.read("bars", cutoff=cutoff, known_by=known_by, symbols=symbols)
    sources = held.select("symbol", held="source").unique()
    foreign = sources.join(bars.select("symbol", "source").unique(), on="symbol").filter(
        pl.col("held") != pl.col("source")
    )
    if foreign.height:
        symbol, old, new = foreign.sort("symbol").row(0)
        raise DataError(
            f"The lake holds {symbol} from source {old!r}, and {new!r} now serves it too; two "
            "sources are not spliced inside one symbol. Use another --root for the new source."
        )
