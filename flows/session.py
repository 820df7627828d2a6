"""What a run is about, settled before anything is written: its universe and its session."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import polars as pl

from flows.config import RunConfig
from models.device import resolve_device
from models.errors import DataError, UsageError
from tasks.ingest.providers import Provider, open_provider
from tasks.ingest.universe import members, survivorship
from tasks.lake.calendar import (
    is_session,
    last_final_session,
    last_session,
    local_date,
    next_session,
)
from tasks.lake.store import Lake
from tasks.publishing.ledger import nights
from tasks.publishing.registry import entries

# A replay trains up to here and publishes the sessions after it one by one.
REPLAYED_SESSIONS = 60


Kind = Literal["train", "daily"]


@dataclass(frozen=True)
class Plan:
    """Universe and session of a run; `session` is None where there is nothing to do, for `reason`.

    `symbols` are all that were ever members by the session; `survivorship` says in plain words who
    is missing.
    """

    symbols: tuple[str, ...]
    membership: pl.DataFrame
    benchmark: str | None
    session: date | None
    reason: str
    device: str
    survivorship: str


def plan_run(
    config: RunConfig,
    kind: Kind,
    as_of: date | None,
    now: datetime,
    lake: str,
) -> Plan:
    """Returns the universe and the session of a run; reads, and writes nothing.

    Args:
        config: The run's configuration.
        kind: `train` skips no day: it takes the last session on or before `as_of`.
        as_of: The session asked for; None is the newest there is.
        now: The run's instant.
        lake: The lake's address.

    Raises:
        UsageError: An unknown symbol, a cutoff in the future, `cuda` without a GPU, or a
            training that needs sectors where the membership names none.
        DataError: The provider's history ends before the session.
    """
    device = resolve_device(config.training.device).type
    provider = open_provider(config.provider)
    if config.fallback is not None:
        # A key that is missing comes out before anything is started.
        open_provider(config.fallback)
    session, reason = _session(config, kind, provider, as_of, now, lake)
    # Where there is nothing to do, the universe is still checked, for bad usage to come out.
    who = members(provider, config.universe, session or local_date(config.universe.exchange, now))
    if kind == "train":
        _require_sectors(config, who.membership)
    return Plan(
        symbols=who.ever,
        membership=who.membership,
        benchmark=provider.benchmark(),
        session=session,
        reason=reason,
        device=device,
        survivorship=survivorship(config.universe, who.membership, provider),
    )


def _require_sectors(config: RunConfig, membership: pl.DataFrame) -> None:
    if config.needing_sectors and membership["sector"].null_count() == membership.height:
        raise UsageError(
            f"{' and '.join(config.needing_sectors)} cannot do without sectors, and none of "
            f"the {membership.height} spells in {config.universe.file} names one; fill its column "
            "`sector`, or leave 'sector' out of the covariates and the limit empty."
        )


def _session(
    config: RunConfig,
    kind: Kind,
    provider: Provider,
    as_of: date | None,
    now: datetime,
    lake: str,
) -> tuple[date | None, str]:
    exchange = config.universe.exchange
    final = last_final_session(exchange, now, timedelta(minutes=config.quality.final_after_minutes))
    last = provider.last_session(final)
    if as_of is not None:
        _require_past(as_of, final, exchange, now)
        session = last_session(exchange, as_of)
        if kind == "daily" and session != as_of:
            return None, f"{exchange} held no session on {as_of}"
        if last is not None and session > last:
            raise DataError(
                f"The provider's history ends on {last}, before --as-of {as_of}; bring newer bars "
                "or take an earlier date."
            )
        return session, ""
    if last is None:
        return _live(config, kind, final, now, lake)
    if getattr(config.provider, "replay", False):
        return _replayed(config, kind, last, now, lake)
    # A mistyped date in a file must not carry the run beyond what has closed.
    return last_session(exchange, min(last, final)), ""


def _require_past(as_of: date, final: date, exchange: str, now: datetime) -> None:
    # A day off, today's too, is no future: there is nothing to wait for.
    if as_of > final and (as_of > local_date(exchange, now) or is_session(exchange, as_of)):
        raise UsageError(
            f"--as-of {as_of} is in the future: the last session whose bars are final at "
            f"{now:%Y-%m-%d %H:%M} UTC is {final}; take that or an earlier date."
        )


def _live(
    config: RunConfig, kind: Kind, final: date, now: datetime, lake: str
) -> tuple[date | None, str]:
    """Returns the newest session, unless today is a holiday and that night is published already.

    A night that failed is thus made up for on a holiday too, or after midnight.
    """
    exchange = config.universe.exchange
    today = local_date(exchange, now)
    if (
        kind == "daily"
        and not is_session(exchange, today)
        and final in _published(config, now, lake)
    ):
        return None, f"{exchange} held no session on {today}, and {final} is published"
    return final, ""


def _published(config: RunConfig, now: datetime, lake: str) -> list[date]:
    store = Lake(lake)
    models = [e.model for e in entries(store, now) if e.name == config.name]
    return nights(store, models, now)


def _replayed(
    config: RunConfig, kind: Kind, last: date, now: datetime, lake: str
) -> tuple[date | None, str]:
    exchange = config.universe.exchange
    start = last_session(exchange, last, back=REPLAYED_SESSIONS)
    if kind == "train":
        return start, ""
    published = _published(config, now, lake)
    session = next_session(exchange, published[-1]) if published else start
    if session > last:
        return None, f"the replay has published every session up to {last}"
    return session, ""
