from datetime import date

import numpy as np
import polars as pl
import pytest

from models.errors import DataError
from tasks.lake.panel import panel_arrays
from tests.lake.frames import feature_frame, names_of, weekdays

DAYS = weekdays(80)
SPANS = {"A": (0, 79), "B": (20, 60), "C": (70, 79)}


def world(seed, **changes):
    return feature_frame(SPANS, DAYS, seed=seed, **{"missing": 0.05, "masked": 0.08} | changes)


def loop_ends(frame, lookback, earlier_bars):
    """A window is there if it and its predecessors are usable rows of one symbol, one by one."""
    rows = frame.rows(named=True)
    ends = []
    for end, last in enumerate(rows):
        window = rows[max(0, end - lookback + 1) : end + 1]
        whole = len(window) == lookback and all(
            row["symbol"] == last["symbol"]
            and row["bars_seen"] >= earlier_bars
            and all(row[name] is not None for name in names_of(frame))
            for row in window
        )
        if whole and last["volatility"] is not None:
            ends.append(end)
    return ends


@pytest.mark.parametrize("earlier_bars", [0, 3])
@pytest.mark.parametrize("lookback", [2, 5, 9])
@pytest.mark.parametrize("seed", range(4))
def test_windows_cross_neither_symbols_nor_masked_nor_early_rows(seed, lookback, earlier_bars):
    frame = world(seed)
    panel = panel_arrays(frame, names_of(frame), lookback, earlier_bars)
    assert np.flatnonzero(panel.window_ends).tolist() == loop_ends(frame, lookback, earlier_bars)


def test_no_window_ends_where_the_volatility_is_unknown():
    early = pl.when(pl.col("bars_seen") >= 20).then("volatility")
    frame = world(0).with_columns(volatility=early)
    panel = panel_arrays(frame, names_of(frame), 2, earlier_bars=1)
    assert np.isfinite(panel.volatility[panel.window_ends]).all()
    assert np.flatnonzero(panel.window_ends).tolist() == loop_ends(frame, 2, 1)


def test_the_arrays_hold_what_the_frame_holds():
    steel = pl.when(pl.col("date") > DAYS[40]).then(pl.lit("steel"))
    frame = world(1).with_columns(sector=pl.when(symbol="A").then(pl.lit("banks")).otherwise(steel))
    names = names_of(frame)[::-1]
    panel = panel_arrays(frame, names, 3, 3)
    assert (panel.names, panel.symbols) == (names, ("A", "B", "C"))
    for n, row in enumerate(frame.iter_rows(named=True)):
        assert panel.symbols[panel.symbol[n]] == row["symbol"]
        assert panel.dates[n].item() == row["date"]
        assert panel.label_end[n].item() == row["label_end"]
        features = [np.nan if row[name] is None else row[name] for name in names]
        np.testing.assert_array_equal(panel.features[n], np.array(features, np.float32))
        for column in ("target", "volatility", "momentum", "reversal"):
            value = np.nan if row[column] is None else row[column]
            np.testing.assert_equal(getattr(panel, column)[n], value)
        for name, said in panel.said.items():
            assert (None if said.codes[n] < 0 else said.words[said.codes[n]]) == row[name]
    assert {name: said.words for name, said in panel.said.items()} == {
        "sector": ("banks", "steel"),
        "exchange": ("XNYS",),
    }


def test_further_horizons_are_told_by_the_columns_of_the_frame():
    frame = world(1)
    assert panel_arrays(frame, names_of(frame), 3, 3).labels.shape == (frame.height, 1)
    more = frame.with_columns(target_20=pl.col("target") * 3, target_5=pl.col("target") * 2)
    panel = panel_arrays(more, names_of(more), 3, 3)
    assert panel.further == (20, 5)
    target = frame["target"].to_numpy()
    np.testing.assert_array_equal(panel.labels, np.outer(target, [1, 3, 2]))
    at = panel.at(5)
    np.testing.assert_array_equal(at.target, 2 * target)
    assert (at.further, at.labels.shape) == ((), (frame.height, 1))


def test_rows_are_chosen_by_date_and_by_when_their_label_is_known():
    frame = world(2)
    panel = panel_arrays(frame, names_of(frame), 4, 3)
    start, end, known = DAYS[10], DAYS[50], DAYS[40]
    rows = frame.with_row_index().rows(named=True)
    inside = [r for r in rows if panel.window_ends[r["index"]] and start <= r["date"] <= end]
    assert panel.rows(start, end).tolist() == [r["index"] for r in inside]
    labelled = [r["index"] for r in inside if r["label_end"] and r["label_end"] <= known]
    assert panel.rows(start, end, known).tolist() == labelled
    assert 0 < len(labelled) < len(inside)


def test_a_missing_feature_and_a_history_too_short_are_named():
    frame = world(3)
    with pytest.raises(DataError, match="lacks rsi; build it by the specification"):
        panel_arrays(frame, ("f0", "rsi"), 3, 0)
    with pytest.raises(DataError, match=r"100 unmasked rows .* \(longest history: 7\d bars\)"):
        panel_arrays(frame, ("f0",), 100, 0)
    with pytest.raises(DataError, match="longest history: 1 bars"):
        panel_arrays(frame.filter(pl.col("date") < date(1990, 1, 1)), ("f0",), 2, 0)
