"""Averages and lines that each row makes from the row before, against plain loops, to the bit."""

import math

import numpy as np
import pytest

from tasks.features.kernels import elementwise, recursive

NAN = float("nan")


def walk(count: int, seed: int) -> np.ndarray:
    return 80.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.02, count)))


def runs(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    return [walk(length, seed + i) for i, length in enumerate(lengths)]


def side_by_side(parts: list[np.ndarray], gap: int = 1) -> np.ndarray:
    """The runs one after the other, NaN between them."""
    between = np.full(gap, NAN)
    return np.concatenate([part for run in parts for part in (run, between)][:-1])


def loop_of_smoothed(run: np.ndarray, period: int, weight: float) -> list[float]:
    out = [NAN] * len(run)
    if len(run) < period:
        return out
    total = 0.0
    for value in run[:period]:
        total += float(value)
    level = out[period - 1] = total / period
    for t in range(period, len(run)):
        level += weight * (float(run[t]) - level)
        out[t] = level
    return out


LENGTHS = [40, 3, 77, 1, 40, 12, 5, 200, 8]


@pytest.mark.parametrize("count", range(1, 10))
@pytest.mark.parametrize("period", [1, 2, 5, 8, 41])
def test_a_smoothed_run_is_that_of_a_plain_loop_whatever_runs_lie_beside_it(count, period):
    weight = 2.0 / (period + 1)
    for turn in range(count):
        # Every run comes at every place: four at a time are smoothed together.
        parts = runs([*LENGTHS[turn:count], *LENGTHS[:turn]])
        expected = side_by_side([np.array(loop_of_smoothed(p, period, weight)) for p in parts])
        made = recursive.smoothed(side_by_side(parts), period, weight)
        np.testing.assert_array_equal(made, expected)


def test_many_nans_between_before_and_behind_begin_nothing():
    parts = runs([30, 20, 25, 9, 50])
    values = np.concatenate([[NAN] * 3, side_by_side(parts, gap=4), [NAN] * 2])
    expected = [np.array(loop_of_smoothed(p, 10, 0.1)) for p in parts]
    made = recursive.smoothed(values, 10, 0.1)
    np.testing.assert_array_equal(made[3:-2], side_by_side(expected, gap=4))
    for nothing in (np.empty(0), np.full(7, NAN), np.array([1.0])):
        assert np.isnan(recursive.smoothed(nothing, 2, 0.5)).all()


def test_the_weights_are_those_of_the_averages():
    values = walk(100, 5)
    np.testing.assert_array_equal(
        recursive.exponential_mean(values, 9), loop_of_smoothed(values, 9, 2 / 10)
    )
    np.testing.assert_array_equal(
        recursive.wilder_mean(values, 9), loop_of_smoothed(values, 9, 1 / 9)
    )


@pytest.mark.parametrize("weight", [0.01, 1 / 14, 2 / 21, 0.5])
def test_after_the_settling_bars_the_start_weighs_less_than_a_ten_millionth(weight):
    bars = recursive.settling_bars(weight)
    assert (1.0 - weight) ** bars <= recursive.SETTLED
    assert (1.0 - weight) ** (bars - 1) > recursive.SETTLED


RECURSIVE = {
    "smoothed": lambda close: recursive.smoothed(close, 10, 0.1),
    "total": recursive.running_total,
    "adaptive": lambda close: recursive.adaptive_mean(close, 10, 2, 30),
    "stops": lambda close: recursive.parabolic_stops(close * 1.01, close * 0.98, 0.02, 0.2),
    "bands": lambda close: recursive.trailing_bands(close, close * 0.97 - 1.0, close * 1.02),
}


@pytest.mark.parametrize("name", RECURSIVE)
def test_after_a_nan_everything_begins_anew(name):
    parts = runs([40, 1, 2, 60, 9, 300], seed=10)
    expected = side_by_side([RECURSIVE[name](part) for part in parts])
    np.testing.assert_array_equal(RECURSIVE[name](side_by_side(parts)), expected)
    assert np.isfinite(expected[-1])


@pytest.mark.parametrize("name", RECURSIVE)
def test_a_kernel_does_not_write_into_its_input_and_takes_an_empty_one(name):
    values = side_by_side(runs([40, 20]))
    before = values.copy()
    RECURSIVE[name](values)
    np.testing.assert_array_equal(values, before)
    assert RECURSIVE[name](np.empty(0)).size == 0


def test_a_running_total_adds_up_since_the_run_began():
    values = np.array([1.0, 2.0, NAN, NAN, 4.0, -1.0, 0.5])
    expected = [1.0, 3.0, NAN, NAN, 4.0, 3.0, 3.5]
    np.testing.assert_array_equal(recursive.running_total(values), expected)


def test_a_nan_on_one_side_ends_the_run_of_all():
    close = walk(60, 3)
    for part in range(3):
        columns = [close.copy(), close * 0.97, close * 1.02]
        columns[part][30] = NAN
        made = recursive.trailing_bands(*columns)
        assert np.flatnonzero(np.isnan(made)).tolist() == [30]
        # It begins at the upper one.
        assert made[31] == columns[2][31]


def test_logarithms_hang_on_their_value_alone():
    values = np.concatenate([walk(1000, 4), [0.0, NAN, np.inf, 1.0, 1e-300, 5e-324]])
    made = elementwise.logs(values)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(made, np.log(values), rtol=1e-15)
    for start in range(1, 9):
        np.testing.assert_array_equal(elementwise.logs(values[start:]), made[start:])
    assert made[3] == pytest.approx(math.log(values[3]), rel=1e-15)


def test_a_quotient_of_zero_is_masked_and_not_infinite():
    top = np.array([1.0, 1.0, 0.0, 0.0, -1.0, NAN, 3.0])
    bottom = np.array([2.0, 0.0, 0.0, -0.0, 0.0, 1.0, NAN])
    expected = [0.5, NAN, NAN, NAN, NAN, NAN, NAN]
    np.testing.assert_array_equal(elementwise.ratio(top, bottom), expected)


@pytest.mark.parametrize("bars", [0, 1, 3, 5, 6, 50])
def test_lags_and_differences_look_as_many_rows_back(bars):
    values = np.array([1.0, 4.0, 9.0, NAN, 25.0])
    before = [values[t - bars] if t >= bars else NAN for t in range(5)]
    np.testing.assert_array_equal(elementwise.lagged(values, bars), before)
    np.testing.assert_array_equal(elementwise.difference(values, bars), values - before)
