from datetime import date
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

from models.baselines import BASELINES
from models.errors import DataError
from tasks.lake.panel import panel_arrays
from tasks.lake.tables import QUANTILE_COLUMNS
from tasks.training.baseline_spec import BaselineSpec
from tasks.training.folds import fit_baselines, fit_network, refit_epochs
from tasks.training.inputs import FoldRows
from tasks.training.network_spec import RecurrentSpec
from tasks.training.spec import TrainingSpec
from tasks.windows.plan import plan_windows
from tasks.windows.spec import SplitSpec
from tests.lake.frames import feature_frame, names_of, weekdays

LOOKBACK, HORIZON, EARLIER = 4, 2, 1
SESSIONS = weekdays(110)
SPLITS = SplitSpec(folds=2, fit=40, stop=15, calibrate=15, test=15)
NETWORK = RecurrentSpec(hidden=4, dropout=0.1)
TRAINING = TrainingSpec(epochs=3, batch_size=32, learning_rate=0.01, seeds=(0,))
CPU = torch.device("cpu")
SPANS = {"A": (0, 109), "B": (0, 109), "C": (30, 109)}


@cache
def market():
    return feature_frame(SPANS, SESSIONS, horizon=HORIZON, missing=0.02, masked=0.02)


@cache
def market_of_three():
    """The same market with two further horizons, one of which lacks some labels."""
    other = pl.when(pl.int_range(pl.len()) % 7 > 0).then(30 * pl.col("target") + 1e-3)
    return market().with_columns(target_1=-pl.col("target"), target_9=other)


def prepared(frame, fold=0):
    """The panel, one fold's rows as a task reads them, and the fold's spans."""
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, EARLIER)
    plan = plan_windows(panel, LOOKBACK, HORIZON, SPLITS, SESSIONS[-1])
    entry = plan.summary["refit"] if fold < 0 else plan.summary["folds"][fold]
    return panel, FoldRows.read(plan.rows, entry), entry["spans"]


def fitted(frame, fold=0, seed=0, epochs=None, training=TRAINING, network=NETWORK):
    panel, rows, _ = prepared(frame, fold)
    return fit_network(panel, rows, network, training, seed, LOOKBACK, CPU, epochs=epochs)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_forecasts_are_made_on_calibrate_and_test_rows_and_on_no_others():
    panel, rows, _ = prepared(market())
    fit = fitted(market())
    assert set(fit.forecasts["span"]) == {"calibrate", "test"}
    for span in ("calibrate", "test"):
        made = fit.forecasts.filter(pl.col("span") == span)
        assert made["row"].to_list() == rows.spans[span].tolist()
    assert np.isfinite(fit.forecasts["mean"].to_numpy()).all()
    assert fit.curve["epoch"].to_list() == list(range(1, fit.curve.height + 1))
    assert fit.curve["windows"].to_list() == [len(rows.spans["fit"])] * fit.curve.height
    assert 1 <= fit.best_epoch <= TRAINING.epochs
    assert len(panel.features) > fit.forecasts.height


def test_forecasts_are_log_returns_not_multiples_of_the_targets_scale():
    # The same labels in other units: targets × 10 leave the fit as it is and scale forecasts.
    louder = market().with_columns(pl.col("target") * 8)
    quiet, loud = fitted(market()), fitted(louder)
    assert same(quiet.weights, loud.weights)
    np.testing.assert_allclose(loud.forecasts["mean"], 8 * quiet.forecasts["mean"], rtol=1e-12)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first = fitted(market())
    again, other = fitted(market()), fitted(market(), seed=1)
    assert same(first.weights, again.weights)
    assert first.forecasts.equals(again.forecasts)
    assert not same(first.weights, other.weights)


def replaced_after(frame, day):
    """The frame with every value dated later, and every label known later, replaced."""
    later = pl.col("date") > day
    draw = np.random.default_rng(9)
    nonsense = pl.Series(draw.normal(0, 50, frame.height))
    columns = [*names_of(frame), "volatility", "momentum", "reversal"]
    return frame.with_columns(
        *(pl.when(later & pl.col(c).is_not_null()).then(nonsense.abs()).otherwise(c)
          .cast(frame.schema[c]).alias(c) for c in columns),
        *(pl.when(pl.col("label_end") > day).then(nonsense * 2**n).otherwise(c).alias(c)
          for n, c in enumerate(c for c in frame.columns if c.startswith("target"))),
    )  # fmt: skip


def test_each_horizon_is_forecast_on_the_same_rows_in_the_unit_of_its_own_label():
    fit = fitted(market_of_three())
    assert list(fit.further) == [1, 9]
    assert list(fit.tables) == ["forecasts", "forecasts_1", "forecasts_9"]
    assert fit.weights["head.weight"].shape[0] == 3
    for made in fit.further.values():
        assert made.select("span", "row").equals(fit.forecasts.select("span", "row"))
    # Each label is divided by its own scale, so that other units scale its forecasts alone.
    louder = market_of_three().with_columns(pl.col("target_9") * 8)
    loud = fitted(louder)
    assert same(fit.weights, loud.weights)
    assert loud.forecasts.equals(fit.forecasts)
    assert loud.further[1].equals(fit.further[1])
    np.testing.assert_allclose(loud.further[9]["mean"], 8 * fit.further[9]["mean"], rtol=1e-12)


def test_without_further_horizons_there_is_one_table():
    fit = fitted(market())
    assert (fit.further, list(fit.tables)) == ({}, ["forecasts"])


@pytest.mark.parametrize("world", [market, market_of_three])
@pytest.mark.parametrize("fold", [0, 1])
def test_replacing_everything_after_the_calibrate_span_leaves_the_weights_bit_identical(
    fold, world
):
    _, _, spans = prepared(world(), fold)
    end = date.fromisoformat(spans["calibrate"]["end"])
    later = replaced_after(world(), end)
    assert not later.equals(world())
    truth, other = fitted(world(), fold), fitted(later, fold)
    assert same(truth.weights, other.weights)
    assert (truth.best_epoch, truth.curve.equals(other.curve)) == (other.best_epoch, True)
    calibrated, tested = (
        [f.forecasts.filter(pl.col("span") == span)["mean"] for f in (truth, other)]
        for span in ("calibrate", "test")
    )
    assert calibrated[0].equals(calibrated[1])
    assert not tested[0].equals(tested[1])


@pytest.mark.parametrize("span", ["fit", "stop"])
def test_replacing_what_a_fit_may_see_changes_it(span):
    # The proof that the test above can fail: there the curve, here the curve, must tell.
    _, _, spans = prepared(market())
    other = fitted(replaced_after(market(), date.fromisoformat(spans[span]["start"])))
    assert not fitted(market()).curve.equals(other.curve)


def test_the_refit_runs_its_epochs_and_looks_at_no_stop_span():
    training = TRAINING.model_copy(update={"patience": 1})
    fit = fitted(market(), fold=-1, epochs=5, training=training)
    assert fit.curve["epoch"].to_list() == [1, 2, 3, 4, 5]
    assert fit.curve["stop_loss"].is_null().all()
    assert fit.best_epoch == 5
    assert fit.forecasts.is_empty()
    assert fit.forecasts.columns == ["span", "row", "score", "mean", *QUANTILE_COLUMNS]


@pytest.mark.parametrize(
    ("best", "expected"),
    [([1], 1), ([3, 9, 4], 4), ([2, 3], 3), ([4, 4, 5, 5], 5), ([0, 0, 1], 1), ([1, 2, 8, 9], 5)],
)
def test_the_refit_takes_the_median_epoch_with_halves_rounded_up(best, expected):
    assert refit_epochs(best) == expected


def test_each_baseline_forecasts_each_row_out_of_fit_once():
    panel, rows, _ = prepared(market())
    made = fit_baselines(panel, rows, BaselineSpec())
    assert set(made["model"]) == set(BASELINES)
    for (_, span), group in made.group_by("model", "span"):
        assert group["row"].to_list() == rows.spans[span].tolist()
    assert set(made["span"]) == {"calibrate", "test"}


def test_baselines_are_those_of_their_definitions_on_the_fit_rows():
    panel, rows, _ = prepared(market())
    made = fit_baselines(panel, rows, BaselineSpec())
    fit, test = rows.spans["fit"], rows.spans["test"]
    target, momentum = panel.target, np.nan_to_num(panel.momentum)
    own = [target[[r for r in fit if panel.symbol[r] == panel.symbol[t]]].mean() for t in test]
    slope = (momentum[fit] * target[fit]).sum() / (momentum[fit] ** 2).sum()
    expected = {
        "zero": 0 * target[test],
        "historical_mean": own,
        "momentum": slope * momentum[test],
    }
    for name, values in expected.items():
        found = made.filter((pl.col("model") == name) & (pl.col("span") == "test"))["mean"]
        np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-15)


def test_baselines_see_nothing_after_the_fit_span():
    panel, rows, spans = prepared(market())
    later = replaced_after(market(), date.fromisoformat(spans["calibrate"]["end"]))
    made = [fit_baselines(p, rows, BaselineSpec()) for p in (panel, prepared(later)[0])]
    calibrated = [m.filter(pl.col("span") == "calibrate") for m in made]
    assert calibrated[0].equals(calibrated[1])


TOLD = NETWORK.model_copy(update={"covariates": ("sector", "exchange")})


def with_sectors(frame, later=None, after=None):
    """The frame with A in steel, B in banks, C nowhere; B in `later` on the days behind `after`."""
    before = pl.col("symbol").replace_strict({"A": "steel", "B": "banks"}, default=None)
    moved = (pl.col("symbol") == "B") & (pl.col("date") > (after or SESSIONS[-1]))
    return frame.with_columns(sector=pl.when(moved).then(pl.lit(later)).otherwise(before))


def test_a_network_is_told_the_words_of_its_fit_rows():
    fit = fitted(with_sectors(market()), network=TOLD)
    assert fit.levels == {"sector": ("banks", "steel"), "exchange": ("XNYS",)}
    assert fit.weights["head.weight"].shape == (1, 4 + 3)
    assert fitted(with_sectors(market())).levels == {}


def test_what_a_network_is_not_told_of_changes_nothing_by_a_bit():
    told, plain = fitted(with_sectors(market())), fitted(market())
    assert same(told.weights, plain.weights)
    assert told.forecasts.equals(plain.forecasts)


@pytest.mark.parametrize("supervision", ["last", "dense"])
def test_a_sector_that_comes_after_the_fit_is_a_vector_of_zeros(supervision):
    training = TRAINING.model_copy(update={"supervision": supervision, "chunk": 8})
    panel, _, spans = prepared(market())
    end = date.fromisoformat(spans["calibrate"]["end"])
    truth, later, nowhere = (
        fitted(with_sectors(market(), word, end), network=TOLD, training=training)
        for word in ("banks", "crypto", None)
    )
    for other in (later, nowhere):
        assert other.levels == truth.levels
        assert same(other.weights, truth.weights)
        assert other.curve.equals(truth.curve)
    assert later.forecasts.equals(nowhere.forecasts)
    moved = truth.forecasts.filter(truth.forecasts["mean"] != later.forecasts["mean"])
    assert set(moved["span"]) == {"test"}
    assert {panel.symbols[panel.symbol[row]] for row in moved["row"]} == {"B"}


@pytest.mark.parametrize("supervision", ["last", "dense"])
def test_a_sector_that_changes_within_the_fit_is_seen_from_its_day_on(supervision):
    training = TRAINING.model_copy(update={"supervision": supervision, "chunk": 8})
    panel, rows, _ = prepared(market())
    own = [row for row in rows.spans["fit"] if panel.symbols[panel.symbol[row]] == "B"]
    # Of the fit's labels the last of B alone is told of the new sector.
    day = panel.dates[own[-2]].item()
    truth, other = (
        fitted(with_sectors(market(), "steel", day), network=TOLD, training=training, epochs=1),
        fitted(with_sectors(market()), network=TOLD, training=training, epochs=1),
    )
    assert truth.levels == other.levels
    assert not same(truth.weights, other.weights)


def test_a_sector_that_nobody_has_is_refused():
    with pytest.raises(DataError, match=r"no sector is known of any of the \d symbols"):
        fitted(market(), network=TOLD)
