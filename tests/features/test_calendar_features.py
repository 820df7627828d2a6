"""The day itself: against loops over the dates, on New York's calendar and on one made by hand."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from models.errors import DataError, UsageError
from tasks.features.engine import compute
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.calendar.days import AHEAD
from tasks.features.names import parse
from tasks.features.stage import exchange_days
from tasks.lake import calendar
from tests.features.calendar_answers import CALENDAR_LOOPS
from tests.features.panels import generated_bars

NAMES = [name for name, entry in INDICATORS.items() if entry.kind == "calendar"]


def panel_on(days: list[date], symbol: str = "AAA") -> pl.DataFrame:
    bars = generated_bars(len(days), 61)
    return pl.DataFrame({"symbol": [symbol] * len(days), "date": days, **bars})


def made(name: str, days: list[date], sessions: list[date]) -> list[float]:
    return compute(panel_on(days), [parse(name)], sessions)[parse(name).name].to_list()


def test_every_calendar_feature_has_a_loop():
    assert set(CALENDAR_LOOPS) == set(NAMES)


@pytest.mark.parametrize("period", [1, 5, 23, 60])
@pytest.mark.parametrize("name", NAMES)
def test_a_calendar_feature_agrees_with_a_loop_over_the_dates(name, period):
    exchange = exchange_days("XNYS", date(2001, 1, 2), date(2002, 12, 31))
    periods = (period,) * len(parse(name).periods)
    values = made(f"{name}({period})" if periods else name, exchange.sessions, exchange.scheduled)
    known = set(exchange.scheduled)
    expected = [CALENDAR_LOOPS[name](day, known, *periods) for day in exchange.sessions]
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)


def test_nobody_foresaw_the_closing_of_september_2001():
    exchange = exchange_days("XNYS", date(2001, 8, 1), date(2001, 10, 31))
    values = made("days_to_holiday(5)", exchange.sessions, exchange.scheduled)
    at = dict(zip(exchange.sessions, values, strict=True))
    assert at[date(2001, 9, 10)] == 0.0
    # Labor Day was to be foreseen, three sessions ahead and on the eve.
    assert at[date(2001, 8, 28)] == pytest.approx(2 / 5)
    assert at[date(2001, 8, 31)] == 1.0


def test_a_month_by_hand():
    # July 2013: the 4th is a holiday, the 3rd a half day, the 31st a Wednesday.
    exchange = exchange_days("XNYS", date(2013, 6, 20), date(2013, 8, 8))

    def at(name: str, *days: int) -> list[float]:
        values = dict(
            zip(exchange.sessions, made(name, exchange.sessions, exchange.scheduled), strict=True)
        )
        return [values[date(2013, 7, day)] for day in days]

    assert at("month_start(5)", 1, 2, 3, 5, 8, 9) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    assert at("month_end(5)", 24, 25, 26, 29, 30, 31) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert at("days_to_holiday(3)", 1, 2, 3, 5) == pytest.approx([1 / 3, 2 / 3, 1, 0])
    assert at("days_since_holiday(3)", 3, 5, 8, 9, 10) == pytest.approx([0, 1, 2 / 3, 1 / 3, 0])


@pytest.mark.parametrize("name", NAMES)
def test_how_far_the_calendar_reaches_decides_nothing(name):
    """A panel that goes on a year later, or began a year earlier, has the same days."""
    spans = [
        (date(2010, 3, 1), date(2010, 6, 30)),
        (date(2009, 3, 1), date(2010, 6, 30)),
        (date(2010, 3, 1), date(2012, 6, 30)),
    ]
    days = calendar.sessions("XNYS", *spans[0])
    for period in (5, 60) if parse(name).periods else ("",):
        text = f"{name}({period})" if period else name
        whole = [made(text, days, exchange_days("XNYS", *span).scheduled) for span in spans]
        assert whole[0] == whole[1] == whole[2]
        assert not np.isnan(whole[0]).any()


def test_what_lies_before_the_first_session_is_masked_and_not_guessed():
    days = calendar.sessions("XNYS", date(2010, 3, 10), date(2010, 8, 31))
    sessions = calendar.sessions("XNYS", date(2010, 3, 10), date(2010, 12, 31))
    start = made("month_start(5)", days, sessions)
    assert np.isnan(start).tolist() == [day.month == 3 for day in days]
    # Good Friday was 2 April; the holiday before it, in February, is out of sight.
    since = made("days_since_holiday(5)", days, sessions)
    assert np.isnan(since).tolist() == [day < date(2010, 4, 2) for day in days]
    assert not np.isnan(made("month_end(5)", days, sessions)).any()
    assert not np.isnan(made("days_to_holiday(5)", days, sessions)).any()


def test_each_bar_gets_its_own_day_whatever_gaps_its_symbol_has():
    exchange = exchange_days("XNYS", date(2012, 1, 3), date(2012, 12, 31))
    few = exchange.sessions[10::7]
    panel = pl.concat([panel_on(exchange.sessions, "AAA"), panel_on(few, "BBB")])
    features = [parse(name) for name in NAMES]
    frame = compute(panel, features, exchange.scheduled)
    mine, theirs = (frame.filter(symbol=symbol).drop("symbol") for symbol in ("AAA", "BBB"))
    assert mine.filter(pl.col("date").is_in(few)).equals(theirs)


def test_without_sessions_or_with_too_few_the_refusal_says_so():
    days = calendar.sessions("XNYS", date(2013, 1, 2), date(2013, 6, 28))
    for none in (None, []):
        with pytest.raises(UsageError, match="needs the exchange's sessions, and none were given"):
            compute(panel_on(days), [parse("month_end")], none)
    with pytest.raises(
        UsageError, match=r"ends on 2013-06-28, 0 sessions after .* need 30; install a newer"
    ):
        compute(panel_on(days), [parse("month_end")], days)
    ahead = calendar.sessions("XNYS", days[0], date(2014, 1, 1))
    enough = ahead[: len(days) + AHEAD]
    compute(panel_on(days), [parse("month_end")], enough)
    with pytest.raises(UsageError, match="29 sessions after the panel's last date"):
        compute(panel_on(days), [parse("month_end")], enough[:-1])
    # Other features ask for none.
    compute(panel_on(days), [parse("rsi")], None)


def test_a_bar_on_no_session_is_refused():
    sessions = calendar.sessions("XNYS", date(2013, 1, 2), date(2013, 12, 31))
    days = sorted([*sessions[:50], date(2013, 1, 5)])
    with pytest.raises(DataError, match=r"1 bars lie on no session .* first on 2013-01-05"):
        compute(panel_on(days), [parse("weekday_sin")], sessions)
