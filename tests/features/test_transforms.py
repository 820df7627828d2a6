from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import rankdata

from tasks.features.transforms import TRANSFORMS
from tests.features import transform_contract as contract
from tests.features.transform_contract import Used, assert_same_bits

NAN = np.nan

# Twelve values of one date: equals, a hole, and rows that are no member's.
VALUES = np.array([3.0, 1.0, 2.0, 2.0, NAN, -5.0, 2.0, 9.0, 0.5, 2.0, -9.0, 99.0])
MEMBER = np.array([1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0], dtype=bool)
SECTOR = np.array([0, 0, 1, 1, 1, -1, 1, 2, -1, 0, 2, 3])


def on_one_date(name: str, values=VALUES, member=MEMBER, sector=SECTOR, arguments=()):
    starts = np.array([0, len(values)])
    return TRANSFORMS[name].function(np.array(values), starts, member, sector, *arguments)


def everyone(values) -> np.ndarray:
    return np.ones(len(values), dtype=bool)


def unknown(values) -> np.ndarray:
    return np.full(len(values), -1)


def test_rank_is_the_centred_average_rank_among_members():
    counted = MEMBER & np.isfinite(VALUES)
    known = VALUES[counted]
    found = on_one_date("rank")
    expected = (rankdata(known) - 0.5) / known.size - 0.5
    assert found[counted] == pytest.approx(expected, abs=1e-15)
    assert np.abs(found[counted]).max() < 0.5
    for row in (6, 9, 10, 11):
        below = (known < VALUES[row]).mean() + (known == VALUES[row]).mean() / 2
        assert found[row] == pytest.approx(below - 0.5, abs=1e-15)
    assert (found[10], found[11]) == (-0.5, 0.5)


def test_zscore_takes_mean_and_population_deviation_of_members():
    known = VALUES[MEMBER & np.isfinite(VALUES)]
    expected = (VALUES - known.mean()) / known.std()
    assert on_one_date("zscore") == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("percent", [1, 10, 25, 49])
def test_winsor_clips_at_the_linear_quantiles_of_members(percent):
    known = VALUES[MEMBER & np.isfinite(VALUES)]
    low, high = np.percentile(known, [percent, 100 - percent], method="linear")
    expected = np.clip(VALUES, low, high)
    found = on_one_date("winsor", arguments=(percent,))
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_sector_takes_off_the_mean_of_its_members_or_of_all_where_it_is_unknown():
    counted = MEMBER & np.isfinite(VALUES)
    centres = {sector: VALUES[counted & (sector == SECTOR)].mean() for sector in range(3)}
    # Nobody is a member of sector 3, and one alone of sector 2.
    centres |= {-1: VALUES[counted].mean(), 3: VALUES[11]}
    expected = VALUES - np.array([centres[sector] for sector in SECTOR])
    assert expected[7] == 0.0
    assert on_one_date("sector") == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_many_dates_are_what_each_is_alone():
    draw = np.random.default_rng(0)
    lengths = np.array([0, 1, 2, 300, 3, 0, 40, 900])
    starts = np.append(0, lengths.cumsum())
    values = np.round(draw.normal(0.0, 1.0, lengths.sum()), 2)
    values[draw.random(values.size) < 0.05] = NAN
    member, sector = draw.random(values.size) < 0.7, draw.integers(-1, 11, values.size)
    for name in ("rank", "zscore", "winsor", "sector"):
        entry = TRANSFORMS[name]
        whole = entry.function(values, starts, member, sector, *entry.arguments)
        for a, b in pairwise(starts):
            alone = on_one_date(name, values[a:b], member[a:b], sector[a:b], entry.arguments)
            assert_same_bits(whole[a:b], alone)


@pytest.mark.parametrize(
    ("values", "rank", "zscore", "winsor", "sector"),
    [
        ([4.0], [NAN], [NAN], [NAN], [NAN]),
        ([4.0, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN]),
        ([NAN, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN]),
        ([0.1, 0.1, 0.1], [0, 0, 0], [NAN, NAN, NAN], [0.1, 0.1, 0.1], [0, 0, 0]),
        ([-0.0, 0.0], [0, 0], [NAN, NAN], [0, 0], [0, 0]),
        ([1.0, 3.0], [-0.25, 0.25], [-1, 1], [1.02, 2.98], [-1, 1]),
        ([1.0, np.inf, 3.0], [-0.25, NAN, 0.25], [-1, NAN, 1], [1.02, NAN, 2.98], [-1, NAN, 1]),
        ([-np.inf, 3.0], [NAN, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN]),
    ],
)
def test_dates_with_few_or_equal_values(values, rank, zscore, winsor, sector):
    expected = {"rank": rank, "zscore": zscore, "winsor": winsor, "sector": sector}
    for name, answer in expected.items():
        arguments = TRANSFORMS[name].arguments
        found = on_one_date(name, values, everyone(values), unknown(values), arguments)
        assert found == pytest.approx(answer, abs=1e-12, nan_ok=True), name


def chained(world: contract.World, *names: str) -> np.ndarray:
    for name in names:
        entry = TRANSFORMS[name]
        values = contract.result(Used(entry, entry.arguments), world)
        world = contract.World(values, world.member, world.sector)
    return world.values


@pytest.mark.parametrize("names", [("rank",), ("zscore",), ("sector", "zscore"), ("winsor",)])
def test_a_scale_of_seven_leaves_relative_values_as_they_are(names):
    world = contract.made_world(20)
    sevenfold = contract.World(7.0 * world.values, world.member, world.sector)
    factor = 7.0 if names == ("winsor",) else 1.0
    expected = factor * chained(world, *names)
    assert chained(sevenfold, *names) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def test_scores_of_a_date_have_mean_zero_and_deviation_one_over_members():
    world = contract.made_world(21)
    found = np.where(world.member, chained(world, "sector", "winsor", "zscore"), NAN)[30:]
    assert np.nanmean(found, axis=1) == pytest.approx(0.0, abs=1e-12)
    assert np.nanstd(found, axis=1) == pytest.approx(1.0)


def naive_robust(values: np.ndarray, period: int) -> np.ndarray:
    out = np.full(values.size, NAN)
    for t in range(period - 1, values.size):
        window = values[t - period + 1 : t + 1]
        centre = np.median(window)
        spread = 1.4826 * np.median(np.abs(window - centre))
        if np.isfinite(window).all() and spread > 0.0:
            out[t] = (values[t] - centre) / spread
    return out


def naive_standard(values: np.ndarray, period: int) -> np.ndarray:
    out = np.full(values.size, NAN)
    for t in range(period - 1, values.size):
        window = values[t - period + 1 : t + 1]
        if np.isfinite(window).all() and window.min() < window.max():
            out[t] = (values[t] - window.mean()) / window.std()
    return out


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("digits", [1, 15], ids=["with equals", "all different"])
@pytest.mark.parametrize("period", [3, 4, 5, 20, 51])
def test_scaling_in_time_agrees_with_a_plain_loop(period, digits):
    draw = np.random.default_rng(period)
    values = np.round(draw.standard_t(2, 1500), digits)
    values[draw.random(values.size) < 0.01] = NAN
    values[[100, 700]] = np.inf, -np.inf
    assert (digits == 15) or np.signbit(values[values == 0.0]).any()
    found = TRANSFORMS["robust"].function(values, period)
    assert np.isfinite(found).sum() > 100
    np.testing.assert_array_equal(found, naive_robust(values, period))
    found = TRANSFORMS["standard"].function(values, period)
    np.testing.assert_allclose(found, naive_standard(values, period), rtol=1e-9, atol=1e-9)


def test_robust_is_masked_where_most_of_a_window_is_equal_and_is_not_clipped():
    values = np.array([1.0, 1.0, 1.0, 5.0, 2.0, 3.0, 1e6])
    found = TRANSFORMS["robust"].function(values, 3)
    # Medians 1, 1, 2, 3, 3 with deviations 0, 0, 1, 1, 1.
    expected = [NAN, NAN, NAN, NAN, 0.0, 0.0, (1e6 - 3.0) / 1.4826]
    assert found == pytest.approx(expected, nan_ok=True)
