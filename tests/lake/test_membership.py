"""Who belonged to a universe, and when, as it was known at some instant."""

import random
from datetime import date, timedelta

import polars as pl
import pytest

from tasks.lake.membership import (
    SPELL_COLUMNS,
    Membership,
    known_membership,
    member_rows,
    record_membership,
    sector_rows,
)
from tasks.lake.store import Lake
from tests.lake.frames import at

JAN, JUN, DEC = date(2020, 1, 2), date(2020, 6, 1), date(2020, 12, 31)
EVER = ("A", None, None, "XNYS", "Energy")
LEFT = ("B", None, JUN, "XNYS", None)
JOINED = ("C", JUN, None, "XLON", "Banks")


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def spells(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SPELL_COLUMNS, orient="row")


def test_what_is_recorded_is_known_from_then_on(lake):
    assert record_membership(lake, "mine", spells(JOINED, EVER, LEFT), at(1)) == 3
    assert known_membership(lake, "mine", at(1)).spells == (EVER, LEFT, JOINED)
    assert known_membership(lake, "mine", at(0)).spells == ()


def test_the_same_file_again_adds_nothing(lake):
    record_membership(lake, "mine", spells(EVER, LEFT), at(0))
    assert record_membership(lake, "mine", spells(LEFT, EVER), at(1)) == 0


def test_a_member_that_leaves_has_its_spell_ended_and_past_nights_do_not_know(lake):
    record_membership(lake, "mine", spells(EVER), at(0))
    ended = ("A", None, DEC, "XNYS", "Energy")
    assert record_membership(lake, "mine", spells(ended), at(5)) == 1
    assert known_membership(lake, "mine", at(4)).spells == (EVER,)
    assert known_membership(lake, "mine", at(5)).spells == (ended,)


def test_a_spell_that_the_file_no_longer_has_is_withdrawn_and_may_come_back(lake):
    record_membership(lake, "mine", spells(EVER, LEFT), at(0))
    assert record_membership(lake, "mine", spells(EVER), at(1)) == 1
    assert record_membership(lake, "mine", spells(EVER), at(2)) == 0
    assert record_membership(lake, "mine", spells(EVER, LEFT), at(3)) == 1
    known = [known_membership(lake, "mine", at(m)).spells for m in range(4)]
    assert known == [(EVER, LEFT), (EVER,), (EVER,), (EVER, LEFT)]


def test_a_spell_whose_first_day_is_mended_takes_the_place_of_the_wrong_one(lake):
    record_membership(lake, "mine", spells(JOINED), at(0))
    mended = ("C", JAN, None, "XLON", "Banks")
    assert record_membership(lake, "mine", spells(mended), at(1)) == 2
    assert known_membership(lake, "mine", at(1)).spells == (mended,)
    assert known_membership(lake, "mine", at(0)).spells == (JOINED,)


def test_a_mended_sector_is_known_from_then_on_and_past_nights_do_not_know(lake):
    record_membership(lake, "mine", spells(EVER, LEFT), at(0))
    mended = (*LEFT[:4], "Banks")
    assert record_membership(lake, "mine", spells(EVER, mended), at(1)) == 1
    assert known_membership(lake, "mine", at(0)).spells == (EVER, LEFT)
    assert known_membership(lake, "mine", at(1)).spells == (EVER, mended)


def test_universes_are_kept_apart(lake):
    record_membership(lake, "mine", spells(EVER), at(0))
    record_membership(lake, "yours", spells(LEFT), at(1))
    assert known_membership(lake, "mine", at(2)).spells == (EVER,)
    assert known_membership(lake, "yours", at(2)).spells == (LEFT,)
    assert known_membership(lake, "nobodys", at(2)).spells == ()


def test_spells_of_a_symbol_are_in_order_and_since_ever_comes_first(lake):
    first, second = ("A", None, JAN, "XNYS", None), ("A", JUN, None, "XNYS", None)
    record_membership(lake, "mine", spells(second, first), at(0))
    assert known_membership(lake, "mine", at(0)).spells == (first, second)


def test_the_symbols_of_a_session_are_all_that_were_members_by_then():
    twice = (("C", JAN, JAN, "XNYS", None), ("C", JUN, None, "XNYS", None))
    members = Membership(spells=(EVER, LEFT, *twice))
    assert members.symbols(date(2019, 12, 31)) == ("A", "B")
    assert members.symbols(JAN) == members.symbols(DEC) == ("A", "B", "C")
    late = Membership(spells=(("D", JUN, None, "XNYS", None),))
    assert late.symbols(date(2020, 5, 29)) == ()
    assert late.symbols(JUN) == ("D",)


def test_a_membership_survives_the_way_between_two_tasks():
    members = Membership(spells=(EVER, LEFT, JOINED))
    assert Membership.model_validate_json(members.model_dump_json()) == members
    assert members.frame().equals(spells(EVER, LEFT, JOINED))
    assert members.exchanges() == {"A": "XNYS", "B": "XNYS", "C": "XLON"}


def test_both_days_of_a_spell_are_inside_it():
    days = [JAN - timedelta(1), JAN, JUN, JUN + timedelta(1)]
    frame = pl.DataFrame({"symbol": "A", "date": days})
    inside = member_rows(spells(("A", JAN, JUN, "XNYS", None)), frame)
    assert inside.to_list() == [False, True, True, False]


def test_a_row_is_a_members_where_a_spell_of_its_symbol_has_its_date():
    draw = random.Random(0)
    days = [JAN + timedelta(k) for k in range(60)]
    said, rows = [], []
    for symbol in "ABCDEFGH":
        ends = sorted(draw.sample(days, 4))
        first = None if draw.random() < 0.3 else ends[0]
        last = None if draw.random() < 0.3 else ends[3]
        said += [(symbol, first, ends[1], "XNYS", None), (symbol, ends[2], last, "XNYS", None)]
        rows += [(symbol, day) for day in draw.sample(days, 30)]
    rows += [("NOBODY", day) for day in days[:5]]
    draw.shuffle(rows)
    draw.shuffle(said)
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    expected = [
        any(
            s == symbol and (first or date.min) <= day <= (last or date.max)
            for s, first, last, *_ in said
        )
        for symbol, day in rows
    ]
    assert 0 < sum(expected) < len(rows)
    assert member_rows(spells(*said), frame).to_list() == expected


def test_without_spells_nobody_is_a_member():
    frame = pl.DataFrame({"symbol": ["A"], "date": [JAN]})
    assert member_rows(spells(), frame).to_list() == [False]
    assert member_rows(spells(EVER), frame.clear()).to_list() == []


def test_a_sector_holds_from_its_spell_to_the_next_and_the_first_reaches_back():
    days = [JAN + timedelta(k) for k in (0, 10, 11, 15, 20, 21, 25, 30)]
    said = spells(
        ("A", days[6], None, "XNYS", "New"),
        ("A", days[1], days[2], "XNYS", "Old"),
        ("A", days[4], days[5], "XNYS", None),
    )
    frame = pl.DataFrame({"symbol": "A", "date": days})
    expected = ["Old", "Old", "Old", "Old", None, None, "New", "New"]
    assert sector_rows(said, frame).to_list() == expected
    assert sector_rows(said, frame.reverse()).to_list() == expected[::-1]


def test_the_sector_of_a_row_is_that_of_the_spell_at_or_else_nearest_before_it():
    draw = random.Random(1)
    days = [JAN + timedelta(k) for k in range(80)]
    said, rows = [], []
    for symbol in "ABCDEFGH":
        ends = sorted(draw.sample(days, 6))
        ends[0] = None if draw.random() < 0.3 else ends[0]
        sectors = draw.choices(["Banks", "Energy", None], k=3)
        for k in range(3):
            said.append((symbol, ends[2 * k], ends[2 * k + 1], "XNYS", sectors[k]))
        rows += [(symbol, day) for day in draw.sample(days, 40)]
    rows += [("NOBODY", day) for day in days[:5]]
    draw.shuffle(rows)
    draw.shuffle(said)
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    expected = []
    for symbol, day in rows:
        own = sorted((s[1] or date.min, s[4]) for s in said if s[0] == symbol)
        begun = [sector for first, sector in own if first <= day]
        expected.append(begun[-1] if begun else own[0][1] if own else None)
    found = sector_rows(spells(*said), frame)
    assert found.to_list() == expected
    assert (found.name, found.dtype) == ("sector", pl.String)
    assert {None, "Banks", "Energy"} == set(expected)


def test_without_spells_no_sector_is_known():
    frame = pl.DataFrame({"symbol": ["A"], "date": [JAN]})
    assert sector_rows(spells(), frame).to_list() == [None]
    assert sector_rows(spells(EVER), frame.clear()).to_list() == []
