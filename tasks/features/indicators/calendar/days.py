"""What the exchange's calendar says of a day; it is published long before, so it is no look ahead.

Distances are counted in sessions. A holiday is a weekday on which the exchange holds no session.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import DataError, UsageError

CALENDAR_COLUMNS = (
    "weekday",
    "month",
    "sessions_into_month",
    "sessions_left_in_month",
    "sessions_to_holiday",
    "sessions_since_holiday",
)

# Sessions that a calendar must reach beyond the panel. Distances are counted up to as many, so that
# they are the same however far it reaches.
AHEAD = 30


def calendar_columns(
    dates: pl.Series, sessions: Sequence[date] | None
) -> dict[str, NDArray[np.float64]]:
    """Returns CALENDAR_COLUMNS for each of `dates`, float64.

    Args:
        dates: the panel's dates, each a session.
        sessions: the exchange's sessions, ascending, some AHEAD past the last date. What lies
            before the first of them is not known: they begin a month or two before the panel.

    Raises:
        UsageError: there are no sessions, or they end too early.
        DataError: a date is no session.
    """
    if not sessions:
        raise UsageError(
            "A calendar feature needs the exchange's sessions, and none were given; pass them, or "
            "leave out the features of the kind calendar."
        )
    known = pl.Series("date", sessions, dtype=pl.Date)
    days = known.to_numpy().astype("datetime64[D]")
    if dates.len() == 0:
        return {name: np.empty(0) for name in CALENDAR_COLUMNS}
    place = known.search_sorted(dates).to_numpy()
    if place.max() + AHEAD >= len(days):
        raise UsageError(
            f"The exchange's calendar ends on {known[-1]}, {len(days) - 1 - int(place.max())} "
            f"sessions after the panel's last date, where calendar features need {AHEAD}; install "
            "a newer exchange_calendars, or leave out the features of the kind calendar."
        )
    stray = np.flatnonzero(days[place] != dates.to_numpy().astype("datetime64[D]"))
    if len(stray):
        raise DataError(
            f"{len(stray)} bars lie on no session of the calendar, first on "
            f"{dates[int(stray[0])]}; quarantine them or pass the right exchange's sessions."
        )
    table = _day_table(days)
    return {name: table[name][place] for name in CALENDAR_COLUMNS}


def _day_table(days: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """Returns the columns for each session; NaN where they hang on days before the first."""
    months = days.astype("datetime64[M]")
    _, first, count = np.unique(months, return_index=True, return_counts=True)
    into = np.arange(len(days)) - np.repeat(first, count)
    # A weekday is missing between two sessions that have fewer business days between them.
    between = np.busday_count(days[:-1], days[1:])
    # Sessions on a weekend, as some exchanges hold, have none.
    closed = np.flatnonzero(between > 1)
    places = np.arange(len(days))
    next_closed = np.searchsorted(closed, places)
    ahead = np.append(closed, np.inf)[next_closed] - places
    behind = places - np.concatenate([[-np.inf], closed + 1])[next_closed]
    return {
        "weekday": (days.astype("datetime64[D]").view("int64") + 3) % 7.0,
        "month": months.astype("int64") % 12 + 1.0,
        "sessions_into_month": np.where(months > months[0], into, np.nan),
        "sessions_left_in_month": (np.repeat(count, count) - 1 - into).astype(float),
        "sessions_to_holiday": np.minimum(ahead, AHEAD),
        "sessions_since_holiday": np.where(
            (next_closed > 0) | (places >= AHEAD), np.minimum(behind, AHEAD), np.nan
        ),
    }
