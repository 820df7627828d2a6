import math
from itertools import combinations

import numpy as np
import pytest

from tasks.evaluation.overfitting import cannot_tell, overfitting_probability


def naive(returns, blocks):
    """The steps of Bailey et al. (2017), one choice of blocks after the other."""
    length = len(returns) // blocks
    pieces = np.split(returns[len(returns) - blocks * length :], blocks)
    beaten, choices = 0, 0
    for past in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([pieces[b] for b in past])
        outside = np.concatenate([pieces[b] for b in range(blocks) if b not in past])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0))
        ahead = outside.mean(axis=0) / outside.std(axis=0)
        share = sum(ahead <= ahead[best]) / (ahead.size + 1)
        beaten += math.log(share / (1 - share)) <= 0
        choices += 1
    return beaten / choices


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("sessions", "trials", "blocks"), [(80, 5, 4), (123, 8, 6), (200, 12, 8)])
def test_it_is_that_of_a_naive_loop(seed, sessions, trials, blocks):
    returns = np.random.default_rng(seed).normal(0.0005, 0.01, (sessions, trials))
    assert overfitting_probability(returns, blocks) == pytest.approx(naive(returns, blocks))


def test_sixteen_blocks_are_that_of_a_naive_loop_too():
    returns = np.random.default_rng(9).normal(0, 0.01, (170, 6))
    assert overfitting_probability(returns) == pytest.approx(naive(returns, 16))


def test_a_trial_with_skill_is_no_overfitting():
    returns = np.random.default_rng(0).normal(0, 0.01, (640, 10))
    returns[:, 4] += 0.004
    assert overfitting_probability(returns) < 0.01


def test_choosing_among_noise_is_overfitting_about_half_the_time():
    found = [
        overfitting_probability(np.random.default_rng(seed).normal(0, 0.01, (320, 10)), 8)
        for seed in range(200)
    ]
    # What a trial gained in the past is missing from its future, so it is rather more than half.
    assert 0.45 < np.mean(found) < 0.65


def test_what_is_too_little_is_said_in_words():
    assert cannot_tell(1, 500) == "1 trial has daily returns over this span, and it takes 5"
    assert cannot_tell(4, 500) == "4 trials have daily returns over this span, and it takes 5"
    assert cannot_tell(9, 159) == "159 sessions make no 16 blocks of 10"
    assert cannot_tell(5, 160) is None
