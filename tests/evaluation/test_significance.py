import math

import numpy as np
import pytest
from scipy.stats import t as student_t
from statsmodels.tsa.stattools import diebold_mariano_test

from tasks.evaluation.metrics import mean_over_dates
from tasks.evaluation.significance import (
    dependence_length,
    diebold_mariano,
    interval,
    resample_dates,
    smoothed_freedom,
    standard_error,
    t_interval,
    variance_lags,
)


@pytest.mark.parametrize(("horizon", "lags"), [(1, 0), (1, 7), (5, 4), (20, 40)])
@pytest.mark.parametrize("skill", [-0.1, 0.0, 0.1])
def test_diebold_mariano_agrees_with_statsmodels(horizon, lags, skill):
    rng = np.random.default_rng(horizon)
    target = np.convolve(rng.normal(size=300), np.ones(horizon), "valid")
    forecast = skill * target + 0.3 * rng.normal(size=target.size)
    zero = np.zeros(target.size)
    theirs = diebold_mariano_test(
        target, forecast, zero, lags=lags, harvey_adj=True, horizon=horizon
    )
    ours = diebold_mariano((target - forecast) ** 2 - target**2, horizon, lags)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-9)
    # Theirs knows no smoothing: as many lags are certain to it as few.
    assert 2 * min(ours.p_better, ours.p_worse) >= theirs.pvalue
    assert ours.p_better + ours.p_worse == pytest.approx(1.0)


def test_diebold_mariano_by_hand():
    # d = -3 -1 -1 1: mean -1, variance 2; without lags DM = -1 / sqrt(2 / 4) = -sqrt 2, and
    # Harvey's factor for h = 1, T = 4 is sqrt(3 / 4).
    found = diebold_mariano(np.array([-3.0, -1.0, -1.0, 1.0]), horizon=1, lags=0)
    assert found.statistic == pytest.approx(-math.sqrt(1.5))
    # The 5 % point of Kiefer and Vogelsang for one of four dates.
    point = 1.6449 + 2.1859 / 4 + 0.3142 / 16 - 0.3427 / 64
    freedom = smoothed_freedom(1 / 4)
    assert student_t.sf(point, freedom) == pytest.approx(0.05)
    assert found.p_better == pytest.approx(student_t.cdf(-math.sqrt(1.5), freedom))


@pytest.mark.parametrize("bandwidth", [0.02, 0.1, 0.3])
def test_the_reference_distribution_is_that_of_a_mean_over_its_own_bartlett_error(bandwidth):
    worlds, dates = 4000, 500
    lags = round(bandwidth * dates) - 1
    noise = np.random.default_rng(0).normal(size=(worlds, dates))
    centred = noise - noise.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * dates)) ** 2
    covariance = np.fft.irfft(spectrum)[:, : lags + 1] / dates
    weights = 2 * (1 - np.arange(lags + 1) / (lags + 1))
    weights[0] = 1
    ratio = math.sqrt(dates) * noise.mean(axis=1) / np.sqrt(covariance @ weights)
    freedom = smoothed_freedom((lags + 1) / dates)
    p_values = student_t.sf(np.abs(ratio), freedom)
    for level in (0.10, 0.05):
        error = math.sqrt(level / worlds / 2)
        assert abs((p_values < level).mean() / 2 - level) < 2 * error + 0.1 * level
    # Further out it is on the careful side.
    assert (p_values < 0.01).mean() / 2 < 0.01 + 2 * math.sqrt(0.01 / worlds / 2)


def test_few_lags_leave_students_t():
    assert student_t.ppf(0.95, smoothed_freedom(1e-4)) == pytest.approx(1.6451, abs=1e-4)


def test_smaller_errors_give_a_small_p_better():
    found = diebold_mariano(np.random.default_rng(0).normal(-1, 1, 100), horizon=1, lags=5)
    assert found.statistic < 0
    assert found.p_better < 1e-6


def test_equal_losses_leave_nothing_to_test():
    found = diebold_mariano(np.zeros(50), horizon=1, lags=4)
    assert math.isnan(found.statistic)
    assert math.isnan(found.p_better)
    assert math.isnan(found.p_worse)


@pytest.mark.parametrize("horizon", [1, 2, 5, 20, 60])
@pytest.mark.parametrize("dates", [121, 250, 3000])
def test_lags_and_blocks_reach_over_the_overlap_of_labels(dates, horizon):
    assert horizon <= dependence_length(dates, horizon) < dates
    assert horizon <= variance_lags(dates, horizon) < dates


def test_resamples_are_reproducible_from_their_seed():
    first, again, other = (resample_dates(100, 5, 50, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first[1:] != other[1:]).any()


def test_every_resample_counts_as_many_dates_as_there_are():
    weights = resample_dates(90, 2, 200, seed=0)
    assert weights.shape == (201, 90)
    np.testing.assert_array_equal(weights[0], np.ones(90))
    np.testing.assert_array_equal(weights.sum(axis=1), np.full(201, 90))


def test_blocks_see_that_overlapping_labels_say_less():
    series = np.convolve(np.random.default_rng(0).normal(size=1000), np.ones(20), "valid")
    error = standard_error(mean_over_dates(series, resample_dates(series.size, 20, 400, 0)))
    # The mean of 1,000 sums of 20 has a standard error of 20 / sqrt(1000), not of sqrt(20 / 1000).
    assert 0.7 < error / (20 / math.sqrt(1000)) < 1.1


def test_interval_of_the_mean_holds_the_mean_of_independent_draws_nine_times_of_ten():
    hits = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=120)
        found = interval(mean_over_dates(values, resample_dates(120, 1, 200, seed)), 0.90)
        hits += found.low <= 0.0 <= found.high
    assert hits / 200 >= 0.90 - 2 * math.sqrt(0.9 * 0.1 / 200)


def test_interval_by_hand():
    # The sample itself is the value; the 5 % and 95 % points of 0..100 are 5 and 95.
    found = interval(np.concatenate([[42.0], np.arange(101.0)]), 0.90)
    assert (found.value, found.low, found.high) == (42.0, pytest.approx(5), pytest.approx(95))


def test_t_interval_by_hand():
    # Blocks of a fortieth of the dates weigh like Bartlett's kernel over three of them.
    draws = np.array([42.0, 1.0, 3.0, 5.0])
    reach = (1.6449 + 2.1859 * 0.075 + 0.3142 * 0.075**2 - 0.3427 * 0.075**3) * 2.0
    found = t_interval(draws, 1 / 40, 0.90)
    assert (found.value, found.low) == (42.0, pytest.approx(42 - reach))
    assert found.high == pytest.approx(42 + reach)
    # From a third of the dates on there is no more to be unsure of.
    assert t_interval(draws, 1 / 3, 0.90) == t_interval(draws, 2.0, 0.90)


@pytest.mark.parametrize("found", [
    interval(np.array([np.nan, 1.0, 2.0]), 0.9), t_interval(np.array([np.nan, 1.0, 2.0]), 0.1, 0.9)
])  # fmt: skip
def test_an_undefined_value_has_no_interval(found):
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
