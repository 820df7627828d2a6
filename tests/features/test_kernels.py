"""Windows and order statistics, against numpy and pandas over every window by itself."""

import math

import numpy as np
import pandas as pd
import pytest

from tasks.features.kernels import ordered, windows

COUNT = 1500
PERIODS = (*range(1, 71), 100, 127, 128, 129, 252, 256, 383, 504, 512, 600)


def walk(count: int = COUNT, seed: int = 0) -> np.ndarray:
    return 80.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.02, count)))


def holed() -> np.ndarray:
    values = walk(seed=1)
    values[[0, 3, 4, 90, 700, 701, 702, COUNT - 1]] = np.nan
    return values


def coarse() -> np.ndarray:
    """Many equals, zeros and negative values among them."""
    return np.round(np.random.default_rng(2).normal(0.0, 2.0, COUNT))


def huge_then_tiny() -> np.ndarray:
    return np.where(np.arange(COUNT) < 800, 1e12, 0.01) * (1.0 + 0.001 * coarse())


SERIES = {
    "walk": walk,
    "holed": holed,
    "coarse": coarse,
    "constant": lambda: np.full(COUNT, 10.1),
    "huge then tiny": huge_then_tiny,
    "far from zero": lambda: 1e6 + np.random.default_rng(3).normal(0.0, 1.0, COUNT),
    "nothing": lambda: np.full(COUNT, np.nan),
}


def in_windows(values: np.ndarray, period: int, function) -> np.ndarray:
    """function of each full window [rows, period]; NaN where there is none or it holds a NaN."""
    out = np.full(values.size, np.nan)
    if period <= values.size:
        seen = np.lib.stride_tricks.sliding_window_view(values, period)
        full = ~np.isnan(seen).any(axis=1)
        if full.any():
            out[period - 1 :][full] = function(seen[full])
    return out


def power(k: int):
    def summed(seen: np.ndarray) -> np.ndarray:
        # From the first value on, so that what is constant has no deviation at all.
        away = seen - seen[:, :1]
        return ((away - away.mean(axis=1, keepdims=True)) ** k).sum(axis=1)

    return summed


def tilt(seen: np.ndarray) -> np.ndarray:
    place = np.arange(seen.shape[1]) - (seen.shape[1] - 1) / 2
    return (seen - seen[:, :1]) @ place


def agrees(ours: np.ndarray, expected: np.ndarray, scale: np.ndarray, rel: float = 1e-10) -> bool:
    """Whether values are as expected, but for a share of the size of what was summed."""
    same = np.abs(ours - expected) <= rel * scale
    return bool((same | (np.isnan(ours) & np.isnan(expected))).all())


@pytest.mark.parametrize("series", SERIES)
def test_moments_agree_with_numpy(series):
    values = SERIES[series]()
    for n in PERIODS:
        mean, two, three, four = windows.rolling_moments(values, n)
        # What a rounding of the values themselves does to a moment.
        size = in_windows(values, n, lambda seen: np.abs(seen).max(axis=1))
        spread = in_windows(values, n, lambda seen: np.ptp(seen, axis=1))
        expected = in_windows(values, n, lambda seen: seen.mean(axis=1))
        for other in (mean, windows.rolling_mean(values, n), windows.rolling_squares(values, n)[0]):
            assert agrees(other, expected, size, 1e-14)
        for k, made in ((2, two), (3, three), (4, four)):
            scale = n * (spread**k + 1e-5 * size * spread ** (k - 1))
            assert agrees(made, in_windows(values, n, power(k)), scale)
        assert np.array_equal(two, windows.rolling_squares(values, n)[1], equal_nan=True)


@pytest.mark.parametrize("series", SERIES)
def test_trend_agrees_with_numpy(series):
    values = SERIES[series]()
    for n in PERIODS:
        mean, two, made = windows.rolling_trend(values, n)
        size = in_windows(values, n, lambda seen: np.abs(seen).max(axis=1))
        spread = in_windows(values, n, lambda seen: np.ptp(seen, axis=1))
        scale = n * n * (spread + 1e-5 * size)
        assert agrees(made, in_windows(values, n, tilt), scale)
        assert np.array_equal(mean, windows.rolling_mean(values, n), equal_nan=True)
        assert np.array_equal(two, windows.rolling_squares(values, n)[1], equal_nan=True)


@pytest.mark.parametrize("series", ["walk", "coarse", "constant", "far from zero"])
def test_products_agree_with_numpy(series):
    left, right = SERIES[series](), holed()
    for n in PERIODS:
        made = windows.rolling_products(left, right, n)
        for mean, values in ((made[0], left), (made[1], right)):
            assert np.array_equal(mean, windows.rolling_mean(values, n), equal_nan=True)
        both = np.full(COUNT, np.nan)
        for t in range(n - 1, COUNT, 37):
            x, y = left[t - n + 1 : t + 1], right[t - n + 1 : t + 1]
            both[t] = ((x - x.mean()) * (y - y.mean())).sum()
            scale = n * (np.ptp(x) + 1e-5 * np.abs(x).max()) * (np.ptp(y) + 1e-5)
            assert agrees(made[4][t : t + 1], both[t : t + 1], scale)
        for part, values in ((made[2], left), (made[3], right)):
            alone = windows.rolling_squares(values, n)[1]
            # Both are masked where one of them is.
            assert np.array_equal(part, alone + 0.0 * made[4], equal_nan=True)


@pytest.mark.parametrize("series", SERIES)
def test_extremes_and_their_ages_are_those_of_numpy(series):
    values = SERIES[series]()
    for n in PERIODS:
        highest = in_windows(values, n, lambda seen: seen.max(axis=1))
        lowest = in_windows(values, n, lambda seen: seen.min(axis=1))
        latest = in_windows(values, n, lambda seen: seen[:, ::-1].argmax(axis=1))
        first = in_windows(values, n, lambda seen, n=n: n - 1 - seen.argmax(axis=1))
        for made, expected in (
            (windows.rolling_max(values, n), highest),
            (windows.rolling_min(values, n), lowest),
            (windows.bars_since_max(values, n), latest),
            (windows.bars_since_first_max(values, n), first),
        ):
            np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("series", SERIES)
def test_the_mean_absolute_deviation_agrees_with_numpy(series):
    values = SERIES[series]()
    for n in PERIODS:
        centre = windows.rolling_mean(values, n)
        expected = in_windows(
            values, n, lambda seen: np.abs(seen - seen.mean(axis=1, keepdims=True)).mean(axis=1)
        )
        size = in_windows(values, n, lambda seen: np.abs(seen).max(axis=1))
        made = windows.mean_absolute_deviation(values, centre, n)
        assert agrees(made, expected, size, 1e-13)


@pytest.mark.parametrize("series", SERIES)
def test_quantiles_agree_with_pandas(series):
    values = SERIES[series]()
    for n in PERIODS:
        rolled = pd.Series(values).rolling(n)
        for levels in ((0.8, 0.2), (0.0, 1.0), (0.5, 1 / 3)):
            for made, level in zip(
                ordered.rolling_quantiles(values, n, *levels), levels, strict=True
            ):
                expected = rolled.quantile(level, interpolation="linear").to_numpy()
                np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("series", SERIES)
def test_the_rank_agrees_with_pandas(series):
    values = SERIES[series]()
    for n in PERIODS:
        expected = pd.Series(values).rolling(n).rank(pct=True).to_numpy()
        np.testing.assert_allclose(ordered.rolling_rank(values, n), expected, rtol=1e-14)


STATISTICS = {
    "mean": lambda x, n: windows.rolling_mean(x, n),
    "squares": lambda x, n: windows.rolling_squares(x, n)[1],
    "third": lambda x, n: windows.rolling_moments(x, n)[2],
    "fourth": lambda x, n: windows.rolling_moments(x, n)[3],
    "trend": lambda x, n: windows.rolling_trend(x, n)[2],
    "products": lambda x, n: windows.rolling_products(x, np.sqrt(x), n)[4],
    "highest": lambda x, n: windows.rolling_max(x, n),
    "lowest": lambda x, n: windows.rolling_min(x, n),
    "latest": lambda x, n: windows.bars_since_max(x, n),
    "first": lambda x, n: windows.bars_since_first_max(x, n),
    "deviation": lambda x, n: windows.mean_absolute_deviation(x, windows.rolling_mean(x, n), n),
    "upper": lambda x, n: ordered.rolling_quantiles(x, n, 0.8, 0.2)[0],
    "rank": lambda x, n: ordered.rolling_rank(x, n),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_value_hangs_on_its_own_window_alone_to_the_bit(name):
    """The same window at another place, with others around it, across the borders of the blocks."""
    draw = np.random.default_rng(5)
    for n in (1, 2, 3, 5, 20, 63, 64, 252, 300):
        window = walk(n, n)
        expected = STATISTICS[name](window, n)[-1:].view(np.int64)
        for place in (0, 1, 255, 257, 511, 513, 1020, 1024, 1025, 1500, 2047):
            around = draw.normal(0.0, 1.0, 4000) ** 2 * 10.0 ** draw.integers(-8, 12)
            around[draw.integers(0, 4000, 20)] = np.nan
            around[place : place + n] = window
            made = STATISTICS[name](around, n)[place + n - 1]
            assert np.array([made]).view(np.int64) == expected, (n, place)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_window_longer_than_the_series_is_masked(name):
    for count in (0, 1, 2, 19):
        for n in (count + 1, count + 2, 600):
            made = STATISTICS[name](walk(count), n)
            assert made.shape == (count,)
            assert np.isnan(made).all()
        if count:
            assert np.isfinite(STATISTICS[name](walk(count), count)[-1])


@pytest.mark.parametrize("name", STATISTICS)
def test_a_kernel_does_not_write_into_its_input(name):
    for values in (walk(), holed()):
        before = values.copy()
        STATISTICS[name](values, 20)
        np.testing.assert_array_equal(values, before)


def test_of_a_constant_window_every_deviation_is_exactly_0():
    for value in (10.1, 1e12 / 3, 1e-9 / 7):
        values = np.concatenate([walk(100), np.full(700, value), walk(50)])
        for n in (2, 3, 20, 97, 600):
            still = slice(100 + n - 1, 800)
            assert (windows.rolling_mean(values, n)[still] == value).all()
            for made in windows.rolling_moments(values, n)[1:]:
                assert (made[still] == 0.0).all()
            assert (windows.rolling_trend(values, n)[2][still] == 0.0).all()


def test_nothing_drifts_after_a_million_millions():
    values = np.concatenate([np.full(1000, 1e12), np.full(1000, 0.01)])
    for n in (20, 600):
        assert windows.rolling_mean(values, n)[-1] == 0.01
        assert windows.rolling_squares(values, n)[1][-1] == 0.0
    spikes = np.where(np.arange(3000) % 500 == 0, 1e15, walk(3000))
    exact = math.fsum(spikes[-20:]) / 20
    assert windows.rolling_mean(spikes, 20)[-1] == pytest.approx(exact, rel=1e-15)
