"""Sessions of an exchange: which days it trades, when it opens and when it closes."""

import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

import exchange_calendars
import pandas as pd

from models.errors import UsageError, near

# Left alone, exchange_calendars begins twenty years before today; daily bars reach further back.
_EARLIEST = pd.Timestamp(1960, 1, 1)


@dataclass(frozen=True)
class _Schedule:
    """All that a calendar knows, from `start` on; days, opens and closes go in step.

    `unforeseen` are weekdays on which the exchange stayed closed for a reason of that very time.
    """

    start: date
    zone: tzinfo
    days: tuple[date, ...]
    opens: tuple[datetime, ...]
    closes: tuple[datetime, ...]
    unforeseen: frozenset[date]


def require_exchange(exchange: str) -> str:
    """Returns the calendar's own name of `exchange`, which may be an alias; else a UsageError."""
    names = exchange_calendars.get_calendar_names(include_aliases=True)
    if exchange not in names:
        raise UsageError(
            f"No trading calendar is called {exchange!r}; give the exchange's ISO code, such as "
            f"XNYS.{near(exchange.upper(), names)}"
        )
    return str(exchange_calendars.resolve_alias(exchange))


def sessions(exchange: str, start: date, end: date) -> list[date]:
    """Returns the sessions from `start` to `end`, both included."""
    _require_known(exchange, start)
    _require_known(exchange, end)
    days = _schedule(exchange).days
    return list(days[bisect_left(days, start) : bisect_right(days, end)])


def known_sessions(exchange: str, start: date, end: date) -> list[date]:
    """Returns what `sessions` does, of a span cut to the days that the calendar reaches."""
    schedule = _schedule(exchange)
    return sessions(exchange, max(start, schedule.start), min(end, schedule.days[-1]))


def scheduled_sessions(exchange: str, start: date, end: date) -> list[date]:
    """Returns the sessions as they were expected: with the weekdays that fell out unforeseen.

    What is counted towards a day ahead must be counted on these, for nobody knew on 2001-09-10 that
    the week was over. The span is cut to the days that the calendar reaches.
    """
    schedule = _schedule(exchange)
    first, last = max(start, schedule.start), min(end, schedule.days[-1])
    fallen = {d for d in schedule.unforeseen if first <= d <= last and d.weekday() < 5}
    return sorted(fallen.union(sessions(exchange, first, last)))


def is_session(exchange: str, day: date) -> bool:
    """Tells whether the exchange trades on `day`."""
    return sessions(exchange, day, day) == [day]


def next_session(exchange: str, day: date) -> date:
    """Returns the first session after `day`."""
    _require_known(exchange, day)
    days = _schedule(exchange).days
    after = bisect_right(days, day)
    if after == len(days):
        raise _beyond(exchange, day)
    return days[after]


def last_session(exchange: str, day: date, back: int = 0) -> date:
    """Returns the last session on or before `day`, or the one `back` sessions before that."""
    _require_known(exchange, day)
    days = _schedule(exchange).days
    place = bisect_right(days, day) - 1 - back
    if place < 0:
        raise _beyond(exchange, day)
    return days[place]


def last_closed_session(exchange: str, now: datetime) -> date:
    """Returns the last session whose close is not after `now` (an instant with a time zone).

    A half day counts from its early close on.
    """
    _require_zone(now)
    schedule = _schedule(exchange)
    closed = bisect_right(schedule.closes, now)
    # Past the calendar's end the newest session is not known, so the last one listed is no answer.
    if closed in (0, len(schedule.closes)):
        raise _beyond(exchange, now.astimezone(UTC).date())
    return schedule.days[closed - 1]


def last_final_session(exchange: str, now: datetime, margin: timedelta) -> date:
    """Returns the last session that closed `margin` before `now` or earlier.

    A source goes on correcting a bar for a while after the close; by then it is taken as final.
    """
    return last_closed_session(exchange, now - margin)


def local_date(exchange: str, now: datetime) -> date:
    """Returns the date that the exchange's own clocks show at `now`."""
    _require_zone(now)
    return now.astimezone(_schedule(exchange).zone).date()


def session_open(exchange: str, day: date) -> datetime:
    """Returns the UTC instant at which session `day` opens."""
    return _schedule(exchange).opens[_position(exchange, day)]


def session_close(exchange: str, day: date) -> datetime:
    """Returns the UTC instant at which session `day` closes; early on a half day."""
    return _schedule(exchange).closes[_position(exchange, day)]


@lru_cache(maxsize=8)
def _schedule(exchange: str) -> _Schedule:
    require_exchange(exchange)
    with warnings.catch_warnings():
        # exchange_calendars 4.13 reads `Series.values`, which pandas 3.1 announces to change.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            calendar = exchange_calendars.get_calendar(exchange, start=_EARLIEST)
            start = _EARLIEST
        except ValueError:
            # Some calendars reach less far back. Asking all of them would build each one twice.
            start = exchange_calendars.get_calendar(exchange).bound_min()
            calendar = exchange_calendars.get_calendar(exchange, start=start)
        return _Schedule(
            start.date(),
            calendar.tz,
            tuple(calendar.sessions.date),
            tuple(calendar.opens.dt.to_pydatetime()),
            tuple(calendar.closes.dt.to_pydatetime()),
            frozenset(d.date() for d in map(pd.Timestamp, calendar.adhoc_holidays)),
        )


def _position(exchange: str, day: date) -> int:
    days = _schedule(exchange).days
    place = bisect_left(days, day)
    if place == len(days) or days[place] != day:
        raise UsageError(f"{day} is no session of {exchange}; ask for a day on which it trades.")
    return place


def _require_zone(now: datetime) -> None:
    if now.tzinfo is None:
        raise UsageError(f"now={now.isoformat()} has no time zone; give a UTC instant.")


def _require_known(exchange: str, day: date) -> None:
    """Refuses a day outside the calendar: there, silence would read as 'no session'."""
    schedule = _schedule(exchange)
    if not schedule.start <= day <= schedule.days[-1]:
        raise _beyond(exchange, day)


def _beyond(exchange: str, day: date) -> UsageError:
    schedule = _schedule(exchange)
    return UsageError(
        f"The calendar of {exchange} reaches from {schedule.start} to {schedule.days[-1]}, and "
        f"{day} lies outside; choose a day within."
    )
