"""What a proof is made of: the comparison to the bit, the sample, what is done to bars."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.features.causality.changes import (
    bars_of_another_stock,
    made_up_bars,
    with_later_action,
)
from tasks.features.causality.sampling import sample_cutoffs, sample_panel
from tasks.lake.bits import first_difference
from tasks.lake.factors import PRICES, adjust
from tests.features import broken
from tests.features.panels import BAR, FIRST, generated_bars, panel_of


def frame_of(*values: float | None) -> pl.DataFrame:
    days = [FIRST + timedelta(days=i) for i in range(len(values))]
    return pl.DataFrame({"symbol": "A", "date": days, "x": pl.Series(values, dtype=pl.Float64)})


def test_masked_is_masked_whatever_its_bits_and_the_sign_of_zero_counts():
    negative, signalling = np.array([0xFFF8 << 48, (0x7FF0 << 48) + 1], np.uint64).view(np.float64)
    masked = [frame_of(1.0, value) for value in (None, np.nan, negative, signalling)]
    assert all(first_difference(masked[0], other) is None for other in masked)
    found = first_difference(frame_of(1.0, 0.0), frame_of(1.0, -0.0))
    assert (found.columns, found.date) == (("x",), FIRST + timedelta(days=1))
    assert first_difference(frame_of(1.0), frame_of(np.nextafter(1.0, 2.0)))
    assert first_difference(frame_of(1.0), frame_of(None))


def test_frames_differ_in_their_rows_but_not_in_the_order_of_them():
    one = frame_of(1.0, 2.0, 3.0)
    assert first_difference(one, one.reverse()) is None
    for other in (one.head(2), pl.concat([one, one.tail(1)])):
        found = first_difference(one, other)
        assert (found.columns, found.date) == (("rows",), FIRST + timedelta(days=2))


def test_cutoffs_lie_in_every_warm_up_and_at_the_very_end():
    panel = panel_of(A=generated_bars(700, 0), B=generated_bars(600, 1))
    late = panel.with_columns(
        date=pl.when(pl.col("symbol") == "B")
        .then(pl.col("date").dt.offset_by("100d"))
        .otherwise("date")
    )
    days = sample_cutoffs(late, 200, warm_up=252, seed=0)
    assert days == sorted(set(days))
    assert len(days) == 200
    assert days[-1] == FIRST + timedelta(days=698)
    for first in (0, 100):
        rows = [(day - FIRST).days - first for day in days]
        assert any(0 <= row < 3 for row in rows)
        assert any(100 <= row < 252 for row in rows)
    assert sample_cutoffs(late, 200, 252, seed=0) == days
    assert sample_cutoffs(late, 200, 252, seed=1) != days


def test_a_short_panel_is_cut_at_each_of_its_dates_but_the_last():
    panel = panel_of(A=generated_bars(9, 0))
    assert sample_cutoffs(panel, 200, 5, seed=0) == panel["date"].to_list()[:-1]


def test_a_sample_takes_long_histories_first_and_its_own_lot_among_equals():
    panel = panel_of(**{f"S{i}": generated_bars(30 if i < 8 else 10, i) for i in range(10)})
    panel = panel.sort("symbol", "date")
    chosen = [sample_panel(panel, 3, 20, seed) for seed in range(6)]
    for sample in chosen:
        assert sample.height == 60
        assert not {"S8", "S9"} & set(sample["symbol"])
        assert sample["date"].min() == FIRST + timedelta(days=10)
    assert len({tuple(sample["symbol"].unique().sort()) for sample in chosen}) > 1
    assert sample_panel(panel, 3, 20, 0).equals(chosen[0])
    assert sample_panel(panel, 50, 50, 0).equals(panel)


def test_another_stocks_bars_are_real_bars_and_no_row_keeps_its_own():
    panel = panel_of(A=generated_bars(30, 0), B=generated_bars(20, 1))
    other = bars_of_another_stock(panel)
    assert other["close"][:20].to_list() == panel["close"][30:].to_list()[::-1]
    assert other["close"][30:].to_list() == panel["close"][:30].to_list()[:9:-1]
    assert not (other["close"] == panel["close"]).any()


def test_an_injected_split_is_one_that_forward_factors_undo():
    bars, none = broken.market(60, 60)
    none = none.clear()
    day = FIRST + timedelta(days=40)
    split = with_later_action(bars, none, day, 3.0, moved=True)
    ex_date = day + timedelta(days=1)
    assert split[1].rows() == [(name, ex_date, "split", 3.0) for name in ("S0", "S1")]
    ours, theirs = (broken.adjusted_with_members(*x) for x in (split, (bars, none)))
    np.testing.assert_allclose(ours.select(BAR), theirs.select(BAR), rtol=1e-12)
    assert not split[0].filter(pl.col("date") > day).equals(bars.filter(pl.col("date") > day))


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.0, 0.1])
def test_a_later_action_leaves_prices_positive_beside_a_dividend_of_half_the_price(ratio, moved):
    days = [date(2024, 1, n) for n in range(2, 8)]
    bars = pl.DataFrame(
        {"symbol": ["A"] * 6, "date": days, **dict.fromkeys(PRICES, [100.0] * 6), "volume": 1.0}
    )
    paid = pl.DataFrame({"symbol": ["A"], "date": days[3:4], "kind": ["dividend"], "value": [51.0]})
    for after in days[:-1]:
        panel = adjust(*with_later_action(bars, paid, after, ratio, moved))
        assert panel["close"].min() > 0


def test_made_up_bars_can_be_bars_of_their_symbols_and_follow_from_the_seed():
    panel = panel_of(A=generated_bars(300, 0), B=generated_bars(300, 1))
    made = made_up_bars(panel, 5)
    assert made.equals(made_up_bars(panel, 5))
    assert not made.equals(made_up_bars(panel, 6))
    body = made.select(
        low=pl.min_horizontal("open", "close"), high=pl.max_horizontal("open", "close")
    )
    assert (made["low"] < body["low"]).all()
    assert (made["high"] > body["high"]).all()
    assert (made["low"] > 0.0).all()
    assert (made["volume"] > 0.0).all()
    usual = panel.with_columns(made["close"].alias("made")).group_by("symbol").median()
    assert (usual["made"] / usual["close"]).is_between(0.9, 1.1).all()
    moves = np.diff(np.log(made["close"].to_numpy()))
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1] + 0.5) < 0.1, "no bar follows from the last"
