import json
import math
from copy import deepcopy

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from models.bundle import Bundle
from models.errors import DataError
from models.networks import build_network
from models.novelty import fit_novelty
from tasks.forecasting.forecast import forecast
from tasks.lake.tables import QUANTILE_COLUMNS, QUANTILES
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


def weights(seed, flat=False, **options):
    torch.manual_seed(seed)
    network = build_network("recurrent", 3, **SHAPE, **options)
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
    ("target", "low", "high"),
    [({"form": "rank"}, -0.5, 0.5), ({"kind": "triple_barrier"}, -1, 1),
     ({"form": "direction"}, -1, 1)],
)  # fmt: skip
def test_quantiles_of_a_unit_without_volatility_lie_at_the_offsets_within_its_range(
    target, low, high
):
    made = forecast(bundle([weights(0, flat=True)], target=target), FRAME, CUTOFF, CPU)
    for row in made.iter_rows(named=True):
        for column, offset in OFFSETS.items():
            expected = min(max(BIAS * SCALE + offset, low), high)
            assert row[column] == pytest.approx(expected, rel=1e-6)


def test_a_target_over_volatility_is_published_as_a_log_return():
    target = {"scale": "volatility", "horizon": 5}
    made = forecast(bundle([weights(0, flat=True)], target=target), FRAME, CUTOFF, CPU)
    volatility = dict(FRAME.filter(pl.col("date") == CUTOFF).select("symbol", "volatility").rows())
    for row in made.iter_rows(named=True):
        back = volatility[row["symbol"]] * math.sqrt(5)
        assert row["score"] == pytest.approx(BIAS * SCALE, rel=1e-6)
        assert row["mean"] == pytest.approx(BIAS * SCALE * back, rel=1e-6)
        for column, offset in OFFSETS.items():
            assert row[column] == pytest.approx((BIAS * SCALE + offset) * back, rel=1e-6)


def with_head(head, target=None, levels=(), sets=(0, 1)):
    network = {"kind": "recurrent", **SHAPE, "head": head}
    made = [weights(s, head=head, levels=levels) for s in sets]
    return forecast(bundle(made, network=network, target=target or {}), FRAME, CUTOFF, CPU)


def raw_outputs(head, levels=()):
    """What each of two seeds' networks says of the symbols at the cutoff, window by window."""
    raws = []
    for seed in (0, 1):
        network = build_network("recurrent", 3, **SHAPE, head=head, levels=levels)
        network.load_state_dict(weights(seed, head=head, levels=levels))
        network.eval()
        rows = {}
        for symbol in "ABE":
            mine = FRAME.filter(pl.col("symbol") == symbol, pl.col("date") <= CUTOFF)
            window = mine.select(names_of(FRAME)).tail(LOOKBACK).to_numpy(writable=True)
            with torch.no_grad():
                rows[symbol] = network(torch.from_numpy(window)[None])[0, 0].double().numpy()
        raws.append(rows)
    return raws


def test_a_head_of_quantiles_is_moved_level_by_level_and_has_no_mean():
    made, raws = with_head("quantiles", levels=QUANTILES), raw_outputs("quantiles", QUANTILES)
    volatility = dict(FRAME.filter(pl.col("date") == CUTOFF).select("symbol", "volatility").rows())
    assert made["mean"].null_count() == 3
    for row in made.iter_rows(named=True):
        own = SCALE * (raws[0][row["symbol"]] + raws[1][row["symbol"]]) / 2
        moved = own + volatility[row["symbol"]] * np.array(list(OFFSETS.values()))
        assert row["score"] == pytest.approx(own[2], rel=1e-5)
        found = [row[column] for column in QUANTILE_COLUMNS]
        np.testing.assert_allclose(found, sorted(moved), rtol=1e-5)


def test_a_head_of_a_direction_says_the_mean_over_seeds_of_the_chance_up_less_down():
    made, raws = with_head("direction"), raw_outputs("direction")
    for row in made.iter_rows(named=True):
        chances = [np.exp(r[row["symbol"]]) / np.exp(r[row["symbol"]]).sum() for r in raws]
        expected = sum(c[2] - c[0] for c in chances) / 2
        assert row["score"] == pytest.approx(expected, rel=1e-5)
        assert row["mean"] is None
        assert row["q50"] is None
    of_direction = with_head("direction", {"form": "direction"})
    assert of_direction["score"].equals(made["score"])
    assert of_direction["mean"].equals(made["score"].alias("mean"))
    assert of_direction["q05"].null_count() == 0


def test_a_head_of_ranks_has_a_score_alone():
    made, raws = with_head("rank"), raw_outputs("rank")
    assert made.select("mean", *QUANTILE_COLUMNS).null_count().row(0) == (3,) * 6
    for row in made.iter_rows(named=True):
        expected = (raws[0][row["symbol"]] + raws[1][row["symbol"]]) / 2
        assert row["score"] == pytest.approx(float(expected), rel=1e-5)


def of_three(head="mean", levels=(), **target):
    """Forecasts of three horizons, and the raw outputs of the one network by symbol."""
    shape = {"head": head, "levels": levels, "horizons": 3}
    scaler = bundle([]).manifest["scaler"] | {"also_scales": [0.03, 0.07]}
    further = {str(h): {q: h * o for q, o in OFFSETS.items()} for h in (1, 20)}
    made = forecast(
        bundle(
            [weights(0, **shape)],
            network={"kind": "recurrent", **SHAPE, "head": head},
            scaler=scaler,
            target={"horizon": 5, "also": [1, 20], **target},
            calibration={"offsets": OFFSETS, "further": further},
        ),
        FRAME,
        CUTOFF,
        CPU,
    )
    network = build_network("recurrent", 3, **SHAPE, **shape)
    network.load_state_dict(weights(0, **shape))
    network.eval()
    raws = {}
    for symbol in "ABE":
        mine = FRAME.filter(pl.col("symbol") == symbol, pl.col("date") <= CUTOFF)
        window = mine.select(names_of(FRAME)).tail(LOOKBACK).to_numpy(writable=True)
        with torch.no_grad():
            raws[symbol] = network(torch.from_numpy(window)[None])[0].double().numpy()
    return made, raws


@pytest.mark.parametrize("scale", ["none", "volatility"])
def test_each_horizon_has_its_own_scale_intervals_and_ranks(scale):
    made, raws = of_three(scale=scale)
    assert made["horizon"].to_list() == [5] * 3 + [1] * 3 + [20] * 3
    volatility = dict(FRAME.filter(pl.col("date") == CUTOFF).select("symbol", "volatility").rows())
    places = {5: (0, SCALE, 1), 1: (1, 0.03, 1), 20: (2, 0.07, 20)}
    for (horizon,), rows in made.group_by("horizon"):
        assert rows["rank"].to_list() == [1, 2, 3]
        assert rows["score"].is_sorted(descending=True)
        place, own_scale, times = places[horizon]
        for row in rows.iter_rows(named=True):
            score, known = own_scale * raws[row["symbol"]][place], volatility[row["symbol"]]
            # A return over volatility comes back by that of its own horizon.
            back = known * math.sqrt(horizon) if scale == "volatility" else 1.0
            wide = 1.0 if scale == "volatility" else known
            assert row["score"] == pytest.approx(score, rel=1e-5)
            assert row["mean"] == pytest.approx(score * back, rel=1e-5)
            for column, offset in OFFSETS.items():
                expected = (score + times * offset * wide) * back
                assert row[column] == pytest.approx(expected, rel=1e-5)


def test_quantiles_and_directions_are_those_of_each_horizon():
    made, raws = of_three("quantiles", QUANTILES)
    for row in made.iter_rows(named=True):
        place, scale = {5: (0, SCALE), 1: (1, 0.03), 20: (2, 0.07)}[row["horizon"]]
        assert row["score"] == pytest.approx(scale * raws[row["symbol"]][place][2], rel=1e-5)
    made, raws = of_three("direction")
    for row in made.iter_rows(named=True):
        logits = raws[row["symbol"]][{5: 0, 1: 1, 20: 2}[row["horizon"]]]
        chances = np.exp(logits) / np.exp(logits).sum()
        assert row["score"] == pytest.approx(chances[2] - chances[0], rel=1e-5)


def test_a_symbol_that_the_fit_has_not_seen_gets_the_vector_of_zeros():
    shape = {"embedding": 4, "n_symbols": 2}
    one = weights(0, **shape)
    network = {"kind": "recurrent", **SHAPE, "embedding": 4}
    known = forecast(bundle([one], network=network, known=["A", "Z"]), FRAME, CUTOFF, CPU).sort(
        "symbol"
    )
    assert torch.equal(one["embedding.weight"][0], torch.zeros(4))
    one["embedding.weight"][1] = 0.0
    other = forecast(bundle([one], network=network, known=["A", "Z"]), FRAME, CUTOFF, CPU).sort(
        "symbol"
    )
    same = [a == b for a, b in zip(known["score"], other["score"], strict=True)]
    assert same == [False, True, True]


SECTORS = {"A": "Banks", "B": "Energy", "E": None}


def told_of_sectors(sectors, one=None, levels=("Banks", "Energy")):
    """The night's scores by symbol, of a network that learned of two sectors."""
    frame = FRAME.with_columns(sector=pl.col("symbol").replace_strict(sectors, default=None))
    network = {"kind": "recurrent", **SHAPE, "covariates": ["sector"]}
    one = one or weights(0, covariates=2)
    levels = json.loads(json.dumps({"sector": levels}))
    made = forecast(bundle([one], network=network, levels=levels), frame, CUTOFF, CPU)
    return dict(made.select("symbol", "score").rows())


def test_a_sector_that_the_fit_has_not_seen_gets_the_vector_of_zeros():
    deaf = weights(0, covariates=2)
    deaf["head.weight"][:, SHAPE["hidden"] :] = 0.0
    zeros = told_of_sectors(SECTORS, deaf)
    for unknown in (None, "Crypto"):
        found = told_of_sectors(SECTORS | {"E": unknown})
        assert found["E"] == zeros["E"]
        assert found["A"] != zeros["A"]
        assert found["B"] != zeros["B"]
    # Words that sort among the levels move no place.
    assert told_of_sectors(SECTORS | {"E": "Cars"}) == told_of_sectors(SECTORS)


def test_the_bundles_levels_decide_which_place_a_sector_has():
    turned = weights(0, covariates=2)
    turned["head.weight"][:, -2:] = turned["head.weight"][:, -2:].flip(1)
    expected = told_of_sectors(SECTORS)
    assert told_of_sectors(SECTORS, turned, ("Energy", "Banks")) == pytest.approx(expected)
    assert told_of_sectors(SECTORS, levels=("Energy", "Banks"))["A"] != expected["A"]


def test_a_bundle_without_covariates_forecasts_as_one_from_before_there_were_any():
    network = {"kind": "recurrent", **SHAPE, "covariates": []}
    sectors = FRAME.with_columns(sector=pl.lit("Banks"))
    assert tonight(frame=sectors, network=network, levels={}).equals(tonight())


def test_a_forecast_says_whether_its_features_look_unlike_those_fitted_on():
    fitted = FRAME.select(names_of(FRAME)).drop_nulls().to_numpy()
    statistics = fit_novelty(fitted).to_dict()
    # As it comes back from a bundle: lists, not tuples.
    statistics = json.loads(json.dumps(statistics))
    odd = (pl.col("symbol") == "B") & (pl.col("date") == CUTOFF)
    frame = FRAME.with_columns(
        pl.when(odd).then(9.0).otherwise(c).cast(pl.Float32).alias(c) for c in names_of(FRAME)
    )
    made = tonight(frame=frame, novelty=statistics)
    assert dict(made.select("symbol", "novel").rows()) == {"A": False, "B": True, "E": False}
    assert made.filter("novel")["distance"][0] > 2
    without = tonight(frame=frame)
    assert without.select("distance", "novel").null_count().row(0) == (3, 3)
    assert without.drop("distance", "novel").equals(made.drop("distance", "novel"))


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
          for c in (*names_of(FRAME), "volatility", "momentum", "reversal")),
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
