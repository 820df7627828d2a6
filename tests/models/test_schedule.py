import math
from itertools import pairwise

import pytest

from models.errors import UsageError
from models.schedule import SCHEDULES, learning_rate_at

STEPS = 40


def factors(schedule, warmup=0.0, steps=STEPS):
    return [learning_rate_at(schedule, warmup, step, steps) for step in range(steps)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_every_factor_lies_above_0_and_none_above_1(schedule, warmup, steps):
    found = factors(schedule, warmup, steps)
    assert all(0 < factor <= 1 for factor in found)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warm_up_the_first_step_takes_the_whole_rate_and_no_later_one_more(schedule):
    found = factors(schedule)
    assert found[0] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(found))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_rises_in_equal_parts_and_the_schedule_follows_from_its_start(schedule):
    found = factors(schedule, warmup=0.25)
    assert found[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert found[10:] == pytest.approx(factors(schedule, steps=30))


def test_constant_stays():
    assert factors("constant") == [1.0] * STEPS


def test_cosine_follows_half_a_cosine():
    found = factors("cosine")
    assert found[10] == pytest.approx((1 + math.sqrt(0.5)) / 2)  # a quarter of the way: cos 45°
    assert found[20] == pytest.approx(0.5)
    assert found[30] == pytest.approx((1 - math.sqrt(0.5)) / 2)


def test_linear_falls_in_equal_parts():
    assert factors("linear") == pytest.approx([1 - k / 40 for k in range(40)])


def test_step_is_halved_after_a_half_and_after_three_quarters():
    assert factors("step") == [1.0] * 20 + [0.5] * 10 + [0.25] * 10


def test_an_unknown_schedule_is_refused_with_the_near_name():
    with pytest.raises(UsageError, match=r"'cosin' is unknown\. Did you mean 'cosine'\? Use one"):
        learning_rate_at("cosin", 0.0, 0, 1)


@pytest.mark.parametrize("warmup", [-0.1, 1.0, float("nan")])
def test_a_warm_up_that_is_no_share_is_refused(warmup):
    with pytest.raises(UsageError, match="no share of the steps"):
        learning_rate_at("linear", warmup, 0, 1)


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_fit_is_refused(step):
    with pytest.raises(UsageError, match=rf"step={step} lies outside the fit; use 0 to 9"):
        learning_rate_at("constant", 0.0, step, 10)
