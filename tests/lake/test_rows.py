from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.lake.rows import conform, newest, unlike
from tasks.lake.tables import BARS, QUARANTINE, STAMPS
from tests.lake.frames import at, bars, weekdays

DAYS = weekdays(6)


def stamped(frame, minute, commit):
    return frame.with_columns(
        known_at=pl.lit(at(minute)).cast(STAMPS["known_at"]), commit=pl.lit(commit, pl.Int64)
    )


def by_loop(frame, key):
    """The newest of each key, one row after the other."""
    last = {}
    for row in frame.rows(named=True):
        k = tuple(row[c] for c in key)
        stamp = (row["known_at"], row["commit"])
        if k not in last or stamp > (last[k]["known_at"], last[k]["commit"]):
            last[k] = row
    return pl.DataFrame(list(last.values()), schema=frame.schema).sort(key)


@pytest.mark.parametrize("seed", range(5))
def test_the_newest_rows_are_those_a_loop_finds_in_any_order_of_rows(seed):
    batches = [(0, 1), (3, 2), (3, 3), (1, 4), (2, 5)]
    whole = pl.concat(
        stamped(
            bars([(s, d, float(commit)) for s in "ABC" for d in DAYS]).sample(
                fraction=0.6, seed=10 * seed + commit
            ),
            minute,
            commit,
        )
        for minute, commit in batches
    ).sample(fraction=1, shuffle=True, seed=seed)
    assert_frame_equal(newest(whole, BARS), by_loop(whole, BARS.key))


def test_the_newest_of_no_rows_and_of_one():
    one = stamped(bars([("A", DAYS[0], 1.0)]), 0, 1)
    assert_frame_equal(newest(one, BARS), one)
    assert_frame_equal(newest(one.clear(), BARS), one.clear())


def test_keys_that_are_null_are_keys_too():
    columns = {c: pl.Series([None, None], dtype=t) for c, t in QUARANTINE.columns.items()}
    nothing = pl.DataFrame(columns)
    twice = pl.concat([stamped(nothing.head(1), 0, 1), stamped(nothing.head(1), 1, 2)])
    assert newest(twice, QUARANTINE)["commit"].to_list() == [2]
    named = nothing.with_columns(symbol=pl.Series(["A", None]))
    assert conform(named, QUARANTINE)["symbol"].to_list() == [None, "A"]


def test_rows_conform_sorted_by_key_with_the_tables_columns_and_types():
    raw = bars([("B", DAYS[0], 1.0), ("A", DAYS[1], 2.0), ("A", DAYS[0], 3.0)])
    made = conform(raw.with_columns(pl.col("volume").cast(pl.Int64), extra=1), BARS)
    assert dict(made.schema) == BARS.columns
    assert made["close"].to_list() == [3.0, 2.0, 1.0]


def test_unlike_rows_differ_in_content_from_all_that_is_known():
    known = bars([("A", DAYS[0], 1.0), ("A", DAYS[1], 1.0)])
    rows = bars([("A", date(2015, 1, 1), 1.0), ("A", DAYS[1], 1.5), ("A", DAYS[2], 1.0)])
    assert unlike(rows, known, BARS)["close"].to_list() == [1.5, 1.0]
    held = rows.head(1).with_columns(held=True)
    assert unlike(held, known, BARS).height == 1
