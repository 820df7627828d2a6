import json
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from models.errors import DataError
from models.novelty import fit_novelty
from models.scaler import Scaler
from tasks.lake.panel import panel_arrays
from tasks.windows.plan import REFIT, SPANS, plan_walked, plan_windows
from tasks.windows.spec import SplitSpec
from tests.lake.frames import feature_frame, names_of, weekdays

LOOKBACK, EARLIER = 4, 2
SESSIONS = weekdays(150)


def random_world(seed):
    """Symbols listed, delisted and full of holes; random sizes and horizon."""
    draw = np.random.default_rng(seed)
    horizon = int(draw.integers(1, 8))
    spans = {"A": (0, 149)}
    for symbol in "BCDE":
        first = int(draw.integers(0, 130))
        spans[symbol] = (first, int(draw.integers(first + 5, 150)))
    frame = feature_frame(
        spans, SESSIONS, horizon=horizon, seed=seed, missing=0.04, masked=0.04, features=2
    )
    splits = SplitSpec(
        scheme=["expanding", "rolling"][seed % 2],
        folds=int(draw.integers(1, 4)),
        fit=int(draw.integers(25, 40)),
        **{name: int(draw.integers(10, 20)) for name in SPANS[1:]},
    )
    return frame, horizon, splits


def plan(frame, horizon, splits, lookback=LOOKBACK):
    panel = panel_arrays(frame, names_of(frame), lookback, EARLIER)
    return plan_windows(panel, lookback, horizon, splits, frame["date"].max())


def chosen(made, fold, span):
    mine = (pl.col("fold") == fold) & (pl.col("span") == span)
    return made.rows.filter(mine)["row"].to_list()


def usable_ends(frame):
    """Rows on which a whole window ends, found window by window."""
    rows = frame.rows(named=True)
    for end in range(LOOKBACK - 1, len(rows)):
        window = rows[end - LOOKBACK + 1 : end + 1]
        if all(
            row["symbol"] == rows[end]["symbol"]
            and row["bars_seen"] >= EARLIER
            and all(row[name] is not None for name in names_of(frame))
            for row in window
        ):
            yield end


@pytest.mark.parametrize("seed", range(12))
def test_every_span_holds_just_the_windows_whose_label_is_known_in_time(seed):
    frame, horizon, splits = random_world(seed)
    made = plan(frame, horizon, splits)
    rows, ends = frame.rows(named=True), list(usable_ends(frame))
    for entry in made.summary["folds"]:
        spans = {n: {k: date.fromisoformat(d) for k, d in s.items()}
                 for n, s in entry["spans"].items()}  # fmt: skip
        next_start = {a: spans[b]["start"] for a, b in pairwise(SPANS)}
        next_start["test"] = SESSIONS[-1]
        for name, span in spans.items():
            expected = [
                end
                for end in ends
                if span["start"] <= rows[end]["date"] <= span["end"]
                and rows[end]["label_end"] is not None
                and rows[end]["label_end"] <= next_start[name]
            ]
            assert chosen(made, entry["fold"], name) == expected
            assert entry["windows"][name] == len(expected) > 0


@pytest.mark.parametrize("seed", range(12))
def test_no_row_is_in_two_spans_of_a_fold_and_none_is_tested_twice(seed):
    frame, horizon, splits = random_world(seed)
    made = plan(frame, horizon, splits)
    folds = made.rows.filter(pl.col("fold") != REFIT)
    assert not folds.select("fold", "row").is_duplicated().any()
    assert not folds.filter(pl.col("span") == "test")["row"].is_duplicated().any()


@pytest.mark.parametrize("seed", range(4))
def test_the_refit_takes_every_label_known_at_the_cutoff(seed):
    frame, horizon, splits = random_world(seed)
    made = plan(frame, horizon, splits)
    rows = frame.rows(named=True)
    expected = [end for end in usable_ends(frame) if rows[end]["target"] is not None]
    assert chosen(made, REFIT, "fit") == expected
    span = made.summary["refit"]["spans"]["fit"]
    assert span["labels_by"] == str(max(rows[end]["label_end"] for end in expected))
    assert span["labels_by"] <= str(frame["date"].max())
    assert span["start"] == str(min(rows[end]["date"] for end in expected))
    assert span["end"] == str(max(rows[end]["date"] for end in expected))
    assert made.summary["refit"]["windows"] == {"fit": len(expected)}


@pytest.mark.parametrize("seed", range(4))
def test_a_folds_scaler_sees_just_the_rows_that_its_fit_windows_cover(seed):
    frame, horizon, splits = random_world(seed)
    made = plan(frame, horizon, splits)
    features = frame.select(names_of(frame)).to_numpy().astype(np.float64)
    for entry in made.summary["folds"]:
        ends = chosen(made, entry["fold"], "fit")
        covered = sorted({row for end in ends for row in range(end - LOOKBACK + 1, end + 1)})
        scaler = Scaler(**entry["scaler"])
        np.testing.assert_allclose(scaler.mean, features[covered].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(scaler.scale, features[covered].std(axis=0), rtol=1e-6)
        assert scaler.target_scale == pytest.approx(frame["target"].to_numpy()[ends].std())


@pytest.mark.parametrize("seed", range(4))
def test_no_later_row_changes_a_scaler_by_a_bit(seed):
    frame, horizon, splits = random_world(seed)
    made = plan(frame, horizon, splits)
    for entry in made.summary["folds"]:
        fit = {k: date.fromisoformat(d) for k, d in entry["spans"]["fit"].items()}
        later, known_later = pl.col("date") > fit["end"], pl.col("label_end") > fit["labels_by"]
        nonsense = frame.with_columns(
            *(pl.when(later).then(1e9).otherwise(n).cast(pl.Float32).alias(n)
              for n in names_of(frame)),
            target=pl.when(later | known_later).then(-1e9).otherwise("target"),
        )  # fmt: skip
        again = plan(nonsense, horizon, splits).summary["folds"][entry["fold"]]
        assert again["scaler"] == entry["scaler"]
        assert again["windows"]["fit"] == entry["windows"]["fit"]


def test_a_change_inside_the_fit_span_changes_the_scaler():
    frame, horizon, splits = random_world(0)
    row = chosen(plan(frame, horizon, splits), 0, "fit")[0]
    other = frame.with_columns(
        f0=pl.when(pl.int_range(pl.len()) == row).then(9.0).otherwise("f0").cast(pl.Float32)
    )
    scalers = [plan(f, horizon, splits).summary["folds"][0]["scaler"] for f in (frame, other)]
    assert scalers[0] != scalers[1]


@pytest.mark.parametrize("seed", range(6))
def test_a_fold_planned_alone_is_that_of_the_whole_plan(seed):
    frame, horizon, splits = random_world(seed)
    whole = plan(frame, horizon, splits)
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, EARLIER)
    for number, entry in enumerate(whole.summary["folds"]):
        alone = plan_walked(panel, LOOKBACK, horizon, splits, number)
        assert alone.summary == {"folds": [entry]}
        assert alone.rows.equals(whole.rows.filter(fold=number))


def test_sessions_count_from_the_first_complete_window():
    frame, horizon, splits = random_world(0)
    first = min(frame["date"][end] for end in usable_ends(frame))
    expanding = splits.model_copy(update={"scheme": "expanding"})
    spans = plan(frame, horizon, expanding).summary["folds"][0]["spans"]
    assert spans["fit"]["start"] == str(first)


def test_a_span_without_a_labelled_window_is_named():
    frame, horizon, splits = random_world(1)
    stop = plan(frame, horizon, splits).summary["folds"][0]["spans"]["stop"]
    days = [date.fromisoformat(stop[k]) for k in ("start", "end")]
    silent = frame.with_columns(
        pl.when(pl.col("date").is_between(*days)).then(None).otherwise("target").alias("target")
    )
    with pytest.raises(DataError, match=rf"The stop span of fold 0 \({days[0]} to {days[1]}\)"):
        plan(silent, horizon, splits)


def test_the_summary_survives_json():
    summary = plan(*random_world(2)).summary
    loaded = json.loads(json.dumps(summary, allow_nan=False))
    for entry in [*loaded["folds"], loaded["refit"]]:
        entry["scaler"] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in entry["scaler"].items()
        }
    assert loaded == summary


def test_the_refit_says_what_its_features_look_like_and_a_fold_does_not():
    frame, *rest = random_world(3)
    made = plan(frame, *rest)
    refit, rows = made.summary["refit"], chosen(made, REFIT, "fit")
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, EARLIER)
    scaled = Scaler(**refit["scaler"]).transform(panel.features)
    assert refit["novelty"] == fit_novelty(scaled[rows]).to_dict()
    assert not any("novelty" in fold for fold in made.summary["folds"])
