import numpy as np
import pytest

from models.baselines import BASELINES, BaselineRows, fit_baseline
from models.errors import ModelError, UsageError


def rows(n=40, seed=0):
    random = np.random.default_rng(seed)
    return BaselineRows(
        symbols=random.choice(np.array(["AAA", "BBB", "CCC"]), n),
        momentum=np.where(random.random(n) < 0.2, np.nan, random.standard_normal(n)),
        features=random.standard_normal((n, 3)).astype(np.float32),
    )


def part(whole, places):
    return BaselineRows(whole.symbols[places], whole.momentum[places], whole.features[places])


def small(symbols, momentum):
    return BaselineRows(np.array(symbols), np.array(momentum), np.zeros((len(symbols), 1)))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_keeps_the_contract(name):
    fitted_on, asked = rows(), rows(25, seed=1)
    targets = np.random.default_rng(2).standard_normal(40)
    forecast = fit_baseline(name, fitted_on, targets, alpha=1.0)
    whole = forecast(asked)
    assert whole.shape == (25,)
    assert whole.dtype == np.float64
    assert np.isfinite(whole).all()
    order = np.random.default_rng(3).permutation(25)
    np.testing.assert_allclose(forecast(part(asked, order)), whole[order], rtol=1e-12)
    assert forecast(part(asked, order[:0])).shape == (0,)
    constant = fit_baseline(name, fitted_on, np.full(40, 0.3), alpha=1.0)(asked)
    assert np.isfinite(constant).all()


def test_zero_is_zero():
    assert fit_baseline("zero", rows(), np.ones(40), 1.0)(rows(5)).tolist() == [0.0] * 5


def test_historical_mean_is_the_symbols_own_and_pooled_for_a_new_symbol():
    fitted_on = small(["B", "A", "B", "D"], [0.0] * 4)
    forecast = fit_baseline("historical_mean", fitted_on, np.array([1.0, 4.0, 2.0, 9.0]), 1.0)
    asked = small(["A", "B", "D", "C", "Z", ""], [0.0] * 6)
    assert forecast(asked).tolist() == [4.0, 1.5, 9.0, 4.0, 4.0, 4.0]


def test_momentum_is_least_squares_without_intercept_and_nan_counts_as_0():
    fitted_on = small(["A"] * 4, [1.0, 2.0, np.nan, -1.0])
    forecast = fit_baseline("momentum", fitted_on, np.array([0.5, 1.0, 100.0, 1.0]), 1.0)
    # (1 × 0.5 + 2 × 1.0 − 1 × 1.0) / (1 + 4 + 1) = 0.25
    assert forecast(small(["A"] * 3, [2.0, np.nan, -4.0])).tolist() == [0.5, 0.0, -1.0]


def test_momentum_without_any_history_forecasts_0():
    forecast = fit_baseline("momentum", small(["A"] * 2, [np.nan] * 2), np.array([1.0, 2.0]), 1.0)
    assert forecast(small(["A"], [3.0])).tolist() == [0.0]


def test_ridge_solves_the_normal_equations():
    fitted_on, asked = rows(), rows(6, seed=1)
    targets = np.random.default_rng(2).standard_normal(40)
    x, alpha = fitted_on.features.astype(float), 2.5
    centred = x - x.mean(axis=0)
    slopes = np.linalg.solve(
        centred.T @ centred + alpha * np.eye(3), centred.T @ (targets - targets.mean())
    )
    by_hand = targets.mean() + (asked.features - x.mean(axis=0)) @ slopes
    forecast = fit_baseline("ridge", fitted_on, targets, alpha)
    np.testing.assert_allclose(forecast(asked), by_hand, rtol=1e-10)


def test_broken_rows_are_refused():
    with pytest.raises(UsageError, match="Did you mean 'momentum'"):
        fit_baseline("momentun", rows(), np.ones(40), 1.0)
    with pytest.raises(ModelError, match="baseline zero got 0 fit rows"):
        fit_baseline("zero", rows(0), np.empty(0), 1.0)
    with pytest.raises(ModelError, match="got 40 fit rows, 1 of them without a finite target"):
        fit_baseline("zero", rows(), np.append(np.ones(39), np.nan), 1.0)
    broken = rows()
    broken.features[3, 1] = np.nan
    with pytest.raises(ModelError, match="1 of 40 rows have a feature that is NaN"):
        fit_baseline("ridge", broken, np.ones(40), 1.0)
