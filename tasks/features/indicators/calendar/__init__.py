"""The registry of the calendar: what is known of a day before it comes."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.calendar import features
from tasks.features.indicators.entry import Indicator

_calendar = partial(Indicator, "calendar", lookback=need.none, joined=True, shortest=1)

CALENDAR: dict[str, Indicator] = {
    "weekday_sin": _calendar(features.weekday_sin, ("weekday",), ()),
    "weekday_cos": _calendar(features.weekday_cos, ("weekday",), ()),
    "month_sin": _calendar(features.month_sin, ("month",), ()),
    "month_cos": _calendar(features.month_cos, ("month",), ()),
    "month_end": _calendar(features.month_end, ("sessions_left_in_month",), (5,)),
    "month_start": _calendar(features.month_start, ("sessions_into_month",), (5,)),
    "days_to_holiday": _calendar(features.days_to_holiday, ("sessions_to_holiday",), (5,)),
    "days_since_holiday": _calendar(features.days_since_holiday, ("sessions_since_holiday",), (5,)),
}
