from datetime import date
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

from models.baselines import BASELINES
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


def prepared(frame, fold=0):
    """The panel, one fold's rows as a task reads them, and the fold's spans."""
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, EARLIER)
    plan = plan_windows(panel, LOOKBACK, HORIZON, SPLITS, SESSIONS[-1])
    entry = plan.summary["refit"] if fold < 0 else plan.summary["folds"][fold]
    return panel, FoldRows.read(plan.rows, entry), entry["spans"]


def fitted(frame, fold=0, seed=0, epochs=None, training=TRAINING):
    panel, rows, _ = prepared(frame, fold)
    return fit_network(panel, rows, NETWORK, training, seed, LOOKBACK, CPU, epochs=epochs)


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
        target=pl.when(pl.col("label_end") > day).then(nonsense).otherwise("target"),
    )  # fmt: skip


@pytest.mark.parametrize("fold", [0, 1])
def test_replacing_everything_after_the_calibrate_span_leaves_the_weights_bit_identical(fold):
    _, _, spans = prepared(market(), fold)
    end = date.fromisoformat(spans["calibrate"]["end"])
    later = replaced_after(market(), end)
    assert not later.equals(market())
    truth, other = fitted(market(), fold), fitted(later, fold)
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
