"""What a run is about, settled before anything is written: its universe and its session."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from flows.config import RunConfig
from models.device import resolve_device
from models.errors import DataError, UsageError
from tasks.ingest.providers import Provider, open_provider
from tasks.ingest.universe import members
from tasks.lake.calendar import last_closed_session, last_session, next_session
from tasks.lake.store import Lake
from tasks.publishing.ledger import nights
from tasks.publishing.registry import entries

# A replay trains up to here and publishes the sessions after it one by one.
REPLAYED_SESSIONS = 60


Kind = Literal["train", "daily"]


@dataclass(frozen=True)
class Plan:
    """Universe and session of a run; `session` is None where there is nothing to do."""

    symbols: tuple[str, ...]
    benchmark: str | None
    session: date | None
    reason: str
    device: str


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
        UsageError: An unknown symbol, a cutoff in the future, or `cuda` without a GPU.
        DataError: The provider's history ends before the session.
    """
    device = resolve_device(config.training.device).type
    provider = open_provider(config.provider)
    symbols = members(provider, config.universe)
    session, reason = _session(config, kind, provider, as_of, now, lake)
    return Plan(symbols, provider.benchmark(), session, reason, device)


def _session(
    config: RunConfig,
    kind: Kind,
    provider: Provider,
    as_of: date | None,
    now: datetime,
    lake: str,
) -> tuple[date | None, str]:
    exchange, last = config.universe.exchange, provider.last_session()
    closed = last_closed_session(exchange, now)
    if as_of is not None:
        _require_past(as_of, closed, now)
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
        today = now.astimezone(UTC).date()
        if kind == "daily" and closed != today:
            return None, f"{exchange} held no session that closed on {today}"
        return closed, ""
    if getattr(config.provider, "replay", False):
        return _replayed(config, kind, last, now, lake)
    # A mistyped date in a file must not carry the run beyond what has closed.
    return last_session(exchange, min(last, closed)), ""


def _require_past(as_of: date, closed: date, now: datetime) -> None:
    if as_of > closed and as_of >= now.astimezone(UTC).date():
        raise UsageError(
            f"--as-of {as_of} is in the future: the last session that has closed at "
            f"{now:%Y-%m-%d %H:%M} UTC is {closed}; take that or an earlier date."
        )


def _replayed(
    config: RunConfig, kind: Kind, last: date, now: datetime, lake: str
) -> tuple[date | None, str]:
    exchange = config.universe.exchange
    start = last_session(exchange, last, back=REPLAYED_SESSIONS)
    if kind == "train":
        return start, ""
    store = Lake(lake)
    models = [e.model for e in entries(store, now) if e.name == config.name]
    published = nights(store, models, now)
    session = next_session(exchange, published[-1]) if published else start
    if session > last:
        return None, f"the replay has published every session up to {last}"
    return session, ""
