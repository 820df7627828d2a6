from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError, UsageError
from tasks.lake.store import Lake, read_reference, take_reference
from tests.lake.frames import at, bars

JAN2, JAN3, JAN6 = date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 6)


def test_a_read_since_a_date_sees_it_and_what_came_after(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", d, 1.0) for d in (JAN2, JAN3, JAN6)]), at(0))
    lake.append("bars", bars([("A", JAN2, 2.0), ("A", JAN3, 2.0)]), at(1))

    def dates(since, cutoff=None):
        read = lake.read("bars", cutoff=cutoff, known_by=at(0), since=since)
        return read["date"].to_list()

    assert dates(JAN3) == [JAN3, JAN6]
    assert dates(JAN3, cutoff=JAN3) == [JAN3]
    assert dates(None, cutoff=JAN3) == [JAN2, JAN3]
    assert dates(date(2020, 1, 7)) == []
    assert lake.read("bars", cutoff=JAN3, known_by=at(1), since=JAN3)["close"].to_list() == [2.0]


@pytest.mark.parametrize("name", ["a space", "größe", "100%", "#1?"])
def test_a_lake_may_lie_in_a_folder_of_any_name(tmp_path, name):
    lake = Lake(tmp_path / name)
    lake.append("bars", bars([("A", JAN2, 1.0)]), at(0))
    assert lake.append("bars", bars([("A", JAN2, 1.0), ("A", JAN3, 2.0)]), at(1)) == 1
    assert lake.read("bars", cutoff=None, known_by=at(1))["close"].to_list() == [1.0, 2.0]


def test_a_table_that_another_version_wrote_is_refused_and_not_guessed_at(tmp_path):
    old = bars([("A", JAN2, 1.0)]).drop("held", "flags")
    old.write_delta(str(tmp_path / "bars"))
    lacking = r"lacks the columns commit, flags, held, known_at.*another --root"
    with pytest.raises(DataError, match=lacking):
        Lake(tmp_path).read("bars", cutoff=None, known_by=at(0))
    with pytest.raises(DataError, match=lacking):
        Lake(tmp_path).append("bars", bars([("A", JAN2, 1.0)]), at(0))


def test_rows_come_back_sorted_by_key_whatever_order_they_came_in(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("B", JAN3, 4.0), ("A", JAN3, 2.0), ("B", JAN2, 3.0)]), at(0))
    lake.append("bars", bars([("A", JAN2, 1.0)]), at(1))
    read = lake.read("bars", cutoff=None, known_by=at(1))
    assert read["close"].to_list() == [1.0, 2.0, 3.0, 4.0]


def test_the_newest_date_of_each_symbol_by_both_clocks(tmp_path):
    lake = Lake(tmp_path)
    asked = ["A", "B", "C"]
    assert lake.newest_dates("bars", asked, None, at(9)) == {}
    lake.append("bars", bars([("A", JAN2, 1.0), ("A", JAN3, 1.0), ("B", JAN2, 1.0)]), at(0))
    lake.append("bars", bars([("B", JAN6, 1.0), ("D", JAN6, 1.0)]), at(5))
    assert lake.newest_dates("bars", asked, None, at(4)) == {"A": JAN3, "B": JAN2}
    assert lake.newest_dates("bars", asked, None, at(5)) == {"A": JAN3, "B": JAN6}
    assert lake.newest_dates("bars", asked, JAN2, at(5)) == {"A": JAN2, "B": JAN2}
    assert lake.newest_dates("bars", [], None, at(5)) == {}
    with pytest.raises(UsageError, match="'securities' dates no symbols"):
        lake.newest_dates("securities", asked, None, at(5))


def lose_files(lake, keep):
    """Removes all files of bars but those whose first row `keep` accepts; returns their number."""
    gone = 0
    for path in Path(lake.uri, "bars").glob("*.parquet"):
        if not keep(pl.read_parquet(path).row(0, named=True)):
            path.unlink()
            gone += 1
    return gone


def test_a_narrow_read_opens_no_file_of_other_symbols_or_dates(tmp_path):
    # Files that are gone cannot be read: what still answers has not looked at them.
    lake = Lake(tmp_path)
    for minute, (symbol, day) in enumerate((s, d) for s in "ABC" for d in (JAN2, JAN3, JAN6)):
        lake.append("bars", bars([(symbol, day, 1.0)]), at(minute))
    assert lose_files(lake, lambda row: row["symbol"] == "B") == 6
    assert lake.newest_dates("bars", ["B"], None, at(99)) == {"B": JAN6}
    assert lose_files(lake, lambda row: row["date"] == JAN3) == 2
    narrow = {"symbols": ["B"], "since": JAN3, "cutoff": JAN3, "known_by": at(99)}
    assert lake.read("bars", **narrow).select("symbol", "date").rows() == [("B", JAN3)]
    assert lake.append("bars", bars([("B", JAN3, 1.0)]), at(99)) == 0
    assert lake.append("bars", bars([("B", JAN3, 2.0), ("BB", JAN3, 2.0)]), at(99)) == 2
    for wider in ({"symbols": ["A"]}, {"since": JAN2}, {"cutoff": JAN6}):
        with pytest.raises(FileNotFoundError):
            lake.read("bars", **narrow | wider)


def test_a_reference_reads_the_same_rows_after_later_restatements(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", JAN2, 1.0), ("B", JAN2, 2.0)]), at(0))
    reference = take_reference(lake.uri, "bars", ["A"], JAN2, at(1))
    assert (reference.rows, reference.symbols) == (1, ("A",))
    before = read_reference(lake.uri, reference)
    lake.append("bars", bars([("A", JAN2, 9.0), ("A", JAN3, 1.0), ("B", JAN2, 3.0)]), at(2))
    assert_frame_equal(read_reference(lake.uri, reference), before)


def test_a_reference_notices_rows_that_were_changed_behind_its_clock(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", JAN2, 1.0)]), at(0))
    reference = take_reference(lake.uri, "bars", ["A"], JAN2, at(1))
    lake.append("bars", bars([("A", JAN2, 1.0 + 1e-15)]), at(1))
    with pytest.raises(DataError, match="rows of the lake were changed or lost"):
        read_reference(lake.uri, reference)
