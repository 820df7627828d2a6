from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError
from tasks.ingest.quality import RULES, check, check_actions, count_by_symbol, enforce_ceiling
from tasks.ingest.spec import QualitySpec

MONDAY, TUESDAY, WEDNESDAY, SATURDAY = (date(2013, 1, d) for d in (7, 8, 9, 5))
SESSIONS = [MONDAY, TUESDAY, WEDNESDAY]
NAN, INF = float("nan"), float("inf")
GOOD = (10.0, 12.0, 9.0, 11.0, 500.0)


def bars(*rows: tuple) -> pl.DataFrame:
    """Rows of symbol, date, open, high, low, close, volume."""
    columns = {"symbol": pl.String, "date": pl.Date} | dict.fromkeys(
        ("open", "high", "low", "close", "volume"), pl.Float64
    )
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(source=pl.lit("test"))


def actions(*rows: tuple) -> pl.DataFrame:
    columns = {"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(source=pl.lit("test"))


BAD_BARS = [
    ("null_date", "date", None, GOOD, "null"),
    ("off_calendar", "date", SATURDAY, GOOD, "2013-01-05"),
    ("null_price", "open", TUESDAY, (None, 12.0, 9.0, 11.0, 500.0), "null"),
    ("null_price", "close", TUESDAY, (10.0, 12.0, 9.0, None, 500.0), "null"),
    ("non_finite_price", "high", TUESDAY, (10.0, INF, 9.0, 11.0, 500.0), "inf"),
    ("non_finite_price", "low", TUESDAY, (10.0, 12.0, NAN, 11.0, 500.0), "NaN"),
    ("non_positive_price", "low", TUESDAY, (10.0, 12.0, 0.0, 11.0, 500.0), "0.0"),
    ("non_positive_price", "open", TUESDAY, (-1.0, 12.0, 9.0, 11.0, 500.0), "-1.0"),
    (
        "high_below_low",
        "row",
        TUESDAY,
        (10.0, 9.0, 12.0, 11.0, 500.0),
        "open=10.0 high=9.0 low=12.0 close=11.0 volume=500.0",
    ),
    (
        "open_or_close_outside_range",
        "row",
        TUESDAY,
        (12.1, 12.0, 9.0, 11.0, 500.0),
        "open=12.1 high=12.0 low=9.0 close=11.0 volume=500.0",
    ),
    (
        "open_or_close_outside_range",
        "row",
        TUESDAY,
        (10.0, 12.0, 9.0, 8.9999, None),
        "open=10.0 high=12.0 low=9.0 close=8.9999 volume=null",
    ),
    ("null_volume", "volume", TUESDAY, (10.0, 12.0, 9.0, 11.0, None), "null"),
    ("non_finite_volume", "volume", TUESDAY, (10.0, 12.0, 9.0, 11.0, NAN), "NaN"),
    ("negative_volume", "volume", TUESDAY, (10.0, 12.0, 9.0, 11.0, -1.0), "-1.0"),
]


@pytest.mark.parametrize(("rule", "field", "day", "values", "value"), BAD_BARS)
def test_a_bad_bar_is_quarantined_under_its_rule_and_its_neighbours_stay(
    rule, field, day, values, value
):
    sound = bars(("A", MONDAY, *GOOD), ("A", WEDNESDAY, *GOOD), ("B", TUESDAY, *GOOD))
    good, quarantine = check(pl.concat([bars(("A", day, *values)), sound]), SESSIONS)
    assert_frame_equal(good, sound)
    assert quarantine.rows() == [("A", day, rule, field, value, 0, "test")]


def test_every_rule_is_described_and_has_an_expectation_here():
    on_actions = {"non_positive_action", "dividend_not_below_close"}
    assert {rule for rule, *_ in BAD_BARS} | on_actions | {"duplicate_key"} == set(RULES)


@pytest.mark.parametrize(
    "values",
    [
        (10.0, 10.0, 10.0, 10.0, 0.0),
        (12.0 * (1 + 9e-7), 12.0, 9.0, 9.0 * (1 - 9e-7), 500.0),
        (1e-4, 1e9, 1e-4, 1e9, 1e15),
    ],
)
def test_an_odd_bar_that_can_be_true_stays(values):
    good, quarantine = check(bars(("A", MONDAY, *values)), SESSIONS)
    assert (good.height, quarantine.height) == (1, 0)


def test_a_crash_of_one_half_stays():
    crash = bars(("A", MONDAY, *GOOD), ("A", TUESDAY, 5.0, 6.0, 4.0, 5.0, 9e9))
    assert_frame_equal(check(crash, SESSIONS)[0], crash)


def test_equal_repeats_keep_one_and_number_the_rest():
    row = ("A", MONDAY, *GOOD)
    good, quarantine = check(bars(row, ("A", TUESDAY, *GOOD), row, row), SESSIONS)
    assert good["date"].to_list() == [MONDAY, TUESDAY]
    assert quarantine.select("rule", "occurrence").rows() == [
        ("duplicate_key", 0),
        ("duplicate_key", 1),
    ]


def test_repeats_that_disagree_are_all_refused():
    other = (10.0, 12.0, 9.0, 11.5, 500.0)
    rows = bars(("A", MONDAY, *GOOD), ("A", MONDAY, *other), ("A", MONDAY, *GOOD))
    good, quarantine = check(pl.concat([rows, bars(("B", MONDAY, *GOOD))]), SESSIONS)
    assert good["symbol"].to_list() == ["B"]
    assert quarantine["rule"].to_list() == ["duplicate_key"] * 3
    assert sorted(quarantine["occurrence"]) == [0, 0, 1]


def test_a_broken_copy_does_not_cost_the_sound_bar():
    rows = bars(("A", MONDAY, *GOOD), ("A", MONDAY, None, None, None, None, 0.0))
    good, quarantine = check(rows, SESSIONS)
    assert good.height == 1
    assert quarantine["rule"].to_list() == ["null_price"]


def test_every_row_is_good_or_quarantined_once():
    rows = [("A", day, *values) for _, _, day, values, _ in BAD_BARS]
    served = bars(*rows, *rows, ("A", MONDAY, *GOOD), ("A", MONDAY, *GOOD))
    good, quarantine = check(served.sample(fraction=1, shuffle=True, seed=1), SESSIONS)
    assert (good.height, quarantine.height) == (1, served.height - 1)
    key = ["symbol", "date", "rule", "field", "value", "occurrence"]
    assert quarantine.select(key).is_unique().all()


def test_without_rows_there_is_nothing_to_refuse():
    good, quarantine = check(bars(), SESSIONS)
    assert (good.height, quarantine.height) == (0, 0)
    assert check_actions(actions(), bars())[1].schema == quarantine.schema


@pytest.mark.parametrize("value", [None, NAN, INF, 0.0, -2.0])
@pytest.mark.parametrize("kind", ["split", "dividend"])
def test_an_action_without_a_positive_value_is_refused(kind, value):
    bad = actions(("A", TUESDAY, kind, value))
    good, quarantine = check_actions(bad, bars(("A", MONDAY, *GOOD)))
    assert good.is_empty()
    assert quarantine["rule"].to_list() == ["non_positive_action"]


def test_a_dividend_must_be_below_the_close_before_it():
    history = bars(("A", MONDAY, *GOOD), ("A", TUESDAY, 20.0, 20.0, 20.0, 20.0, 1.0))
    for value, expected in ((10.99, []), (11.0, ["dividend_not_below_close"])):
        _, quarantine = check_actions(actions(("A", TUESDAY, "dividend", value)), history)
        assert quarantine["rule"].to_list() == expected
    assert quarantine["value"].to_list() == ["kind=dividend value=11.0 previous_close=11.0"]


def test_a_dividend_on_a_split_day_is_held_against_the_new_shares():
    history = bars(("A", MONDAY, *GOOD))
    split = ("A", TUESDAY, "split", 2.0)
    good, quarantine = check_actions(actions(split, ("A", TUESDAY, "dividend", 5.6)), history)
    assert good["kind"].to_list() == ["split"]
    assert quarantine["rule"].to_list() == ["dividend_not_below_close"]


def test_a_dividend_before_the_first_bar_has_nothing_to_be_held_against():
    paid = actions(("A", MONDAY, "dividend", 99.0))
    assert_frame_equal(check_actions(paid, bars(("A", MONDAY, *GOOD)))[0], paid)


def test_actions_that_disagree_are_all_refused_but_two_kinds_may_share_a_day():
    rows = actions(
        ("A", TUESDAY, "dividend", 1.0),
        ("A", TUESDAY, "split", 2.0),
        ("A", TUESDAY, "dividend", 1.5),
        ("A", WEDNESDAY, "split", 3.0),
        ("A", WEDNESDAY, "split", 3.0),
    )
    good, quarantine = check_actions(rows, bars(("A", MONDAY, *GOOD)))
    assert good.select("date", "kind", "value").rows() == [
        (TUESDAY, "split", 2.0),
        (WEDNESDAY, "split", 3.0),
    ]
    assert quarantine["rule"].to_list() == ["duplicate_key"] * 3


def test_rows_are_counted_by_symbol():
    rows = bars(("B", MONDAY, *GOOD), ("A", MONDAY, *GOOD), ("B", TUESDAY, *GOOD))
    assert count_by_symbol(rows) == {"A": 1, "B": 2}


def test_a_share_at_the_ceiling_passes_and_one_above_stops_the_run():
    spec = QualitySpec(max_refused_per_symbol=0.05, max_refused_total=1.0)
    enforce_ceiling({"A": 100, "B": 100}, {"A": 5}, spec)
    with pytest.raises(DataError, match=r"A lost 6 of 100 .*6\.00%.*max_refused_per_symbol=0\.05"):
        enforce_ceiling({"A": 100, "B": 100}, {"A": 6, "B": 5}, spec)


def test_the_total_has_a_ceiling_of_its_own():
    spec = QualitySpec(max_refused_per_symbol=1.0, max_refused_total=0.01)
    enforce_ceiling({"A": 100, "B": 300}, {"A": 4}, spec)
    with pytest.raises(DataError, match=r"5 of 400 .*max_refused_total=0\.01.* worst .* A \(4"):
        enforce_ceiling({"A": 100, "B": 300}, {"A": 4, "B": 1}, spec)


def test_where_nothing_was_served_nothing_was_lost():
    enforce_ceiling({}, {}, QualitySpec())
