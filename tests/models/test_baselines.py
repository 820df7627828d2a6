from dataclasses import fields, replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from models.baselines import BASELINES, BaselineRows, BaselineSettings, fit_baseline
from models.errors import ModelError, UsageError

SETTINGS = BaselineSettings(
    ridge_alpha=1.0,
    boosting_rounds=20,
    boosting_learning_rate=0.1,
    boosting_leaves=4,
    boosting_leaf_rows=5,
)


def rows(n=40, seed=0):
    random = np.random.default_rng(seed)
    return BaselineRows(
        symbols=random.choice(np.array(["AAA", "BBB", "CCC"]), n),
        momentum=np.where(random.random(n) < 0.2, np.nan, random.standard_normal(n)),
        reversal=np.where(random.random(n) < 0.1, np.nan, random.standard_normal(n)),
        features=random.standard_normal((n, 3)).astype(np.float32),
    )


def part(whole, places):
    return BaselineRows(*(getattr(whole, field.name)[places] for field in fields(whole)))


def small(symbols, returns):
    """Rows whose momentum and reversal are the same numbers."""
    seen = np.array(returns)
    return BaselineRows(np.array(symbols), seen, seen, np.zeros((len(symbols), 1)))


def with_features(features):
    count = len(features)
    return BaselineRows(np.full(count, "A"), np.zeros(count), np.zeros(count), features)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_keeps_the_contract(name):
    fitted_on, asked = rows(), rows(25, seed=1)
    targets = np.random.default_rng(2).standard_normal(40)
    forecast = fit_baseline(name, fitted_on, targets, SETTINGS)
    whole = forecast(asked)
    assert whole.shape == (25,)
    assert whole.dtype == np.float64
    assert np.isfinite(whole).all()
    order = np.random.default_rng(3).permutation(25)
    np.testing.assert_allclose(forecast(part(asked, order)), whole[order], rtol=1e-12)
    assert forecast(part(asked, order[:0])).shape == (0,)
    constant = fit_baseline(name, fitted_on, np.full(40, 0.3), SETTINGS)(asked)
    assert np.isfinite(constant).all()


def test_zero_is_zero():
    assert fit_baseline("zero", rows(), np.ones(40), SETTINGS)(rows(5)).tolist() == [0.0] * 5


def test_historical_mean_is_the_symbols_own_and_pooled_for_a_new_symbol():
    fitted_on = small(["B", "A", "B", "D"], [0.0] * 4)
    forecast = fit_baseline("historical_mean", fitted_on, np.array([1.0, 4.0, 2.0, 9.0]), SETTINGS)
    asked = small(["A", "B", "D", "C", "Z", ""], [0.0] * 6)
    assert forecast(asked).tolist() == [4.0, 1.5, 9.0, 4.0, 4.0, 4.0]


@pytest.mark.parametrize("name", ["momentum", "reversal"])
def test_a_slope_is_least_squares_without_intercept_and_nan_counts_as_0(name):
    fitted_on = small(["A"] * 4, [1.0, 2.0, np.nan, -1.0])
    forecast = fit_baseline(name, fitted_on, np.array([0.5, 1.0, 100.0, 1.0]), SETTINGS)
    # (1 × 0.5 + 2 × 1.0 − 1 × 1.0) / (1 + 4 + 1) = 0.25
    assert forecast(small(["A"] * 3, [2.0, np.nan, -4.0])).tolist() == [0.5, 0.0, -1.0]


@pytest.mark.parametrize("name", ["momentum", "reversal"])
def test_a_slope_without_any_history_is_0(name):
    fitted_on = small(["A"] * 2, [np.nan] * 2)
    forecast = fit_baseline(name, fitted_on, np.array([1.0, 2.0]), SETTINGS)
    assert forecast(small(["A"], [3.0])).tolist() == [0.0]


@pytest.mark.parametrize("name", ["momentum", "reversal"])
def test_each_slope_is_that_of_its_own_return(name):
    asked, targets = rows(25, seed=1), np.random.default_rng(2).standard_normal(40)
    forecast = fit_baseline(name, rows(), targets, SETTINGS)
    for other in ("momentum", "reversal"):
        moved = forecast(replace(asked, **{other: 2 * getattr(asked, other)}))
        assert np.array_equal(moved, (1 + (name == other)) * forecast(asked))


def test_ridge_solves_the_normal_equations():
    fitted_on, asked = rows(), rows(6, seed=1)
    targets = np.random.default_rng(2).standard_normal(40)
    x, alpha = fitted_on.features.astype(float), 2.5
    centred = x - x.mean(axis=0)
    slopes = np.linalg.solve(
        centred.T @ centred + alpha * np.eye(3), centred.T @ (targets - targets.mean())
    )
    by_hand = targets.mean() + (asked.features - x.mean(axis=0)) @ slopes
    forecast = fit_baseline("ridge", fitted_on, targets, replace(SETTINGS, ridge_alpha=alpha))
    np.testing.assert_allclose(forecast(asked), by_hand, rtol=1e-10)


def test_gradient_boosting_closes_on_the_means_of_both_sides_of_a_step():
    # Of two leaves each, every tree takes the same share of what is left of either side.
    x = np.linspace(-1, 1, 40)[:, None]
    step = np.where(x[:, 0] < 0, -3.0, 1.0)
    stumps = replace(SETTINGS, boosting_leaves=2, boosting_rounds=7, boosting_learning_rate=0.3)
    forecast = fit_baseline("gradient_boosting", with_features(x), step, stumps)
    left = (1 - 0.3) ** 7
    asked = with_features(np.array([[-0.9], [-0.1], [0.1], [9.0]]))
    by_hand = -1 + np.array([-2, -2, 2, 2]) * (1 - left)
    np.testing.assert_allclose(forecast(asked), by_hand, rtol=1e-6)


def test_gradient_boosting_puts_as_many_rows_in_a_leaf_as_asked_for():
    x = np.linspace(-1, 1, 40)[:, None]
    targets = np.where(x[:, 0] < -0.5, 5.0, 0.0)
    wide = replace(SETTINGS, boosting_leaf_rows=21)
    forecast = fit_baseline("gradient_boosting", with_features(x), targets, wide)
    np.testing.assert_allclose(forecast(with_features(x)), targets.mean(), rtol=1e-12)


def test_gradient_boosting_has_the_same_bits_on_one_thread_and_on_two():
    fitted_on, asked = rows(2000), rows(500, seed=1)
    targets = fitted_on.features[:, 0] + np.random.default_rng(2).standard_normal(2000)
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            made.append(fit_baseline("gradient_boosting", fitted_on, targets, SETTINGS)(asked))
    assert np.array_equal(*made)
    assert np.unique(made[0]).size > 4


def test_broken_rows_are_refused():
    with pytest.raises(UsageError, match="Did you mean 'momentum'"):
        fit_baseline("momentun", rows(), np.ones(40), SETTINGS)
    with pytest.raises(ModelError, match="baseline zero got 0 fit rows"):
        fit_baseline("zero", rows(0), np.empty(0), SETTINGS)
    with pytest.raises(ModelError, match="got 40 fit rows, 1 of them without a finite target"):
        fit_baseline("zero", rows(), np.append(np.ones(39), np.nan), SETTINGS)
    with pytest.raises(ModelError, match=r"shape \(40, 2\) for 40 rows; .* each horizon by itself"):
        fit_baseline("zero", rows(), np.ones((40, 2)), SETTINGS)
    broken = rows()
    broken.features[3, 1] = np.nan
    for name in ("ridge", "gradient_boosting"):
        with pytest.raises(ModelError, match="1 of 40 rows have a feature that is NaN"):
            fit_baseline(name, broken, np.ones(40), SETTINGS)
