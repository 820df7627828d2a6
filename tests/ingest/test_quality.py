from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError
from tasks.ingest import quality
from tasks.ingest.quality import check_actions, enforce_ceiling
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.rules import RULES, named
from tasks.ingest.spec import QualitySpec
from tasks.lake.tables import QUARANTINE
from tests.ingest.counts import count_by_symbol

MONDAY, TUESDAY, WEDNESDAY, SATURDAY = (date(2013, 1, d) for d in (7, 8, 9, 5))
SESSIONS = [MONDAY, TUESDAY, WEDNESDAY]
NAN, INF = float("nan"), float("inf")
GOOD = (10.0, 12.0, 9.0, 11.0, 500.0)


def bars(*rows: tuple, currency: str | None = None) -> pl.DataFrame:
    """Raw bars of symbol, date, open, high, low, close, volume."""
    columns = {"symbol": pl.String, "date": pl.Date} | dict.fromkeys(
        ("open", "high", "low", "close", "volume"), pl.Float64
    )
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        adj_close=pl.lit(None, pl.Float64),
        currency=pl.lit(currency, pl.String),
        source=pl.lit("test"),
    )


def actions(*rows: tuple) -> pl.DataFrame:
    columns = {"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(source=pl.lit("test"))


def reviews(*rows: tuple) -> pl.DataFrame:
    """Reviews of symbol, date, kind, rule, value."""
    named = pl.DataFrame(rows, schema=["symbol", "date", "kind", "rule", "value"], orient="row")
    return named.with_columns(reason=pl.lit("seen"), reviewer=pl.lit("me")).select(
        NO_REVIEWS.columns
    )


def check(
    served: pl.DataFrame,
    sessions: list[date] = SESSIONS,
    currency: dict[str, str] | None = None,
    released: pl.DataFrame = NO_REVIEWS,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    return quality.check(served, sessions, currency or {}, released)


def told(quarantine: pl.DataFrame) -> list[tuple]:
    columns = ("symbol", "date", "rule", "field", "value", "occurrence", "source")
    return quarantine.select(columns).rows()


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
    ("non_finite_volume", "volume", TUESDAY, (10.0, 12.0, 9.0, 11.0, NAN), "NaN"),
    ("negative_volume", "volume", TUESDAY, (10.0, 12.0, 9.0, 11.0, -1.0), "-1.0"),
]


@pytest.mark.parametrize(("rule", "field", "day", "values", "value"), BAD_BARS)
def test_a_bad_bar_is_quarantined_under_its_rule_and_its_neighbours_stay(
    rule, field, day, values, value
):
    sound = bars(("A", MONDAY, *GOOD), ("A", WEDNESDAY, *GOOD), ("B", TUESDAY, *GOOD))
    good, quarantine = check(pl.concat([bars(("A", day, *values)), sound]), SESSIONS)
    assert_frame_equal(good, sound.drop("currency"))
    assert told(quarantine) == [("A", day, rule, field, value, 0, "test")]


def test_every_refusing_rule_of_rows_has_an_expectation_here():
    on_actions = {"non_positive_action", "dividend_not_below_close"}
    against_the_lake = {"unit_error", "source_mismatch"}
    here = {rule for rule, *_ in BAD_BARS} | {"duplicate_key", "wrong_currency"}
    assert here | on_actions | against_the_lake == set(named("refuse"))


def test_every_rule_says_what_it_means():
    assert all(rule.text.endswith(".") for rule in RULES.values())
    assert set(named("refuse") + named("hold") + named("flag")) == set(RULES)


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
    assert_frame_equal(check(crash, SESSIONS)[0], crash.drop("currency"))


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
    assert check_actions(actions(), bars(), NO_REVIEWS)[1].schema == quarantine.schema
    assert {**quarantine.schema, "run": pl.String()} == QUARANTINE.columns


@pytest.mark.parametrize("value", [None, NAN, INF, 0.0, -2.0])
@pytest.mark.parametrize("kind", ["split", "dividend"])
def test_an_action_without_a_positive_value_is_refused(kind, value):
    bad = actions(("A", TUESDAY, kind, value))
    good, quarantine = check_actions(bad, bars(("A", MONDAY, *GOOD)), NO_REVIEWS)
    assert good.is_empty()
    assert quarantine["rule"].to_list() == ["non_positive_action"]


def test_a_dividend_must_be_below_the_close_before_it():
    history = bars(("A", MONDAY, *GOOD), ("A", TUESDAY, 20.0, 20.0, 20.0, 20.0, 1.0))
    for value, expected in ((10.99, []), (11.0, ["dividend_not_below_close"])):
        _, quarantine = check_actions(
            actions(("A", TUESDAY, "dividend", value)), history, NO_REVIEWS
        )
        assert quarantine["rule"].to_list() == expected
    assert quarantine["value"].to_list() == ["kind=dividend value=11.0 cash=11.0 before=11.0"]


def test_a_dividend_on_a_split_day_is_held_against_the_new_shares():
    history = bars(("A", MONDAY, *GOOD))
    split = ("A", TUESDAY, "split", 2.0)
    good, quarantine = check_actions(
        actions(split, ("A", TUESDAY, "dividend", 5.6)), history, NO_REVIEWS
    )
    assert good["kind"].to_list() == ["split"]
    assert quarantine["rule"].to_list() == ["dividend_not_below_close"]


def test_a_dividend_before_the_first_bar_has_nothing_to_be_held_against():
    paid = actions(("A", MONDAY, "dividend", 99.0))
    good, _ = check_actions(paid, bars(("A", MONDAY, *GOOD)), NO_REVIEWS)
    assert_frame_equal(good, paid.with_columns(flags=pl.lit("")))


def test_actions_that_disagree_are_all_refused_but_two_kinds_may_share_a_day():
    rows = actions(
        ("A", TUESDAY, "dividend", 1.0),
        ("A", TUESDAY, "split", 2.0),
        ("A", TUESDAY, "dividend", 1.5),
        ("A", WEDNESDAY, "split", 3.0),
        ("A", WEDNESDAY, "split", 3.0),
    )
    good, quarantine = check_actions(rows, bars(("A", MONDAY, *GOOD)), NO_REVIEWS)
    assert good.select("date", "kind", "value").rows() == [
        (TUESDAY, "split", 2.0),
        (WEDNESDAY, "split", 3.0),
    ]
    assert quarantine["rule"].to_list() == ["duplicate_key"] * 3


def test_rows_are_counted_by_symbol():
    rows = bars(("B", MONDAY, *GOOD), ("A", MONDAY, *GOOD), ("B", TUESDAY, *GOOD))
    assert count_by_symbol(rows) == {"A": 1, "B": 2}


def test_a_missing_volume_is_kept_and_stays_missing():
    good, quarantine = check(bars(("A", MONDAY, 10.0, 12.0, 9.0, 11.0, None)))
    assert quarantine.is_empty()
    assert good["volume"].to_list() == [None]


def test_a_forward_filled_holiday_says_which_bar_it_repeats():
    friday = date(2013, 1, 4)
    rows = bars(("A", friday, *GOOD), ("A", SATURDAY, *GOOD), ("B", SATURDAY, *GOOD))
    good, quarantine = check(rows, [friday, *SESSIONS])
    assert good["date"].to_list() == [friday]
    assert quarantine.select("symbol", "rule", "value").rows() == [
        ("A", "off_calendar", "2013-01-05 repeats 2013-01-04"),
        ("B", "off_calendar", "2013-01-05"),
    ]


def test_prices_in_another_currency_are_refused_where_one_is_expected():
    rows = [
        bars((s, MONDAY, *GOOD), currency=c) for s, c in (("A", "GBp"), ("B", "EUR"), ("C", None))
    ]
    good, quarantine = check(pl.concat(rows), currency={"A": "GBP", "C": "USD"})
    assert good["symbol"].to_list() == ["B", "C"]
    assert told(quarantine) == [("A", MONDAY, "wrong_currency", "currency", "GBp", 0, "test")]


def test_quarantine_keeps_the_row_as_it_was_served():
    tape = ["open", "high", "low", "close", "volume", "amount"]
    _, quarantine = check(bars(("A", SATURDAY, *GOOD)))
    assert quarantine.select("kind", *tape).rows() == [("bar", *GOOD, None)]
    _, quarantine = check_actions(actions(("A", MONDAY, "split", -2.0)), bars(), NO_REVIEWS)
    assert quarantine.select("kind", *tape).rows() == [("split", *[None] * 5, -2.0)]


def test_a_released_bar_passes_while_it_reads_as_it_did():
    seen = "open=12.1 high=12.0 low=9.0 close=11.0 volume=500.0"
    let = reviews(("A", TUESDAY, "bar", "open_or_close_outside_range", seen))
    assert check(bars(("A", TUESDAY, 12.1, *GOOD[1:])), released=let)[0].height == 1
    assert check(bars(("A", TUESDAY, 12.2, *GOOD[1:])), released=let)[0].is_empty()
    assert check(bars(("B", TUESDAY, 12.1, *GOOD[1:])), released=let)[0].is_empty()


def test_a_release_covers_one_rule_and_no_other():
    seen = "open=10.0 high=12.0 low=9.0 close=11.0 volume=500.0"
    let = reviews(("A", SATURDAY, "bar", "off_calendar", seen))
    assert check(bars(("A", SATURDAY, *GOOD)), released=let)[0].height == 1
    upside_down = (10.0, 9.0, 12.0, 11.0, 500.0)
    seen = "open=10.0 high=9.0 low=12.0 close=11.0 volume=500.0"
    let = reviews(("A", SATURDAY, "bar", "off_calendar", seen))
    _, quarantine = check(bars(("A", SATURDAY, *upside_down)), released=let)
    assert quarantine["rule"].to_list() == ["high_below_low"]


@pytest.mark.parametrize(
    ("rule", "values", "value"),
    [(rule, values, value) for rule, _, day, values, value in BAD_BARS if "_price" in rule],
)
def test_nobody_can_release_a_bar_without_a_price(rule, values, value):
    let = reviews(("A", TUESDAY, "bar", rule, value))
    assert check(bars(("A", TUESDAY, *values)), released=let)[0].is_empty()


def test_a_release_says_which_of_two_bars_is_the_true_one():
    other = (10.0, 12.0, 9.0, 11.5, 500.0)
    rows = bars(("A", MONDAY, *GOOD), ("A", MONDAY, *other), ("A", MONDAY, *GOOD))
    seen = "open=10.0 high=12.0 low=9.0 close=11.5 volume=500.0"
    let = reviews(("A", MONDAY, "bar", "duplicate_key", seen))
    good, quarantine = check(rows, released=let)
    assert good["close"].to_list() == [11.5]
    assert quarantine["close"].to_list() == [11.0, 11.0]


def test_cash_of_two_kinds_counts_together():
    rows = actions(("A", TUESDAY, "dividend", 6.0), ("A", TUESDAY, "capital_gain", 5.0))
    good, quarantine = check_actions(rows, bars(("A", MONDAY, *GOOD)), NO_REVIEWS)
    assert good.is_empty()
    assert quarantine["rule"].to_list() == ["dividend_not_below_close"] * 2


def test_a_fifth_of_the_close_is_a_large_dividend():
    history = bars(("A", MONDAY, *GOOD))
    for value, flags in ((2.19, ""), (2.2, "large_dividend")):
        good, _ = check_actions(actions(("A", TUESDAY, "dividend", value)), history, NO_REVIEWS)
        assert good["flags"].to_list() == [flags]


@pytest.mark.parametrize("value", [2.0, 0.1, 1.5, 1.49999925, 7.00000700001, 1.05, 4 / 3, 50.0])
def test_a_usual_split_is_not_flagged(value):
    good, _ = check_actions(actions(("A", TUESDAY, "split", value)), bars(), NO_REVIEWS)
    assert good["flags"].to_list() == [""]


@pytest.mark.parametrize("value", [1.237, 1.122, 1.054, 0.955, 0.303582270795, 1.011, 60.0])
def test_a_spin_off_put_as_a_split_is_an_odd_one(value):
    good, _ = check_actions(actions(("A", TUESDAY, "split", value)), bars(), NO_REVIEWS)
    assert good["flags"].to_list() == ["odd_split"]


def test_of_two_closes_of_one_date_the_first_given_counts():
    history = bars(("A", MONDAY, *GOOD), ("A", MONDAY, 1.0, 1.0, 1.0, 1.0, 1.0))
    paid = actions(("A", TUESDAY, "dividend", 2.0))
    assert check_actions(paid, history, NO_REVIEWS)[0].height == 1
    assert check_actions(paid, history.reverse(), NO_REVIEWS)[0].is_empty()


def test_a_share_at_the_ceiling_passes_and_one_above_stops_the_run():
    spec = QualitySpec(max_refused_per_symbol=0.05, max_refused_total=1.0)
    enforce_ceiling({"A": 1000, "B": 1000}, {"A": 50}, spec)
    with pytest.raises(
        DataError, match=r"A lost 51 of 1000 .*5\.10%.*max_refused_per_symbol=0\.05"
    ):
        enforce_ceiling({"A": 1000, "B": 1000}, {"A": 51, "B": 50}, spec)


def test_the_total_has_a_ceiling_of_its_own():
    spec = QualitySpec(max_refused_per_symbol=1.0, max_refused_total=0.01)
    enforce_ceiling({"A": 100, "B": 300}, {"A": 4}, spec)
    with pytest.raises(DataError, match=r"5 of 400 .*max_refused_total=0\.01.* worst .* A \(4"):
        enforce_ceiling({"A": 100, "B": 300}, {"A": 4, "B": 1}, spec)


def test_one_bad_bar_of_a_night_stops_nothing_and_a_lost_night_does():
    enforce_ceiling({"A": 5}, {"A": 1}, QualitySpec())
    universe = {f"S{i}": 6 for i in range(500)}
    with pytest.raises(DataError, match="max_refused_total"):
        enforce_ceiling(universe, dict.fromkeys(universe, 1), QualitySpec())


def test_where_nothing_was_served_nothing_was_lost():
    enforce_ceiling({}, {}, QualitySpec())
