"""A panel small enough for a calculation by hand."""

import math
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError
from tasks.features.targets import open_to_open

# Two weeks; Monday the 15th is a holiday.
SESSIONS = [date(2024, 1, day) for day in (8, 9, 10, 11, 12, 16, 17, 18, 19)]


def bars(symbol: str, opens: dict[int, float | None]) -> pl.DataFrame:
    prices = pl.Series("open", list(opens.values()), dtype=pl.Float64)
    days = [date(2024, 1, day) for day in opens]
    return pl.DataFrame({"symbol": [symbol] * len(days), "date": days}).with_columns(
        prices,
        *(prices.alias(name) for name in ("high", "low", "close")),
        volume=pl.lit(1.0),
    )


WHOLE = bars("AAA", {8: 10, 9: 11, 10: 12, 11: 13, 12: 14, 16: 15, 17: 16, 18: 17, 19: 18})
# The session of the 11th is missing.
HOLED = bars("BBB", {8: 20, 9: 21, 10: 24, 12: 28, 16: 30, 17: 33, 18: 34, 19: 35})


def expected(symbol: str, rows: dict[int, tuple[float, float, int] | None]) -> pl.DataFrame:
    """Rows by hand: day -> (open bought at, open sold at, day sold), or None."""
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(rows),
            "date": [date(2024, 1, day) for day in rows],
            "target": [math.log(row[1] / row[0]) if row else None for row in rows.values()],
            "label_end": [date(2024, 1, row[2]) if row else None for row in rows.values()],
        },
        schema_overrides={"target": pl.Float64, "label_end": pl.Date},
    )


def test_horizon_1_spans_the_next_two_opens_and_skips_the_holiday():
    answer = expected(
        "AAA",
        {
            8: (11, 12, 10),
            9: (12, 13, 11),
            10: (13, 14, 12),
            11: (14, 15, 16),
            12: (15, 16, 17),
            16: (16, 17, 18),
            17: (17, 18, 19),
            18: None,
            19: None,
        },
    )
    assert_frame_equal(open_to_open(WHOLE, SESSIONS, 1), answer)


def test_horizon_5_ends_five_sessions_after_the_entry():
    rows: dict = {8: (11, 16, 17), 9: (12, 17, 18), 10: (13, 18, 19)}
    answer = expected("AAA", rows | dict.fromkeys((11, 12, 16, 17, 18, 19)))
    assert_frame_equal(open_to_open(WHOLE, SESSIONS, 5), answer)


def test_a_missing_session_masks_the_labels_that_begin_or_end_there():
    answer = expected(
        "BBB",
        {
            8: (21, 24, 10),
            9: None,  # would end on the missing 11th; the next row is no substitute
            10: None,  # would begin there
            12: (30, 33, 17),
            16: (33, 34, 18),
            17: (34, 35, 19),
            18: None,
            19: None,
        },
    )
    assert_frame_equal(open_to_open(HOLED, SESSIONS, 1), answer)


def test_a_missing_session_inside_a_long_horizon_is_no_harm():
    rows: dict = {8: (21, 33, 17), 9: (24, 34, 18), 10: None}
    answer = expected("BBB", rows | dict.fromkeys((12, 16, 17, 18, 19)))
    assert_frame_equal(open_to_open(HOLED, SESSIONS, 5), answer)


def test_symbols_do_not_lend_each_other_bars():
    both = open_to_open(pl.concat([WHOLE, HOLED]), SESSIONS, 1)
    apart = pl.concat([open_to_open(WHOLE, SESSIONS, 1), open_to_open(HOLED, SESSIONS, 1)])
    assert_frame_equal(both, apart)


def test_a_masked_open_masks_its_labels():
    panel = bars("AAA", {8: 10, 9: None, 10: float("nan"), 11: 13, 12: 14, 16: 15})
    target = open_to_open(panel, SESSIONS, 1).get_column("target")
    assert target.is_null().to_list() == [True, True, False, False, True, True]


def test_sessions_after_the_last_bar_mature_nothing():
    later = [*SESSIONS, date(2024, 1, 22), date(2024, 1, 23)]
    assert_frame_equal(open_to_open(WHOLE, later, 1), open_to_open(WHOLE, SESSIONS, 1))


def test_a_bar_off_the_calendar_is_refused():
    with pytest.raises(DataError, match="1 bars lie on no session of the calendar, first AAA"):
        open_to_open(bars("AAA", {12: 10, 15: 11}), SESSIONS, 1)
