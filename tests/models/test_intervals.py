import numpy as np
import pytest

from models.errors import ModelError
from models.intervals import VOLATILITY_FLOOR, apply, conformal_offsets

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def test_offsets_are_the_order_statistics_of_the_finite_sample_ranks():
    random = np.random.default_rng(0)
    volatility = random.uniform(0.01, 0.05, 30)
    scores = random.permutation(np.arange(1.0, 31.0))  # the score of rank k is k
    # 31 × (.05, .25, .5, .75, .95) = 1.55, 7.75, 15.5, 23.25, 29.45
    offsets = conformal_offsets(scores * volatility, volatility, LEVELS)
    np.testing.assert_allclose(offsets, [1, 7, 15.5, 24, 30])


def test_a_rank_that_is_a_whole_number_is_not_lifted_by_rounding():
    for n in range(19, 400, 20):
        scores = np.arange(1.0, n + 1)
        low, high = conformal_offsets(scores, np.ones(n), (0.05, 0.95))
        assert (low, high) == ((n + 1) // 20, n + 1 - (n + 1) // 20)
    # As floats 0.29 × 100 lies below 29, and 0.55 × 100 above 55.
    assert conformal_offsets(np.arange(1.0, 100), np.ones(99), (0.29, 0.55)).tolist() == [29, 55]


@pytest.mark.parametrize("n", [19, 50, 200])
def test_the_interval_covers_its_level_on_simulated_data(n):
    # Skewed, fat-tailed errors whose size follows a known volatility; 2,000 draws of seed n.
    random, covered = np.random.default_rng(n), 0
    for _ in range(2000):
        volatility = random.uniform(0.005, 0.05, n + 1)
        errors = (random.standard_t(4, n + 1) + random.exponential(1, n + 1)) * volatility
        offsets = conformal_offsets(errors[:n], volatility[:n], (0.05, 0.95))
        low, high = apply(np.zeros(1), volatility[n:], offsets)[0]
        covered += low <= errors[n] <= high
    nominal, slack = 0.9, 2 * np.sqrt(0.9 * 0.1 / 2000)
    assert nominal - slack <= covered / 2000 <= nominal + 2 / (n + 1) + slack


def test_quantiles_are_mean_plus_volatility_times_offset_and_ordered():
    quantiles = apply(np.array([0.1, 0.2]), np.array([0.5, 2.0]), np.array([-1.0, 0.0, 3.0]))
    np.testing.assert_allclose(quantiles, [[-0.4, 0.1, 1.6], [-1.8, 0.2, 6.2]])
    assert (np.diff(quantiles, axis=1) > 0).all()


def test_a_symbol_that_does_not_move_gets_the_floor():
    offsets = conformal_offsets(np.zeros(19), np.zeros(19), LEVELS)
    assert offsets.tolist() == [0.0] * 5
    assert apply(np.zeros(1), np.zeros(1), np.array([2.0]))[0, 0] == 2 * VOLATILITY_FLOOR


@pytest.mark.parametrize(
    ("residuals", "volatility", "message"),
    [
        (np.zeros(18), np.ones(18), "18 residuals are too few for the level 0.05; .* 19 rows"),
        (np.zeros(0), np.ones(0), "0 residuals are too few"),
        (np.full(30, np.nan), np.ones(30), "30 of 30 residuals are NaN"),
        (np.zeros(30), np.full(30, np.nan), "30 of 30 rows have no finite volatility"),
    ],
)
def test_rows_that_cannot_calibrate_are_refused(residuals, volatility, message):
    with pytest.raises(ModelError, match=message):
        conformal_offsets(residuals, volatility, LEVELS)
