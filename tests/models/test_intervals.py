import numpy as np
import pytest

from models.errors import ModelError
from models.intervals import VOLATILITY_FLOOR, apply, conformal_offsets, rolling_offsets

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


def test_quantiles_of_a_head_get_an_offset_each_from_their_own_residuals():
    random = np.random.default_rng(3)
    volatility = random.uniform(0.01, 0.05, 60)
    target, own = random.normal(size=60), np.sort(random.normal(size=(60, 5)), axis=1)
    together = conformal_offsets(target[:, None] - own, volatility, LEVELS)
    for place, level in enumerate(LEVELS):
        alone = conformal_offsets(target - own[:, place], volatility, [level])
        assert together[place] == alone[0]
    moved = apply(own, volatility, together)
    for row in range(60):
        np.testing.assert_allclose(
            moved[row], sorted(own[row] + volatility[row] * together), rtol=1e-12
        )


def test_conformalized_quantiles_cover_where_the_heads_own_do_not():
    # The head's band is a third as wide as it should be, and only right about where it is wider.
    random, covered, own_covered = np.random.default_rng(4), 0, 0
    for _ in range(2000):
        width = random.uniform(0.5, 3.0, 101)
        target = width * random.standard_t(4, 101)
        own = width[:, None] * np.array([-0.7, -0.25, 0.0, 0.25, 0.7])
        ones = np.ones(101)
        offsets = conformal_offsets(target[:100, None] - own[:100], ones[:100], LEVELS)
        low, *_, high = apply(own[100:], ones[100:], offsets)[0]
        covered += low <= target[100] <= high
        own_covered += own[100, 0] <= target[100] <= own[100, -1]
    slack = 2 * np.sqrt(0.9 * 0.1 / 2000)
    assert 0.9 - slack <= covered / 2000 <= 0.9 + 2 / 101 + slack
    assert own_covered / 2000 < 0.6


def test_quantiles_never_cross_and_stay_within_what_a_target_can_be():
    offsets = np.array([0.5, 0.2, 0.0, -0.2, 0.9])
    assert apply(np.zeros(1), np.ones(1), offsets)[0].tolist() == [-0.2, 0.0, 0.2, 0.5, 0.9]
    clipped = apply(np.zeros(1), np.ones(1), offsets, (-0.1, 0.5))[0]
    assert clipped.tolist() == [-0.1, 0.0, 0.2, 0.5, 0.5]


# 30 sessions of forecasts of 4 symbols; a truth is known two sessions later.
DAYS = np.arange("2020-01-01", "2020-02-05", dtype="datetime64[D]")
MADE = np.repeat(DAYS[:30], 4)


def rolled(residuals, known=None, asked=DAYS[20:30], sessions=12, levels=(0.2, 0.5, 0.8)):
    known = MADE + 2 if known is None else known
    return rolling_offsets(
        residuals, np.full(120, 0.5), MADE, known, asked, levels, sessions=sessions
    )


def test_a_dates_offsets_come_from_the_newest_sessions_known_by_its_close():
    residuals = np.random.default_rng(5).normal(size=120)
    found = rolled(residuals)
    for row, now in enumerate(range(20, 30)):
        # The newest truth known at session `now` is that of session now - 2.
        mine = residuals[4 * (now - 2 - 11) : 4 * (now - 2 + 1)]
        assert len(mine) == 48
        expected = conformal_offsets(mine, np.full(48, 0.5), (0.2, 0.5, 0.8))
        np.testing.assert_array_equal(found[row], expected)


def test_where_fewer_sessions_are_known_than_the_window_holds_all_are_taken():
    residuals = np.random.default_rng(6).normal(size=120)
    found = rolled(residuals, sessions=500)
    expected = conformal_offsets(residuals[: 4 * 19], np.full(76, 0.5), (0.2, 0.5, 0.8))
    np.testing.assert_array_equal(found[0], expected)


def test_a_truth_that_comes_late_counts_once_it_is_known_and_one_that_never_does_not():
    residuals, known = np.random.default_rng(7).normal(size=120), MADE + 2
    known[10], known[11] = DAYS[25], np.datetime64("NaT")
    residuals[11] = np.nan
    found = rolled(residuals, known, sessions=500)
    for row, now in enumerate(range(20, 30)):
        there = [n for n in range(4 * (now - 1)) if n != 11 and (n != 10 or now >= 25)]
        expected = conformal_offsets(residuals[there], np.full(len(there), 0.5), (0.2, 0.5, 0.8))
        np.testing.assert_array_equal(found[row], expected)


def test_what_becomes_known_after_a_date_moves_no_offset_of_it_by_a_bit():
    residuals = np.random.default_rng(8).normal(size=120)
    plain = rolled(residuals)
    for row, now in enumerate(DAYS[20:30]):
        future = now < MADE + 2
        for nonsense in (1e9, np.nan):
            other = np.where(future, nonsense, residuals)
            known = np.where(future & np.isnan(other), np.datetime64("NaT"), MADE + 2)
            np.testing.assert_array_equal(rolled(other, known)[: row + 1], plain[: row + 1])
        seen = np.where(now == MADE + 2, 7.0, residuals)
        assert not np.array_equal(rolled(seen)[row], plain[row])


def drifting(seed, shape=(370, 30)):
    """Errors of a market whose volatility, unknown beforehand, takes a random walk."""
    random = np.random.default_rng(seed)
    size = np.exp(np.cumsum(random.normal(0, 0.05, shape[0])))[:, None]
    together = 0.6 * random.standard_t(4, (shape[0], 1))
    return 0.01 * size * (together + 0.8 * random.standard_t(4, shape))


def coverages(errors, sessions):
    """Share inside the 90 % band in each 50 of 250 test dates; the first 120 dates calibrate."""
    dates, names = errors.shape
    days = np.datetime64("2020-01-01") + np.arange(dates)
    ones = np.ones(errors.size)
    if sessions is None:
        offsets = conformal_offsets(errors[:120].ravel(), ones[: 120 * names], (0.05, 0.95))
        offsets = np.tile(offsets, (250, 1))
    else:
        made = np.repeat(days, names)
        offsets = rolling_offsets(
            errors.ravel(), ones, made, made + 2, days[120:], (0.05, 0.95), sessions
        )
    inside = (offsets[:, :1] <= errors[120:]) & (errors[120:] <= offsets[:, 1:])
    return inside.mean(axis=1).reshape(5, 50).mean(axis=1)


def test_under_drifting_volatility_rolling_intervals_cover_nearer_to_nominal_than_fixed_ones():
    worlds = [drifting(seed) for seed in range(10)]
    fixed, rolling = (
        np.array([np.abs(coverages(errors, sessions) - 0.9).mean() for errors in worlds])
        for sessions in (None, 60)
    )
    # Seen: 13 points off for the fixed ones, 3.5 for the rolling.
    assert rolling.mean() < fixed.mean() / 2
    assert rolling.mean() < 0.06
    assert (rolling < fixed).sum() >= 9


def test_without_drift_rolling_intervals_cover_as_they_should():
    random, found = np.random.default_rng(0), []
    for _ in range(10):
        found.append(coverages(0.01 * random.standard_t(4, (370, 30)), 60).mean())
    assert abs(np.mean(found) - 0.9) < 0.01


def test_a_first_date_without_enough_known_truths_is_refused():
    with pytest.raises(ModelError, match=r"0 residuals are too few for the level 0\.2"):
        rolled(np.zeros(120), asked=DAYS[1:2])
