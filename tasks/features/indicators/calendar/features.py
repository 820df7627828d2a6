"""Features of the day itself: weekday, season, turn of the month, holidays."""

import numpy as np

from tasks.features.indicators.entry import Array


def weekday_sin(weekday: Array) -> Array:
    """Returns the sine of the day of the week, Monday 0, in a week of five days.

    Formula: sin(2 * pi * weekday / 5)
    Source: common usage
    """
    return np.sin(2.0 * np.pi * weekday / 5.0)


def weekday_cos(weekday: Array) -> Array:
    """Returns the cosine of the day of the week, Monday 0, in a week of five days.

    Formula: cos(2 * pi * weekday / 5)
    Source: common usage
    """
    return np.cos(2.0 * np.pi * weekday / 5.0)


def month_sin(month: Array) -> Array:
    """Returns the sine of the month of the year, January 1.

    Formula: sin(2 * pi * (month - 1) / 12)
    Source: common usage
    """
    return np.sin(2.0 * np.pi * (month - 1.0) / 12.0)


def month_cos(month: Array) -> Array:
    """Returns the cosine of the month of the year, January 1.

    Formula: cos(2 * pi * (month - 1) / 12)
    Source: common usage
    """
    return np.cos(2.0 * np.pi * (month - 1.0) / 12.0)


def _nearness(sessions: Array, within: int) -> Array:
    return np.maximum(1.0 - sessions / within, 0.0)


def month_end(sessions_left_in_month: Array, within: int) -> Array:
    """Returns the nearness of the month's end: 1 on its last session, 0 from `within` before.

    Formula: max(1 - sessions left in the month / n, 0)
    Source: Ariel (1987), A Monthly Effect in Stock Returns
    """
    return _nearness(sessions_left_in_month, within)


def month_start(sessions_into_month: Array, within: int) -> Array:
    """Returns the nearness of the month's start: 1 on its first session, 0 from `within` after.

    Formula: max(1 - sessions of the month before this / n, 0)
    Source: Ariel (1987), A Monthly Effect in Stock Returns
    """
    return _nearness(sessions_into_month, within)


def days_to_holiday(sessions_to_holiday: Array, within: int) -> Array:
    """Returns the nearness of a holiday: 1 on the last session before one, 0 from `within` before.

    Formula: max(1 - min(sessions left before the next weekday without trading, 30) / n, 0)
    Source: Ariel (1990), High Stock Returns before Holidays
    """
    return _nearness(sessions_to_holiday, within)


def days_since_holiday(sessions_since_holiday: Array, within: int) -> Array:
    """Returns the nearness of a past holiday: 1 on the first session after, 0 from `within` after.

    Formula: max(1 - min(sessions since the last weekday without trading, 30) / n, 0)
    Source: Ariel (1990), High Stock Returns before Holidays
    """
    return _nearness(sessions_since_holiday, within)
