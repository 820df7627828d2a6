import math

import numpy as np
import pytest
from statsmodels.tsa.stattools import diebold_mariano_test

from tasks.evaluation.metrics import mean_over_dates
from tasks.evaluation.significance import (
    dependence_length,
    diebold_mariano,
    interval,
    resample_dates,
    standard_error,
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
    assert 2 * min(ours.p_better, ours.p_worse) == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.p_better + ours.p_worse == pytest.approx(1.0)


def test_diebold_mariano_by_hand():
    # d = -3 -1 -1 1: mean -1, variance 2; without lags DM = -1 / sqrt(2 / 4) = -sqrt 2, and
    # Harvey's factor for h = 1, T = 4 is sqrt(3 / 4).
    found = diebold_mariano(np.array([-3.0, -1.0, -1.0, 1.0]), horizon=1, lags=0)
    assert found.statistic == pytest.approx(-math.sqrt(1.5))
    # Student's t with 3 degrees of freedom, distribution function in closed form.
    t = math.sqrt(1.5)
    tail = 0.5 - (math.atan(t / math.sqrt(3)) + t / math.sqrt(3) / (1 + t * t / 3)) / math.pi
    assert found.p_better == pytest.approx(tail)


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


def test_an_undefined_value_has_no_interval():
    found = interval(np.array([np.nan, 1.0, 2.0]), 0.9)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
