"""Combinatorial folds: what is trained on never meets what is tested, whatever the market."""

from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import DataError, UsageError
from tasks.lake.panel import panel_arrays
from tasks.windows.contracts import SPANS
from tasks.windows.plan import plan_windows
from tasks.windows.purging import first_seen
from tasks.windows.spec import SplitSpec
from tests.lake.frames import feature_frame, names_of, weekdays

SESSIONS = weekdays(260)
LOOKBACK = 4
TRAINED = SPANS[:-1]


def combinatorial(groups=5, test_groups=2, embargo=3, **sizes):
    spans = {"fit": 20, "stop": 8, "calibrate": 8, "test": 15, "folds": 2} | sizes
    return SplitSpec(
        scheme="combinatorial", groups=groups, test_groups=test_groups, embargo=embargo, **spans
    )


@st.composite
def worlds(draw):
    """A market with holes and late listings, a target, and folds that it is long enough for."""
    seed = draw(st.integers(0, 10_000))
    horizon = draw(st.integers(1, 6))
    late = draw(st.integers(0, 150))
    frame = feature_frame(
        {"A": (0, 259), "B": (late, 259), "C": (0, draw(st.integers(140, 259)))},
        SESSIONS,
        horizon=horizon,
        seed=seed,
        missing=draw(st.sampled_from([0.0, 0.05, 0.3])),
        features=2,
    )
    groups = draw(st.integers(3, 6))
    splits = combinatorial(
        groups, draw(st.integers(1, min(2, groups - 1))), draw(st.integers(0, 9))
    )
    return frame, horizon, splits, draw(st.integers(0, 8)), draw(st.booleans())


def planned(frame, horizon, splits, behind=3, across=False):
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, 2)
    made = plan_windows(panel, LOOKBACK, horizon, splits, SESSIONS[-1], behind, across)
    return panel, made


def planned_or_rejected(*world):
    """Leaves out worlds whose holes eat a span; hypothesis fails where these are too many."""
    try:
        return planned(*world)
    except DataError:
        reject()


def own_bars(frame, behind):
    """Of each row, by a plain loop, the date of the bar `behind` bars before it, or the oldest."""
    of_symbol = {}
    oldest = []
    for symbol, day in frame.select("symbol", "date").iter_rows():
        days = of_symbol.setdefault(symbol, [])
        days.append(day)
        oldest.append(days[max(0, len(days) - 1 - behind)])
    return oldest


def oldest_bars(frame, behind, across):
    """Of each row, by plain loops, the oldest bar that its window sees."""
    seen = own_bars(frame, behind)
    rows = frame.select("symbol", "date").rows()
    if across:
        by_date = {}
        for (_, day), first in zip(rows, seen, strict=True):
            by_date[day] = min(by_date.get(day, first), first)
        seen = [by_date[day] for _, day in rows]
    found = []
    for end, (symbol, _) in enumerate(rows):
        window = [n for n in range(max(0, end - LOOKBACK + 1), end + 1) if rows[n][0] == symbol]
        found.append(min(seen[n] for n in window))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_no_training_row_sees_a_bar_or_ends_a_label_inside_a_test_span(world):
    frame, horizon, splits, behind, across = world
    _, made = planned_or_rejected(*world)
    oldest, rows = oldest_bars(frame, behind, across), frame.rows(named=True)
    number = {day: n for n, day in enumerate(SESSIONS)}
    for entry in made.summary["folds"][splits.folds :]:
        mine = made.rows.filter(fold=entry["fold"])
        for test in entry["tested"]:
            # The span itself, the labels that its rows wait for, and the embargo.
            inside = [
                row["date"] for row in rows if test["start"] <= str(row["date"]) <= test["end"]
            ]
            last = number[max(inside)] + horizon + 1 + splits.embargo
            for row in mine.filter(pl.col("span").is_in(TRAINED))["row"]:
                before = str(rows[row]["label_end"]) < test["start"]
                assert before or number[oldest[row]] > last, (entry["fold"], row, test)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_every_date_is_tested_by_as_many_folds_as_there_are_paths_and_once_for_each(world):
    frame, horizon, splits, *_ = world
    panel, made = planned_or_rejected(*world)
    folds, paths = comb(splits.groups, splits.test_groups), {}
    entries = made.summary["folds"][splits.folds :]
    assert len(entries) == folds
    tested = made.rows.filter(pl.col("fold") >= splits.folds, span="test")
    many = splits.test_groups * folds // splits.groups
    # Every row whose label has matured, up to the last session whose label surely has. A day
    # without any bar is no session.
    days = sorted(set(frame["date"]))
    ripe = panel.rows(days[0], days[-2 - horizon], days[-1])
    assert dict(tested.group_by("row").len().iter_rows()) == dict.fromkeys(ripe, many)
    for entry in entries:
        assert [t["group"] for t in entry["tested"]] == sorted(
            {t["group"] for t in entry["tested"]}
        )
        for test in entry["tested"]:
            paths.setdefault(test["path"], []).append(test["group"])
    assert sorted(paths) == list(range(many))
    assert all(sorted(groups) == list(range(splits.groups)) for groups in paths.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_the_training_spans_keep_their_order_and_know_their_labels_in_time(world):
    frame, _, splits, *_ = world
    _, made = planned_or_rejected(*world)
    rows = frame.rows(named=True)
    for entry in made.summary["folds"][splits.folds :]:
        mine = made.rows.filter(fold=entry["fold"])
        assert not mine["row"].is_duplicated().any()
        for span, following in (("fit", "stop"), ("stop", "calibrate")):
            start = entry["spans"][following]["start"]
            for row in mine.filter(span=span)["row"]:
                assert str(rows[row]["label_end"]) <= start


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_the_walk_forward_beside_them_is_the_expanding_one(world):
    frame, horizon, splits, *_ = world
    _, made = planned_or_rejected(*world)
    plain = splits.model_copy(update={"scheme": "expanding"})
    _, alone = planned(frame, horizon, plain, None)
    assert made.rows.filter(pl.col("fold") < splits.folds).equals(alone.rows)
    assert made.summary["folds"][: splits.folds] == alone.summary["folds"]
    assert made.summary["refit"] == alone.summary["refit"]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("behind", [0, 1, 7, 10_000])
def test_the_oldest_bar_of_a_window_is_that_of_a_plain_loop(behind, across):
    frame = feature_frame(
        {"A": (0, 80), "B": (10, 60), "C": (40, 80)}, SESSIONS, seed=3, missing=0.2
    )
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, 2)
    found = first_seen(panel, LOOKBACK, behind, across).tolist()
    assert found == oldest_bars(frame, behind, across)


def whole_world(horizon=2):
    return feature_frame({"A": (0, 259), "B": (0, 259)}, SESSIONS, horizon=horizon, features=2)


def test_rows_behind_a_test_span_stay_away_as_long_as_their_features_look_back():
    _, made = planned(whole_world(), 2, combinatorial(groups=5, test_groups=1), behind=20)
    fold = made.summary["folds"][2 + 1]
    (test,) = fold["tested"]
    days = [str(day) for day in SESSIONS]
    resumed = days.index(fold["runs"]["fit"][1][0])
    # Labels of the last tested row end 3 sessions on, then 3 of embargo, then 20 + 3 bars.
    assert resumed == days.index(test["end"]) + 3 + 3 + 23 + 1
    left = days.index(fold["runs"]["fit"][0][1])
    assert left == days.index(test["start"]) - 3 - 1


def test_two_adjoining_groups_close_one_stretch():
    _, made = planned(whole_world(), 2, combinatorial(groups=6, test_groups=2))
    pairs = {tuple(t["group"] for t in f["tested"]): f for f in made.summary["folds"][2:]}
    assert len(pairs[2, 3]["runs"]["test"]) == 1
    assert len(pairs[1, 3]["runs"]["test"]) == 2


def test_a_memory_without_end_leaves_too_little_and_says_why():
    with pytest.raises(DataError, match="a row hangs on 1000003 bars before it"):
        planned(whole_world(), 2, combinatorial(), behind=1_000_000)


def test_groups_that_are_not_longer_than_the_horizon_are_refused():
    with pytest.raises(DataError, match=r"splits.groups=20 cuts 242 .* the horizon of 12"):
        planned(whole_world(12), 12, combinatorial(groups=20, test_groups=1, **SIZES))


SIZES = {"stop": 14, "calibrate": 14, "fit": 20}


def test_folds_that_were_not_told_how_far_features_look_back_are_refused():
    with pytest.raises(UsageError, match="behind=None"):
        planned(whole_world(), 2, combinatorial(), behind=None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"groups": 4, "test_groups": 4}, "leaves none of groups=4"),
        ({"groups": 20, "test_groups": 10}, "make 184,756 folds"),
    ],
)
def test_choices_that_cannot_be_made_are_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        SplitSpec(scheme="combinatorial", **values)


def test_a_leaking_purge_would_be_found():
    # The rule above bites: rows purged for one bar less see the closed span.
    frame = whole_world()
    panel, made = planned(frame, 2, combinatorial(test_groups=1), behind=5)
    oldest = np.array(oldest_bars(frame, 6, False), "datetime64[D]")
    meets = 0
    for entry in made.summary["folds"][2:]:
        rows = made.rows.filter(pl.col("span").is_in(TRAINED), fold=entry["fold"])["row"].to_numpy()
        (test,) = entry["tested"]
        number = [str(day) for day in SESSIONS].index(test["end"]) + 3 + 3
        closed = np.datetime64(SESSIONS[min(number, 259)])
        after = panel.label_end[rows] >= np.datetime64(test["start"])
        meets += int((after & (oldest[rows] <= closed)).sum())
    assert meets > 0
