"""Real labels of every kind of target through the folds: what is fitted was known by then."""

from datetime import date

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from tasks.lake.panel import panel_arrays
from tasks.lake.target_spec import TargetSpec
from tasks.windows.plan import REFIT, plan_windows
from tasks.windows.spec import SplitSpec
from tests.features.target_worlds import BAR, FURTHER, NAMES, SPECS, index, market, targets
from tests.lake.frames import weekdays

DAYS = weekdays(100)
SPLITS = SplitSpec(folds=2, fit=30, stop=10, calibrate=10, test=15)
BARS, INDEX = market(3, days=DAYS), index(53, DAYS)
each_spec = pytest.mark.parametrize(
    "spec", [*SPECS, *FURTHER], ids=[*NAMES, *(f"{s.name}, also {s.also}" for s in FURTHER)]
)


def labelled(spec, bars=BARS, benchmark=INDEX):
    """A feature frame without holes of its own, so that only labels decide about a row."""
    draw = np.random.default_rng(0)
    frame = bars.select("symbol", "date", "member").hstack(
        targets(bars, spec, benchmark, DAYS).drop("symbol", "date")
    )
    return frame.with_columns(
        f0=pl.Series(draw.normal(size=bars.height), dtype=pl.Float32),
        volatility=bars["volatility"].fill_null(0.02),
        momentum=pl.lit(None, pl.Float64),
        reversal=pl.lit(None, pl.Float64),
        bars_seen=pl.int_range(pl.len()).over("symbol"),
        exchange=pl.lit("XNYS"),
        sector=pl.lit(None, pl.String),
    )


def planned(spec):
    panel = panel_arrays(labelled(spec), ("f0",), 2, 0)
    return panel, plan_windows(panel, 2, spec.longest, SPLITS, DAYS[-1])


def replaced(frame, where, names=BAR):
    return frame.with_columns(
        pl.when(where & pl.col(n).is_not_null()).then(1e3 + pl.int_range(pl.len()) % 7)
        .otherwise(n).alias(n) for n in names
    )  # fmt: skip


def spans_before_another(made):
    """Of each fold's fit, stop and calibrate span the rows and the first session of the next."""
    for entry in made.summary["folds"]:
        for span, following in (("fit", "stop"), ("stop", "calibrate"), ("calibrate", "test")):
            mine = made.rows.filter(fold=entry["fold"], span=span)["row"]
            next_start = date.fromisoformat(entry["spans"][following]["start"])
            yield entry["spans"][span], mine.to_list(), next_start


@each_spec
def test_what_follows_the_next_spans_first_session_changes_no_label_of_a_span(spec):
    _, made = planned(spec)
    labels = cs.starts_with("target")
    whole = labelled(spec).select(labels)
    for _, rows, next_start in spans_before_another(made):
        later = pl.col("date") > next_start
        frames = [replaced(frame, later) for frame in (BARS, INDEX)]
        if spec.kind == "open_to_open":
            # Of the first session itself only the open is seen, at which the label ends.
            first = pl.col("date") == next_start
            frames = [replaced(frame, first, ("high", "low", "close")) for frame in frames]
        other = labelled(spec, *frames).select(labels)
        assert len(rows) > 0
        assert other[rows].equals(whole[rows])
        assert not other.equals(whole)


@each_spec
def test_of_a_span_just_the_rows_go_whose_label_ends_later(spec):
    panel, made = planned(spec)
    frame, number = labelled(spec), {day: n for n, day in enumerate(DAYS)}
    reach = spec.longest + (spec.kind == "open_to_open")
    dropped = 0
    for span, rows, next_start in spans_before_another(made):
        first, last = (number[date.fromisoformat(span[edge])] for edge in ("start", "end"))
        inside = [
            row for row, day in enumerate(frame["date"])
            if first <= number[day] <= last and panel.window_ends[row]
            and frame["target"][row] is not None
        ]  # fmt: skip
        # Whatever the price did: a barrier touched early ends no span early.
        kept = [row for row in inside if number[frame["date"][row]] + reach <= number[next_start]]
        assert rows == kept
        dropped += len(inside) - len(kept)
    assert (dropped > 0) == (reach > 1)


@each_spec
def test_the_refit_ends_with_the_labels_known_at_the_cutoff(spec):
    panel, made = planned(spec)
    rows = made.rows.filter(fold=REFIT)["row"].to_list()
    reach = spec.longest + (spec.kind == "open_to_open")
    assert max(panel.dates[rows]) == np.datetime64(DAYS[-1 - reach])
    assert max(panel.label_end[rows]) == np.datetime64(DAYS[-1])
    tested = made.rows.filter(span="test")["row"].to_list()
    assert np.isfinite(panel.target[tested]).all()


def test_a_row_whose_longest_label_ends_after_the_span_is_not_fitted_on():
    spec = TargetSpec(horizon=1, also=(8,))
    (panel, made), (short, plain) = planned(spec), planned(spec.at(1))
    number = {day: n for n, day in enumerate(DAYS)}
    gone = 0
    for fold in range(SPLITS.folds):
        rows = made.rows.filter(fold=fold, span="fit")["row"].to_list()
        border = date.fromisoformat(made.summary["folds"][fold]["spans"]["stop"]["start"])
        last = [number[panel.dates[row].item()] + 1 + 8 for row in rows]
        assert max(last) <= number[border]
        # Rows of the fit span whose main label is known by the border, but not yet their longest.
        known = short.rows(DAYS[0], border, border)
        gone += len(set(known.tolist()) - set(rows))
    assert gone > 0
    assert plain.rows["row"].max() > made.rows["row"].max()


def test_the_main_horizon_alone_is_planned_as_it_would_be_without_any_further_ones():
    spec = TargetSpec(horizon=6, also=(1, 3))
    made, plain = planned(spec)[1], planned(spec.at(6))[1]
    assert made.rows.equals(plain.rows)
    for fold, alone in zip(made.summary["folds"], plain.summary["folds"], strict=True):
        assert fold["scaler"].pop("also_scales") != alone["scaler"].pop("also_scales") == ()
        assert fold == alone
