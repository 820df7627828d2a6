import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from tasks.evaluation.deflation import (
    Track,
    alike,
    expected_best,
    group_sharpes,
    hurdle_of,
    needed_sessions,
    probabilistic_sharpe,
    track,
)

WORLDS = 400
BOUND = 2 * math.sqrt(0.05 * 0.95 / WORLDS)


def best_of(seed, trials, sessions=250, shared=0.0):
    """Daily returns without skill [T, M], fat-tailed; every pair correlates `shared`."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(5, (sessions, 1))
    own = rng.standard_t(5, (sessions, trials))
    return 0.01 * (math.sqrt(shared) * common + math.sqrt(1 - shared) * own)


def chosen(returns):
    """The track of the trial with the best Sharpe ratio, and the ratios of all."""
    sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    return track(returns[:, sharpes.argmax()]), sharpes


def test_the_moments_are_those_of_plain_sums():
    returns = np.random.default_rng(0).standard_t(4, 300) ** 2 * 0.01 - 0.005
    mean, count = sum(returns) / 300, 300
    second, third, fourth = (sum((r - mean) ** k for r in returns) / count for k in (2, 3, 4))
    found = track(returns)
    assert found.sharpe == pytest.approx(mean / math.sqrt(second * count / (count - 1)))
    assert found.skewness == pytest.approx(third / second**1.5)
    assert found.kurtosis == pytest.approx(fourth / second**2)


def test_the_probabilistic_ratio_of_normal_returns_by_hand():
    # The standard error is that of Lo (2002): sqrt((1 + SR²/2) / (T - 1)).
    own = Track(sessions=253, sharpe=0.1, skewness=0.0, kurtosis=3.0)
    error = math.sqrt((1 + 0.1**2 / 2) / 252)
    assert probabilistic_sharpe(own, 0.0) == pytest.approx(norm.cdf(0.1 / error))
    assert probabilistic_sharpe(own, 0.1) == pytest.approx(0.5)


def test_the_example_of_the_deflated_sharpe_ratio_in_its_paper():
    # Bailey and López de Prado (2014): an annual ratio of 2.5 over 1,250 sessions of a year of 250,
    # best of 100 trials whose annual ratios have variance 1/2; skewness -3, kurtosis 10.
    own = Track(sessions=1250, sharpe=2.5 / math.sqrt(250), skewness=-3.0, kurtosis=10.0)
    hurdle = expected_best(100, math.sqrt(0.5 / 250))
    assert hurdle == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(own, hurdle) == pytest.approx(0.9004, abs=5e-5)
    # With 46 trials it is 0.9505, and for normal returns 0.9505 is still there with 88.
    assert probabilistic_sharpe(own, expected_best(46, math.sqrt(0.5 / 250))) == pytest.approx(
        0.9505, abs=5e-5
    )
    normal = Track(1250, own.sharpe, 0.0, 3.0)
    assert probabilistic_sharpe(normal, expected_best(88, math.sqrt(0.5 / 250))) == pytest.approx(
        0.9505, abs=5e-5
    )


def test_fat_left_tails_make_a_ratio_less_sure():
    plain, skewed = Track(500, 0.08, 0.0, 3.0), Track(500, 0.08, -2.0, 12.0)
    assert probabilistic_sharpe(skewed, 0.0) < probabilistic_sharpe(plain, 0.0)


def test_after_the_needed_sessions_the_ratio_is_just_significant():
    own = Track(300, 0.06, -0.7, 6.0)
    needed = needed_sessions(own, 0.01, 0.95)
    assert probabilistic_sharpe(Track(needed, 0.06, -0.7, 6.0), 0.01) == pytest.approx(0.95)
    assert math.isinf(needed_sessions(own, 0.06, 0.95))


def test_returns_that_do_not_move_have_no_ratio():
    still = track(np.full(100, 0.001))
    assert math.isnan(still.sharpe)
    assert math.isnan(probabilistic_sharpe(still, 0.0))
    assert math.isnan(needed_sessions(still, 0.0, 0.95))


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_the_hurdle_is_near_the_expected_greatest_of_normal_numbers(trials):
    exact, _ = quad(lambda x: x * trials * norm.pdf(x) * norm.cdf(x) ** (trials - 1), -10, 10)
    assert expected_best(trials, 2.0) == pytest.approx(2 * exact, rel=0.03)


def test_one_trial_has_no_hurdle_and_each_further_one_raises_it():
    hurdles = [expected_best(trials, 0.05) for trials in (1, 2, 3, 10, 100, 1000)]
    assert hurdles[0] == 0.0
    assert hurdles == sorted(set(hurdles))


def test_deflation_falls_as_trials_are_added():
    own = Track(750, 0.1, 0.0, 3.0)
    found = [probabilistic_sharpe(own, expected_best(n, 0.04)) for n in (1, 2, 5, 20, 100, 1000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95 > found[-1]


def test_without_other_ratios_the_spread_is_that_of_tracks_without_skill():
    assert hurdle_of(2, [0.1, math.nan], 257) == pytest.approx(expected_best(2, 1 / 16))
    assert hurdle_of(2, [0.1, 0.3], 257) == pytest.approx(expected_best(2, math.sqrt(0.02)))


def test_alike_ratios_do_not_lower_the_hurdle_of_trials_without_any():
    alone = hurdle_of(99, [0.1], 257)
    assert hurdle_of(100, [0.1, 0.1001], 257) == pytest.approx(alone)
    assert hurdle_of(2, [0.1, 0.1001], 257) < alone / 1000
    # Ratios that spread wider than noise decide by the count of all.
    assert hurdle_of(100, [-0.3, 0.1, 0.4], 257) == pytest.approx(
        expected_best(100, np.std([-0.3, 0.1, 0.4], ddof=1))
    )
    assert hurdle_of(1, [0.1], 257) == hurdle_of(1, [math.nan], 257) == 0.0


@pytest.mark.parametrize(
    ("groups", "copies", "unknown"),
    # The best alone, or its near-copy too; copies beside a few that left nothing; no copies.
    [(1, 1, 99), (1, 2, 98), (1, 2, 1), (1, 180, 20), (5, 20, 10), (10, 1, 10), (1, 50, 0)],
)
def test_the_best_of_a_search_is_not_significant_when_few_ratios_are_known(groups, copies, unknown):
    found = forgotten = 0
    for seed in range(WORLDS):
        rng = np.random.default_rng(seed)
        drawn = np.sort(rng.normal(0, 1 / 16, groups + unknown))[::-1]
        # Those with returns are the best, and by chance some others.
        kept = np.append(drawn[0], rng.choice(drawn[1:], groups - 1, replace=False))
        known = np.repeat(kept, copies) + rng.normal(0, 1e-4, groups * copies)
        own, trials = Track(257, known.max(), 0.0, 3.0), known.size + unknown
        found += probabilistic_sharpe(own, hurdle_of(trials, known, 257)) > 0.95
        spread = np.std(known, ddof=1) if known.size > 1 else 1 / 16
        forgotten += probabilistic_sharpe(own, expected_best(trials, spread)) > 0.95
    assert found / WORLDS <= 0.05 + BOUND
    if (groups, copies, unknown) == (1, 2, 98):
        assert forgotten / WORLDS > 0.9, "the spread of the known ratios alone would do"


@pytest.mark.parametrize("kind", ["normal", "fat", "skewed"])
def test_the_probabilistic_ratio_rejects_at_its_level(kind):
    draw = {
        "normal": lambda rng: rng.normal(size=500),
        "fat": lambda rng: rng.standard_t(5, 500),
        "skewed": lambda rng: rng.gamma(4, size=500) - 4,
    }[kind]
    worlds = (track(draw(np.random.default_rng(seed))) for seed in range(WORLDS))
    found = [probabilistic_sharpe(own, 0.0) for own in worlds]
    assert abs(np.mean(np.array(found) > 0.95) - 0.05) <= BOUND
    assert abs(np.mean(np.array(found) < 0.05) - 0.05) <= BOUND


@pytest.mark.parametrize(
    ("trials", "shared", "undeflated"),
    [(2, 0.0, 0.07), (10, 0.0, 0.30), (50, 0.0, 0.80), (10, 0.5, 0.20), (50, 0.9, 0.10)],
)
def test_the_best_of_noise_is_significant_without_deflation_and_not_with_it(
    trials, shared, undeflated
):
    before = after = 0
    for seed in range(WORLDS):
        own, sharpes = chosen(best_of(seed, trials, shared=shared))
        hurdle = hurdle_of(trials, sharpes, own.sessions)
        before += probabilistic_sharpe(own, 0.0) > 0.95
        after += probabilistic_sharpe(own, hurdle) > 0.95
    assert before / WORLDS > undeflated
    assert after / WORLDS <= 0.05 + BOUND


def test_skill_among_noise_survives_deflation():
    found = 0
    for seed in range(50):
        returns = best_of(seed, 20, sessions=1000)
        returns[:, 3] += 0.003
        own, sharpes = chosen(returns)
        hurdle = hurdle_of(20, sharpes, own.sessions)
        found += probabilistic_sharpe(own, hurdle) > 0.95
    assert found >= 40


def test_independent_trials_are_groups_of_their_own_and_copies_are_one():
    returns = best_of(0, 6)
    assert np.unique(alike(returns)).size == 6
    rng = np.random.default_rng(1)
    copies = np.repeat(returns[:, :3], 4, axis=1) + rng.normal(0, 0.002, (250, 12))
    groups = alike(copies)
    np.testing.assert_array_equal(groups.reshape(3, 4), np.repeat(groups[::4], 4).reshape(3, 4))
    assert np.unique(groups).size == 3
    assert alike(returns[:, :1]).tolist() == [1]
    assert alike(np.column_stack([returns[:, 0], returns[:, 0]])).tolist() == [1, 1]


def test_every_pair_of_a_group_correlates_enough():
    rng = np.random.default_rng(2)
    chain = np.cumsum(rng.normal(size=(500, 8)), axis=1)
    groups, correlation = alike(chain), np.corrcoef(chain, rowvar=False)
    for group in np.unique(groups):
        assert correlation[np.ix_(groups == group, groups == group)].min() >= 0.5
    assert 1 < np.unique(groups).size < 8


def test_opposites_are_not_alike():
    returns = best_of(3, 1)[:, 0]
    assert np.unique(alike(np.column_stack([returns, -returns]))).size == 2


def test_the_ratio_of_a_group_weighs_by_inverse_variance():
    returns = best_of(4, 3)
    returns[:, 1] *= 3
    groups = np.array([1, 1, 2])
    weights = 1 / returns[:, :2].var(axis=0)
    merged = (returns[:, :2] * weights).sum(axis=1) / weights.sum()
    assert group_sharpes(returns, groups) == pytest.approx(
        [merged.mean() / merged.std(ddof=1), track(returns[:, 2]).sharpe]
    )
