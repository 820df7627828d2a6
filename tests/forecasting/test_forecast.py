from copy import deepcopy

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from models.bundle import Bundle
from models.errors import DataError
from models.networks import build_network
from tasks.forecasting.forecast import forecast
from tests.lake.frames import feature_frame, names_of, weekdays

SESSIONS = weekdays(60)
CUTOFF, LATER = SESSIONS[49], SESSIONS[50:]
LOOKBACK, EARLIER = 5, 3
SCALE, BIAS = 0.02, 0.25
CPU = torch.device("cpu")
SHAPE = {"cell": "gru", "layers": 1, "hidden": 4, "dropout": 0.1}
OFFSETS = {"q05": -2.0, "q25": -0.5, "q50": 0.1, "q75": 0.75, "q95": 2.5}
SPANS = {"A": (0, 59), "B": (0, 59), "C": (0, 40), "D": (46, 59), "E": (10, 59)}
FRAME = feature_frame(SPANS, SESSIONS)


def weights(seed, flat=False):
    torch.manual_seed(seed)
    network = build_network("recurrent", 3, **SHAPE)
    if flat:
        torch.nn.init.zeros_(network.head.weight)
        torch.nn.init.constant_(network.head.bias, BIAS)
    return {name: value.clone() for name, value in network.state_dict().items()}


def bundle(sets, **changes):
    scaler = {"mean": [0.0] * 3, "scale": [1.0] * 3, "target_scale": SCALE}
    manifest = {
        "features": list(names_of(FRAME)),
        "lookback": LOOKBACK,
        "earlier_bars": EARLIER,
        "network": {"kind": "recurrent", **SHAPE},
        "scaler": scaler,
        "target": {"kind": "open_to_open", "horizon": 1},
        "calibration": {"offsets": OFFSETS},
        **changes,
    }
    return Bundle(manifest, sets, "card", "digest")


def tonight(sets=(0, 1), frame=FRAME, **changes):
    return forecast(bundle([weights(s) for s in sets], **changes), frame, CUTOFF, CPU)


def test_the_highest_score_has_rank_1():
    made = tonight()
    assert made["rank"].to_list() == list(range(1, made.height + 1))
    assert made["score"].to_list() == sorted(made["score"], reverse=True)
    assert made["score"].n_unique() == made.height


def test_ties_go_by_symbol_whatever_the_order_of_symbols_in_the_frame():
    made = forecast(bundle([weights(0, flat=True)]), FRAME, CUTOFF, CPU)
    assert made["score"].n_unique() == 1
    assert made["symbol"].to_list() == ["A", "B", "E"]
    turned = pl.concat([FRAME.filter(pl.col("symbol") == s) for s in "EDCBA"])
    assert_frame_equal(forecast(bundle([weights(0, flat=True)]), turned, CUTOFF, CPU), made)


def test_symbols_without_a_bar_or_a_whole_window_at_the_cutoff_are_left_out():
    # C ends before, D is listed four bars before, too few for three earlier bars and a window.
    assert sorted(tonight()["symbol"]) == ["A", "B", "E"]
    masked = FRAME.with_columns(
        f1=pl.when((pl.col("symbol") == "B") & (pl.col("date") == SESSIONS[47]))
        .then(None)
        .otherwise("f1")
    )
    assert sorted(tonight(frame=masked)["symbol"]) == ["A", "E"]
    there = {row["symbol"]: row["mean"] for row in tonight().iter_rows(named=True)}
    for row in tonight(frame=masked).iter_rows(named=True):
        assert row["mean"] == there[row["symbol"]]


def test_the_mean_is_a_log_return_and_its_quantiles_lie_by_the_calibrated_offsets():
    made = forecast(bundle([weights(0, flat=True)]), FRAME, CUTOFF, CPU)
    volatility = dict(FRAME.filter(pl.col("date") == CUTOFF).select("symbol", "volatility").rows())
    for row in made.iter_rows(named=True):
        assert row["mean"] == row["score"] == pytest.approx(BIAS * SCALE, rel=1e-6)
        for column, offset in OFFSETS.items():
            expected = row["mean"] + offset * volatility[row["symbol"]]
            assert row[column] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "target", [{"form": "rank"}, {"scale": "volatility"}, {"kind": "triple_barrier"}]
)
def test_quantiles_of_another_unit_than_a_log_return_lie_at_the_offsets_themselves(target):
    made = forecast(bundle([weights(0, flat=True)], target=target), FRAME, CUTOFF, CPU)
    for row in made.iter_rows(named=True):
        for column, offset in OFFSETS.items():
            assert row[column] == pytest.approx(BIAS * SCALE + offset, rel=1e-6)


def test_the_ensemble_is_the_mean_of_its_seeds():
    def by_symbol(sets):
        return tonight(sets).sort("symbol")["mean"].to_numpy()

    np.testing.assert_allclose(
        by_symbol((0, 1)), (by_symbol((0,)) + by_symbol((1,))) / 2, rtol=1e-12
    )
    assert not np.allclose(by_symbol((0,)), by_symbol((1,)))


def test_rows_after_the_cutoff_change_nothing_by_a_bit():
    later = pl.col("date") > CUTOFF
    nonsense = FRAME.with_columns(
        *(pl.when(later).then(1e9).otherwise(c).cast(FRAME.schema[c]).alias(c)
          for c in (*names_of(FRAME), "volatility", "momentum")),
        target=pl.when(pl.col("label_end") > CUTOFF).then(-1e9).otherwise("target"),
    )  # fmt: skip
    for other in (FRAME.filter(~later), nonsense):
        assert_frame_equal(tonight(frame=other), tonight(), check_exact=True)


def test_a_row_that_the_forecast_may_see_changes_it():
    last = pl.col("date") == CUTOFF
    other = FRAME.with_columns(f0=pl.when(last).then(3.0).otherwise("f0").cast(pl.Float32))
    assert not tonight(frame=other)["mean"].equals(tonight()["mean"])


def test_other_symbols_do_not_move_a_forecast():
    alone = tonight(frame=FRAME.filter(pl.col("symbol") == "E"))
    together = tonight().filter(pl.col("symbol") == "E")
    assert_frame_equal(alone.drop("rank"), together.drop("rank"), check_exact=True)


def test_the_bundle_decides_about_features_their_order_window_and_scaler():
    names = list(names_of(FRAME))
    renamed = FRAME.rename({"f0": "f2", "f2": "f0"})
    assert tonight(frame=renamed, features=names[::-1]).equals(tonight())
    assert not tonight(lookback=LOOKBACK + 1).sort("symbol").equals(tonight().sort("symbol"))
    louder = deepcopy(bundle([]).manifest["scaler"]) | {"target_scale": 2 * SCALE}
    np.testing.assert_allclose(tonight(scaler=louder)["mean"], 2 * tonight()["mean"], rtol=1e-12)


def test_a_cutoff_that_no_window_reaches_is_refused_with_the_newest_bar():
    old = FRAME.filter(pl.col("date") != CUTOFF)
    with pytest.raises(
        DataError, match=rf"ending on {CUTOFF}; the newest bar is of {SESSIONS[48]}"
    ):
        tonight(frame=old)
