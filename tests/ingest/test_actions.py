from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.ingest.actions import recover_actions, undo_split_adjustment

FIRST = date(2013, 1, 1)


def history(closes: list, adjusted: list, symbol: str = "A") -> pl.DataFrame:
    days = [FIRST + timedelta(days=i) for i in range(len(closes))]
    return pl.DataFrame(
        {"symbol": symbol, "date": days, "close": closes, "adj_close": adjusted},
        schema_overrides={"close": pl.Float64, "adj_close": pl.Float64},
    )


def rows_of(actions: pl.DataFrame) -> list[tuple]:
    """Day after FIRST, kind and value of each action."""
    return [((d - FIRST).days, k, v) for d, k, v in actions.select("date", "kind", "value").rows()]


def test_a_dividend_is_the_drop_of_the_factor_times_the_close_before():
    # 2 paid on a close of 100: the adjusted close of the day before is 98 % of it.
    found = rows_of(recover_actions(history([100, 99, 99], [98, 99, 99])))
    assert [(day, kind) for day, kind, _ in found] == [(1, "dividend")]
    assert found[0][2] == pytest.approx(2.0)


@pytest.mark.parametrize("ratio", [2, 3, 7, 20, 1.5, 1.25, 4 / 3, 1.2, 0.5, 0.1, 1 / 7, 2 / 3])
def test_a_step_near_a_small_rational_is_a_split(ratio):
    for inexact in (0.992, 1.0, 1.008):
        adjusted = [70 / ratio / inexact, 70 / ratio]
        found = rows_of(recover_actions(history([70, 70 / ratio], adjusted)))
        assert found == [(1, "split", pytest.approx(ratio))]


def test_a_step_two_per_cent_off_every_small_rational_is_a_dividend():
    found = rows_of(recover_actions(history([100, 100], [100, 204])))
    assert found == [(1, "dividend", pytest.approx(100 - 100 / 2.04))]


def test_a_special_dividend_is_no_split():
    # MSFT paid 3.08 on a close of 29.97 in 2004: a step of 1.11.
    found = rows_of(recover_actions(history([29.97, 27.39], [29.97 - 3.08, 27.39])))
    assert found == [(1, "dividend", pytest.approx(3.08))]


def test_rounding_of_the_adjusted_close_is_no_action():
    assert recover_actions(history([100, 101, 102], [50.01, 50.5, 50.99])).is_empty()


def test_the_level_of_the_adjusted_close_is_not_used():
    shares = history([100, 50, 49, 48], [10, 10, 9.9, 9.9])
    scaled = shares.with_columns(pl.col("adj_close") / 7.67)
    assert recover_actions(shares).height == 3
    assert_frame_equal(recover_actions(scaled), recover_actions(shares))


def test_later_rows_do_not_change_earlier_actions():
    shares = history([100, 50, 49, 48, 24], [10, 10, 9.9, 9.9, 9.9])
    for length in range(1, 6):
        cut = recover_actions(shares.head(length))
        assert rows_of(cut) == [r for r in rows_of(recover_actions(shares)) if r[0] < length]


def test_bars_without_a_usable_price_are_bridged():
    nan = float("nan")
    gaps = history([100, None, nan, -5, 50], [25, 25, 25, 25, 25])
    assert rows_of(recover_actions(gaps)) == [(4, "split", 2.0)]


def test_repeated_bars_make_no_actions():
    shares = history([100, 50, 50], [25, 25, 25])
    again = shares.filter(date=FIRST + timedelta(days=1))
    assert rows_of(recover_actions(pl.concat([shares, again]))) == [(1, "split", 2.0)]
    disagreeing = again.with_columns(close=pl.lit(80.0))
    assert rows_of(recover_actions(pl.concat([shares, disagreeing]))) == [(2, "split", 2.0)]


def test_symbols_do_not_mix():
    both = pl.concat([history([100, 100], [50, 50]), history([30, 30], [1, 1], "B")])
    assert recover_actions(both).is_empty()


def test_of_split_adjusted_closes_every_step_is_a_dividend():
    found = rows_of(recover_actions(history([100, 100], [50, 100]), with_splits=False))
    assert found == [(1, "dividend", pytest.approx(50.0))]


def test_undoing_a_split_adjustment_restores_the_tape():
    # 7:1 on day 2 and 4:1 on day 4; the tape says 700 before, 100 between, 25 after.
    days = [FIRST + timedelta(days=i) for i in range(6)]
    tape = pl.DataFrame(
        {
            "symbol": "A",
            "date": days,
            **dict.fromkeys(
                ("open", "high", "low", "close"), [700.0] * 2 + [100.0] * 2 + [25.0] * 2
            ),
            "volume": [1.0, 1.0, 7.0, 7.0, 28.0, 28.0],
            "dividend": [0.0, 14.0, 0.0, 2.0, 0.5, 0.0],
        }
    )
    adjusted = tape.with_columns(
        *(pl.lit(25.0).alias(c) for c in ("open", "high", "low", "close")),
        volume=pl.lit(28.0),
        dividend=pl.Series([0.0, 0.5, 0.0, 0.5, 0.5, 0.0]),
    )
    splits = pl.DataFrame({"symbol": "A", "date": [days[4], days[2]], "value": [4.0, 7.0]})
    other = adjusted.with_columns(symbol=pl.lit("B"))
    undone = undo_split_adjustment(pl.concat([adjusted, other]), splits)
    assert_frame_equal(undone, pl.concat([tape, other]))
