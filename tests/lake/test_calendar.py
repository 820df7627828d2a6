from datetime import UTC, date, datetime, timedelta

import pytest

from models.errors import UsageError
from tasks.lake import calendar

# New York 2013: Thanksgiving on 28 November, half day on the 29th, Christmas Eve another one.


def test_sessions_leave_out_weekends_and_holidays():
    assert calendar.sessions("XNYS", date(2013, 11, 27), date(2013, 12, 2)) == [
        date(2013, 11, 27),
        date(2013, 11, 29),
        date(2013, 12, 2),
    ]


def test_history_before_the_last_twenty_years_is_known():
    # The exchange was shut for four sessions after 11 September 2001.
    assert calendar.sessions("XNYS", date(2001, 9, 10), date(2001, 9, 17)) == [
        date(2001, 9, 10),
        date(2001, 9, 17),
    ]


def test_nobody_expected_the_sessions_that_fell_out_to_fall_out():
    days = calendar.scheduled_sessions("XNYS", date(2001, 9, 10), date(2001, 9, 18))
    assert days == [date(2001, 9, day) for day in (10, 11, 12, 13, 14, 17, 18)]
    # The hurricane of 2012 closed a Monday and a Tuesday.
    days = calendar.scheduled_sessions("XNYS", date(2012, 10, 26), date(2012, 10, 31))
    assert days == [date(2012, 10, day) for day in (26, 29, 30, 31)]


@pytest.mark.parametrize("year", range(1990, 2025))
def test_holidays_that_return_every_year_were_expected(year):
    span = date(year, 1, 1), date(year, 12, 31)
    expected = calendar.scheduled_sessions("XNYS", *span)
    held = calendar.sessions("XNYS", *span)
    assert expected == sorted(expected)
    assert set(held) <= set(expected)
    # New York has never lost more than four sessions of a year, and never one on these days.
    assert len(expected) - len(held) <= 4
    assert not {date(year, 7, 4), date(year, 12, 25), date(year, 1, 1)} & set(expected)
    assert all(day.weekday() < 5 for day in expected)
    thanksgiving = [date(year, 11, day) for day in range(22, 29)]
    assert [d for d in thanksgiving if d.weekday() == 3 and d in expected] == []


def test_expected_sessions_end_where_the_calendar_does():
    # The calendar of Tokyo knows closings of years that it does not reach.
    reached = calendar.known_sessions("XTKS", date(2020, 1, 1), date(2300, 1, 1))
    expected = calendar.scheduled_sessions("XTKS", date(2020, 1, 1), date(2300, 1, 1))
    assert expected[-1] == reached[-1]
    # That of New York knows some of before its beginning.
    span = date(1929, 1, 1), date(1960, 1, 29)
    assert calendar.scheduled_sessions("XNYS", *span) == calendar.known_sessions("XNYS", *span)


def test_a_half_day_closes_at_one_in_new_york():
    assert calendar.session_open("XNYS", date(2013, 11, 29)) == datetime(
        2013, 11, 29, 14, 30, tzinfo=UTC
    )
    assert calendar.session_close("XNYS", date(2013, 11, 29)) == datetime(
        2013, 11, 29, 18, 0, tzinfo=UTC
    )
    assert calendar.session_close("XNYS", date(2013, 11, 27)) == datetime(
        2013, 11, 27, 21, 0, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2013, 11, 29, 17, 59, tzinfo=UTC), date(2013, 11, 27)),
        (datetime(2013, 11, 29, 18, 0, tzinfo=UTC), date(2013, 11, 29)),
        (datetime(2013, 12, 1, 12, 0, tzinfo=UTC), date(2013, 11, 29)),
        (datetime(2013, 12, 2, 20, 59, tzinfo=UTC), date(2013, 11, 29)),
        (datetime(2013, 12, 2, 21, 0, tzinfo=UTC), date(2013, 12, 2)),
    ],
)
def test_a_session_is_over_at_its_close(now, expected):
    assert calendar.last_closed_session("XNYS", now) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2013, 11, 29, 18, 59, tzinfo=UTC), date(2013, 11, 27)),
        (datetime(2013, 11, 29, 19, 0, tzinfo=UTC), date(2013, 11, 29)),
        (datetime(2013, 12, 2, 21, 59, tzinfo=UTC), date(2013, 11, 29)),
        (datetime(2013, 12, 2, 22, 0, tzinfo=UTC), date(2013, 12, 2)),
    ],
)
def test_a_session_is_final_a_margin_after_its_close(now, expected):
    assert calendar.last_final_session("XNYS", now, timedelta(hours=1)) == expected
    assert calendar.last_final_session("XNYS", now - timedelta(hours=1), timedelta(0)) == expected


def closes(exchange, start, end):
    days = calendar.sessions(exchange, start, end)
    return [(day, calendar.session_close(exchange, day)) for day in days]


def test_closes_are_those_of_the_sessions_half_days_and_summer_time_included():
    assert closes("XNYS", date(2013, 11, 28), date(2013, 12, 2)) == [
        (date(2013, 11, 29), datetime(2013, 11, 29, 18, 0, tzinfo=UTC)),
        (date(2013, 12, 2), datetime(2013, 12, 2, 21, 0, tzinfo=UTC)),
    ]
    assert closes("XNYS", date(2013, 7, 1), date(2013, 7, 1)) == [
        (date(2013, 7, 1), datetime(2013, 7, 1, 20, 0, tzinfo=UTC))
    ]
    assert closes("XNYS", date(2013, 11, 30), date(2013, 12, 1)) == []


def test_an_exchange_has_a_date_of_its_own():
    evening = datetime(2024, 1, 1, 20, 0, tzinfo=UTC)
    dates = [calendar.local_date(e, evening) for e in ("XNYS", "XLON", "XTKS")]
    assert dates == [date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 2)]
    assert calendar.local_date("XNYS", datetime(2024, 1, 2, 4, 59, tzinfo=UTC)) == date(2024, 1, 1)


@pytest.mark.parametrize(
    "asked",
    [
        lambda now: calendar.last_closed_session("XNYS", now),
        lambda now: calendar.last_final_session("XNYS", now, timedelta(0)),
        lambda now: calendar.local_date("XNYS", now),
    ],
)
def test_an_instant_without_time_zone_is_refused(asked):
    with pytest.raises(UsageError, match="time zone"):
        asked(datetime(2013, 12, 2, 21, 0))  # noqa: DTZ001


def test_a_calendar_that_begins_late_says_so():
    # Tokyo's sessions are known from 1997 on.
    assert calendar.is_session("XTKS", date(1997, 1, 6))
    with pytest.raises(UsageError, match="XTKS reaches from 1997-01-01 to"):
        calendar.is_session("XTKS", date(1996, 12, 30))


def test_the_next_session_is_strictly_later():
    assert calendar.next_session("XNYS", date(2013, 11, 27)) == date(2013, 11, 29)
    assert calendar.next_session("XNYS", date(2013, 11, 30)) == date(2013, 12, 2)


def test_a_holiday_is_no_session():
    assert not calendar.is_session("XNYS", date(2013, 11, 28))
    assert calendar.is_session("XNYS", date(2013, 11, 29))
    with pytest.raises(UsageError, match="2013-11-28 is no session of XNYS"):
        calendar.session_close("XNYS", date(2013, 11, 28))


def test_another_exchange_has_other_holidays():
    assert calendar.is_session("XLON", date(2013, 11, 28))


def test_an_unknown_exchange_names_a_near_one():
    with pytest.raises(UsageError, match=r"'xnys'.*Did you mean 'XNYS'"):
        calendar.sessions("xnys", date(2013, 1, 2), date(2013, 1, 3))


@pytest.mark.parametrize("day", [date(1959, 12, 31), date(2300, 1, 1)])
def test_a_day_outside_the_calendar_is_refused_instead_of_called_a_holiday(day):
    with pytest.raises(UsageError, match="lies outside"):
        calendar.is_session("XNYS", day)
    with pytest.raises(UsageError, match="lies outside"):
        calendar.next_session("XNYS", day)


def test_past_the_calendar_no_session_is_the_last_closed_one():
    with pytest.raises(UsageError, match="lies outside"):
        calendar.last_closed_session("XNYS", datetime(2300, 1, 1, tzinfo=UTC))
