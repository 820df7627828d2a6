"""Plain loops over dates: calendar feature -> value on a day, given the set of all sessions."""

import math
from datetime import date, timedelta

from tasks.features.indicators.calendar.days import AHEAD

DAY = timedelta(days=1)


def near(distance: int, within: int) -> float:
    """1 at no distance, 0 from `within` on, a straight line between."""
    return 0.0 if distance >= within else (within - distance) / within


def is_closing(day: date, sessions: set[date]) -> bool:
    return day.weekday() < 5 and day not in sessions


def steps_to_closing(day: date, sessions: set[date], step: timedelta) -> int:
    """Sessions between a day and the next weekday without one in a direction, up to AHEAD."""
    count = 0
    day += step
    while count < AHEAD and not is_closing(day, sessions):
        count += day in sessions
        day += step
    return count


def month_of(day: date, sessions: set[date]) -> list[date]:
    days = [date(day.year, day.month, 1) + i * DAY for i in range(31)]
    return [d for d in days if d.month == day.month and d in sessions]


CALENDAR_LOOPS = {
    "weekday_sin": lambda day, sessions: math.sin(2 * math.pi * day.weekday() / 5),
    "weekday_cos": lambda day, sessions: math.cos(2 * math.pi * day.weekday() / 5),
    "month_sin": lambda day, sessions: math.sin(2 * math.pi * (day.month - 1) / 12),
    "month_cos": lambda day, sessions: math.cos(2 * math.pi * (day.month - 1) / 12),
    "month_end": lambda day, sessions, n: near(
        sum(other > day for other in month_of(day, sessions)), n
    ),
    "month_start": lambda day, sessions, n: near(
        sum(other < day for other in month_of(day, sessions)), n
    ),
    "days_to_holiday": lambda day, sessions, n: near(steps_to_closing(day, sessions, DAY), n),
    "days_since_holiday": lambda day, sessions, n: near(steps_to_closing(day, sessions, -DAY), n),
}
