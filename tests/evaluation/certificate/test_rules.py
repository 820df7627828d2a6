from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from tasks.evaluation.certificate.rules import (
    counting_leaks,
    oldest_bars,
    overlap_leaks,
    purge_leaks,
    stranger_leaks,
    survivor_leaks,
)
from tests.lake.frames import feature_frame, weekdays
from tests.windows.test_combinatorial import LOOKBACK, SESSIONS, planned_or_rejected, worlds
from tests.windows.test_combinatorial import oldest_bars as naive_oldest

DAYS = weekdays(20)
STARTS = [{"fit": DAYS[0], "stop": DAYS[5], "calibrate": DAYS[10], "test": DAYS[15]}]
TEXTS = [{name: str(day) for name, day in STARTS[0].items()}]
SPELLS = pl.DataFrame(
    [("A", None, None), ("B", DAYS[3], DAYS[8]), ("B", DAYS[12], None)],
    schema={"symbol": pl.String, "from": pl.Date, "to": pl.Date},
    orient="row",
)


def used(*rows):
    schema = {
        "fold": pl.Int64, "span": pl.String, "symbol": pl.String, "date": pl.Date,
        "label_end": pl.Date,
    }  # fmt: skip
    return pl.DataFrame([(0, *row) for row in rows], schema=schema, orient="row")


def keys(*rows):
    schema = {"symbol": pl.String, "date": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def leaks(trials):
    return [leak for leak in trials if leak]


def test_a_label_may_end_on_the_first_session_of_the_span_that_follows():
    rows = used(("fit", "A", DAYS[3], DAYS[5]), ("calibrate", "A", DAYS[13], DAYS[15]))
    assert list(purge_leaks(rows, TEXTS)) == [None, None, None]


@pytest.mark.parametrize(
    ("span", "day", "end"),
    [("fit", 4, 6), ("stop", 9, 11), ("calibrate", 14, 16), ("fit", 5, 5), ("fit", 4, None)],
)
def test_a_row_that_reaches_into_the_span_after_it_is_named(span, day, end):
    sound = ("fit", "A", DAYS[1], DAYS[2])
    rows = used(sound, (span, "B", DAYS[day], None if end is None else DAYS[end]))
    (leak,) = leaks(purge_leaks(rows, TEXTS))
    assert leak.startswith(f"1 {span} rows of fold 0")
    assert leak.endswith(f"B {DAYS[day]}")


def test_test_rows_need_no_purging():
    assert not leaks(purge_leaks(used(("test", "A", DAYS[16], DAYS[19])), TEXTS))


def beside_a_test(span, day, oldest, end):
    """A row, and a fold that tests days 8 to 10, whose last label ends on day 12."""
    rows = used((span, "B", DAYS[day], DAYS[end]), ("test", "A", DAYS[10], DAYS[12]))
    tested = {0: [{"start": str(DAYS[8]), "end": str(DAYS[10])}]}
    return rows.with_columns(oldest=pl.Series([DAYS[oldest], DAYS[7]])), tested


@pytest.mark.parametrize("row", [("fit", 5, 2, 7), ("fit", 16, 13, 18), ("calibrate", 13, 13, 13)])
def test_a_row_on_either_side_of_a_test_may_be_learned_from(row):
    assert list(overlap_leaks(*beside_a_test(*row))) == [None]


@pytest.mark.parametrize(
    "row",
    [
        ("fit", 6, 3, 8),  # its label ends in the test
        ("fit", 9, 9, 11),
        ("stop", 11, 11, 13),  # a label of the test is not known yet
        ("fit", 15, 12, 17),  # its window begins before that one is
        ("calibrate", 18, 10, 19),
        ("fit", 18, 0, 19),
    ],
)
def test_a_row_whose_label_or_features_share_sessions_with_a_test_is_named(row):
    (leak,) = overlap_leaks(*beside_a_test(*row))
    assert leak.startswith("1 rows that fold 0 learns from share sessions with its test span")
    assert leak.endswith(f"B {DAYS[row[1]]}")


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("behind", [0, 1, 7, 10_000])
def test_the_oldest_bar_of_a_row_is_that_of_a_plain_loop(behind, across):
    spans = {"A": (0, 80), "B": (10, 60), "C": (40, 80)}
    frame = feature_frame(spans, SESSIONS, seed=3, missing=0.2)
    found = oldest_bars(frame, LOOKBACK, behind, across).to_list()
    assert found == naive_oldest(frame, behind, across)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_no_plan_that_is_purged_leaks_and_one_that_forgot_its_features_does(world):
    frame, _, splits, behind, across = world
    plan = planned_or_rejected(*world)[1]

    def leaking(memory):
        oldest = oldest_bars(frame, LOOKBACK, memory, across)
        keys = frame.select("symbol", "date", "label_end", oldest).with_row_index("row")
        rows = plan.rows.join(keys.cast({"row": pl.Int64}), on="row", how="left")
        tested = {e["fold"]: e["tested"] for e in plan.summary["folds"][splits.folds :]}
        return leaks(overlap_leaks(rows, tested))

    assert not leaking(behind)
    assert leaking(len(SESSIONS))


def test_a_member_may_be_used_on_the_first_and_last_day_of_each_spell():
    rows = keys(("A", DAYS[0]), ("B", DAYS[3]), ("B", DAYS[8]), ("B", DAYS[12]), ("B", DAYS[19]))
    assert list(stranger_leaks(rows, SPELLS)) == [None, None]


@pytest.mark.parametrize("row", [("B", DAYS[2]), ("B", DAYS[9]), ("B", DAYS[11]), ("C", DAYS[5])])
def test_a_row_outside_all_spells_is_named(row):
    (leak,) = leaks(stranger_leaks(keys(("A", DAYS[0]), row), SPELLS))
    assert leak.endswith(f"{row[0]} {row[1]}")


def test_bars_of_a_member_may_not_be_left_out_and_those_of_a_stranger_may():
    assert not leaks(survivor_leaks(keys(("B", DAYS[1]), ("B", DAYS[10]), ("C", DAYS[5])), SPELLS))
    (leak,) = leaks(survivor_leaks(keys(("B", DAYS[10]), ("B", DAYS[13])), SPELLS))
    assert leak.startswith("1 bars of a member")
    assert leak.endswith(f"B {DAYS[13]}")


AT = datetime(2020, 1, 2, 22, tzinfo=UTC)


def counted(*rows):
    schema = {"status": pl.String, "commit": pl.Int64, "committed_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=schema, orient="row")


def minutes(count):
    return AT + timedelta(minutes=count)


STARTED, COMPLETED = ("started", 1, minutes(0)), ("completed", 2, minutes(9))


def test_a_trial_that_was_counted_before_all_fits_holds_however_often_it_was_run():
    rows = counted(STARTED, COMPLETED, ("completed", 3, minutes(30)))
    found = list(counting_leaks(rows, {"fold 0": minutes(5), "fold 1": minutes(20)}))
    assert found == [None, None, None]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "is not in the table"),
        ([COMPLETED], "is not in the table"),
        ([("started", 2, minutes(0)), ("completed", 1, minutes(9))], "completed before it was"),
        ([("started", 1, minutes(6)), COMPLETED], "fold 0 was finished at .* before its trial"),
        ([("started", 1, None), COMPLETED], "fold 0 was finished at .* before its trial"),
    ],
)
def test_a_trial_that_was_not_counted_first_is_named(rows, said):
    with pytest.raises(AssertionError, match=said):
        assert not leaks(counting_leaks(counted(*rows), {"fold 0": minutes(5)}))


def test_fits_of_an_earlier_run_are_not_of_the_trial_that_takes_them():
    rows = counted(("started", 1, minutes(6)))
    fits = {"fold 0": minutes(2)}
    assert not leaks(counting_leaks(rows, fits, since=minutes(4)))
    assert len(leaks(counting_leaks(rows, fits, since=minutes(1)))) == 1


def test_fits_of_an_earlier_trial_of_the_specification_are_taken_and_earlier_ones_are_not():
    rows = counted(("started", 1, minutes(6)))
    fits = {"fold 0": minutes(2)}
    assert not leaks(counting_leaks(rows, fits, first=minutes(1)))
    assert len(leaks(counting_leaks(rows, fits, first=minutes(3)))) == 1
    assert len(leaks(counting_leaks(rows, fits, first=minutes(6)))) == 1
