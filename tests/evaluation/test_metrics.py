import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from tasks.evaluation.metrics import (
    covered,
    date_mean,
    directional_hits,
    ic_per_date,
    mean_over_dates,
    pinball,
    ranks,
    ratio_over_dates,
    ts_ic_over_dates,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 25)), rng.normal(size=(40, 25))
    gone = rng.random((40, 25)) < 0.1
    return np.where(gone, np.nan, np.round(x, 1)), np.where(gone, np.nan, y)


def test_ic_per_date_is_pearson_of_scipy(pair):
    x, y = pair
    expected = [
        pearsonr(a[np.isfinite(a)], b[np.isfinite(a)]).statistic for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ic_per_date(x, y), expected, rtol=1e-12)


def test_rank_ic_per_date_is_spearman_of_scipy_with_ties(pair):
    x, y = pair
    expected = [
        spearmanr(a[np.isfinite(a)], b[np.isfinite(a)]).statistic for a, b in zip(x, y, strict=True)
    ]
    found = ic_per_date(ranks(x, axis=1), ranks(y, axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_ic_does_not_depend_on_the_scale_of_the_forecast(pair):
    x, y = pair
    np.testing.assert_allclose(ic_per_date(x * 1e-170, y), ic_per_date(x, y), rtol=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3])
def test_a_constant_forecast_has_no_ic(constant):
    y = np.random.default_rng(1).normal(size=(5, 7))
    x = np.full((5, 7), constant)
    assert np.isnan(ic_per_date(x, y)).all()
    assert np.isnan(ts_ic_over_dates(x, y, np.ones((1, 5)))).all()


def test_two_names_have_no_ic():
    assert np.isnan(ic_per_date(np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]]))).all()


def test_ts_ic_by_hand():
    # Symbol 0: x 1 2 3, y 1 3 2: covariance 1/3, variances 2/3 each, correlation 1/2.
    # Symbol 1: y falls as x rises: correlation -1. Symbol 2 does not move and is left out.
    # On four dates symbol 1 weighs 4 of 7.
    x = np.array([[1.0, 0.0, 5.0], [2.0, 1.0, 5.0], [3.0, 2.0, 5.0]])
    y = np.array([[1.0, 4.0, 1.0], [3.0, 3.0, 2.0], [2.0, 2.0, 4.0]])
    assert ts_ic_over_dates(x, y, np.ones((1, 3)))[0] == pytest.approx((0.5 - 1.0) / 2, abs=1e-12)
    x, y = np.vstack([x, [np.nan, 3.0, 5.0]]), np.vstack([y, [np.nan, 1.0, 3.0]])
    found = ts_ic_over_dates(x, y, np.ones((1, 4)))[0]
    assert found == pytest.approx((3 * 0.5 - 4 * 1.0) / 7, abs=1e-12)


def test_a_symbol_of_few_dates_hardly_moves_the_ts_ic():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 5)), rng.normal(size=(1000, 5))
    x[:951, 4] = np.nan
    once = np.ones((1, 1000))
    before = ts_ic_over_dates(x, y, once)[0]
    # The one symbol becomes an oracle on its 49 of 4,049 rows.
    x[951:, 4] = y[951:, 4]
    assert 0 < ts_ic_over_dates(x, y, once)[0] - before < 1.5 * 49 / 4049


def test_ts_ic_under_weights_is_that_of_the_repeated_dates(pair):
    x, y = pair
    times = np.random.default_rng(2).integers(0, 3, x.shape[0])
    rows = np.repeat(np.arange(x.shape[0]), times)
    each, dates = [], []
    for name in range(x.shape[1]):
        a, b = x[rows, name], y[rows, name]
        each.append(pearsonr(a[np.isfinite(a)], b[np.isfinite(a)]).statistic)
        dates.append(np.isfinite(a).sum())
    found = ts_ic_over_dates(x, y, times[None, :].astype(float))
    assert found[0] == pytest.approx(np.average(each, weights=dates), abs=1e-12)


def test_a_symbol_that_stands_still_on_the_weighted_dates_is_left_out():
    # A hundred symbols stand still for 60 dates and then move; the last one always rises.
    rng = np.random.default_rng(0)
    x = np.vstack([np.repeat(rng.normal(size=(1, 101)), 60, axis=0), rng.normal(size=(5, 101))])
    y = rng.normal(size=(65, 101))
    x[:, 100] = y[:, 100] = np.arange(65)
    weights = np.array([[1.0] * 60 + [0.0] * 5])
    assert ts_ic_over_dates(x, y, weights)[0] == pytest.approx(1.0)


def test_ratio_is_that_of_means_not_the_mean_of_ratios():
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    found = ratio_over_dates(np.array([1.0, 9.0]), np.array([2.0, 3.0]), weights)
    np.testing.assert_allclose(found, [10 / 5, 1 / 2])


def test_means_skip_what_is_missing():
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 5.0]])
    by_date = date_mean(values)
    np.testing.assert_array_equal(by_date, [1.0, np.nan, 4.0])
    assert mean_over_dates(by_date, np.array([[1.0, 1.0, 3.0]]))[0] == pytest.approx(13 / 4)


def test_directional_hits_by_hand():
    mean = np.array([[1.0, -1.0, 0.0, 2.0, 1.0]])
    target = np.array([[3.0, 2.0, 1.0, 0.0, np.nan]])
    np.testing.assert_array_equal(
        directional_hits(mean, target), [[1.0, 0.0, np.nan, np.nan, np.nan]]
    )


def test_covered_includes_the_bounds():
    target = np.array([1.0, 2.0, 3.1, np.nan])
    found = covered(target, np.full(4, 1.0), np.full(4, 3.0))
    np.testing.assert_array_equal(found, [1.0, 1.0, 0.0, np.nan])


def test_pinball_by_hand():
    # One unit above the 5 % quantile costs 0.05, one below costs 0.95.
    found = pinball(np.array([1.0, -1.0]), np.zeros(2), 0.05)
    np.testing.assert_allclose(found, [0.05, 0.95])
