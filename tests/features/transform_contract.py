"""The contract that every transform keeps: one clause, one function, which asserts it of one.

A world is a table of dates and symbols. A transform of scope `date` takes it date by date, one of
scope `symbol` symbol by symbol, all symbols in one column with a NaN ahead of each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tasks.features.transforms.entry import Transform

DATES, SYMBOLS = 1200, 16


@dataclass(frozen=True)
class Used:
    """A transform with its arguments."""

    transform: Transform
    arguments: tuple[int, ...] = ()

    @property
    def lookback(self) -> int:
        return self.transform.lookback(*self.arguments)


@dataclass(frozen=True)
class World:
    """All [dates, symbols]; NaN is masked."""

    values: np.ndarray
    member: np.ndarray
    sector: np.ndarray

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> "World":
        return World(change(self.values), change(self.member), change(self.sector))


def made_world(seed: int) -> World:
    """Distinct values with holes, members that come and go, and dates with hardly any of them."""
    draw = np.random.default_rng(seed)
    values = draw.normal(0.0, 0.02, (DATES, SYMBOLS)) * draw.lognormal(0.0, 1.0, SYMBOLS)
    values[draw.random(values.shape) < 0.002] = np.nan
    # Somebody without holes, for the longest windows.
    values[:, :3] = draw.normal(0.0, 0.02, (DATES, 3))
    member = draw.random(values.shape) < 0.8
    member[20] = False
    member[21] = np.arange(SYMBOLS) == 5
    member[22] = np.arange(SYMBOLS) < 2
    values[23, 3:] = np.nan
    values[24] = np.nan
    sector = np.repeat(draw.integers(-1, 4, (1, SYMBOLS)), DATES, axis=0)
    sector[DATES // 2 :, 0] = 3
    return World(values, member, sector)


def fine_and_coarse(seed: int) -> tuple[World, World]:
    """A world, and the same one with many equals, zeros of both signs among them."""
    world = made_world(seed)
    return world, replace(world, values=np.round(world.values, 2))


def result(used: Used, world: World) -> np.ndarray:
    dates, symbols = world.values.shape
    function = used.transform.function
    if used.transform.scope == "symbol":
        column = np.vstack([np.full((1, symbols), np.nan), world.values]).T.ravel()
        return function(column, *used.arguments).reshape(symbols, dates + 1).T[1:]
    starts = np.arange(0, dates * symbols + 1, symbols)
    flat = world.mapped(np.ravel)
    answer = function(flat.values.copy(), starts, flat.member, flat.sector, *used.arguments)
    return answer.reshape(dates, symbols)


def assert_same_bits(left: np.ndarray, right: np.ndarray) -> None:
    assert left.dtype == right.dtype == np.float64
    # As floats 0.0 equals -0.0; any NaN is as good as another.
    bits = [np.where(np.isnan(a), 0, np.ascontiguousarray(a).view(np.int64)) for a in (left, right)]
    assert np.array_equal(np.isnan(left), np.isnan(right))
    assert np.array_equal(*bits)


def sees_nothing_later(used: Used) -> None:
    world = made_world(1)
    whole = result(used, world)
    for cutoff in (used.lookback // 2, 19, 700):
        later = np.arange(DATES)[:, None] > cutoff
        for other in (np.nan, 1e9, -world.values):
            changed = World(
                np.where(later, other, world.values),
                np.where(later, ~world.member, world.member),
                np.where(later, (world.sector + 2) % 5 - 1, world.sector),
            )
            assert_same_bits(result(used, changed)[: cutoff + 1], whole[: cutoff + 1])
        ended = world.mapped(lambda a, end=cutoff + 1: a[:end])
        assert_same_bits(result(used, ended), whole[: cutoff + 1])


def sees_no_further_back_than_its_lookback(used: Used) -> None:
    for world in fine_and_coarse(2):
        whole = result(used, world)
        for begin in (1, 50, 333):
            cut = result(used, world.mapped(lambda a, first=begin: a[first:]))
            assert_same_bits(cut[used.lookback :], whole[begin + used.lookback :])


def is_known_where_its_values_are(used: Used) -> None:
    world = made_world(3)
    finite = np.isfinite(world.values)
    if used.transform.scope == "date":
        expected = finite & ((finite & world.member).sum(axis=1) >= 2)[:, None]
    else:
        expected = np.zeros_like(finite)
        for t in range(used.lookback, DATES):
            expected[t] = finite[t - used.lookback : t + 1].all(axis=0)
    assert expected.any()
    assert np.array_equal(np.isfinite(result(used, world)), expected)


def takes_infinity_as_masked(used: Used) -> None:
    world = made_world(4)
    for infinity in (np.inf, -np.inf):
        filled = np.where(np.isnan(world.values), infinity, world.values)
        assert_same_bits(result(used, replace(world, values=filled)), result(used, world))


def does_not_hang_on_the_order_of_symbols_or_sectors(used: Used) -> None:
    draw = np.random.default_rng(0)
    for world in (*fine_and_coarse(5), *fine_and_coarse(11)):
        whole = result(used, world)
        order = draw.permutation(SYMBOLS)
        moved = world.mapped(lambda a, order=order: a[:, order])
        assert_same_bits(result(used, moved), whole[:, order])
        codes = np.append(draw.permutation(9)[:5], -1)
        assert_same_bits(result(used, replace(world, sector=codes[world.sector])), whole)


def lets_nobody_but_members_count(used: Used) -> None:
    world = made_world(6)
    strangers = np.arange(SYMBOLS) % 4 == 1
    world = replace(world, member=world.member & ~strangers)
    whole = result(used, world)[:, ~strangers]
    for other in (np.nan, 1e9, -world.values):
        changed = replace(world, values=np.where(strangers, other, world.values))
        assert_same_bits(result(used, changed)[:, ~strangers], whole)
    assert_same_bits(result(used, world.mapped(lambda a: a[:, ~strangers])), whole)


def knows_no_unit(used: Used) -> None:
    world = made_world(7)
    # Whole numbers: times 7 they are exact.
    order = np.random.default_rng(7).permutation(world.values.size).reshape(world.values.shape)
    world = replace(world, values=order - world.values.size / 2.0)
    plain = result(used, world)
    for scale in (8.0, 7.0):
        scaled = result(used, replace(world, values=scale * world.values))
        size = np.nanmax(np.abs(plain), initial=0.0)
        close = [
            np.allclose(scaled, f * plain, rtol=1e-9, atol=1e-9 * f * size, equal_nan=True)
            for f in (1.0, scale)
        ]
        assert any(close)


def makes_no_noise_of_equal_values(used: Used) -> None:
    world = made_world(8)
    # 10.1 is no binary fraction, so that a plain mean of many is not it.
    found = result(used, replace(world, values=np.full_like(world.values, 10.1)))
    known = found[~np.isnan(found)]
    assert known.size == 0 or known.min() == known.max() in (0.0, 10.1)


def stays_masked_without_values(used: Used) -> None:
    world = made_world(9)
    nothing = replace(world, values=np.full_like(world.values, np.nan))
    nobody = replace(world, member=np.zeros_like(world.member))
    assert np.isnan(result(used, nothing)).all()
    if used.transform.scope == "date":
        assert np.isnan(result(used, nobody)).all()
    none = world.mapped(lambda a: a[:0])
    assert result(used, none).shape == (0, SYMBOLS)


def leaves_its_input_as_it_was(used: Used) -> None:
    world = made_world(10)
    column = world.values.T.ravel() if used.transform.scope == "symbol" else world.values.ravel()
    before = column.copy()
    more = ()
    if used.transform.scope == "date":
        starts = np.arange(0, column.size + 1, SYMBOLS)
        more = (starts, world.member.ravel(), world.sector.ravel())
    used.transform.function(column, *more, *used.arguments)
    assert_same_bits(column, before)


def states_what_it_is(used: Used) -> None:
    entry = used.transform
    assert len(entry.formula) > 5
    assert len(entry.source) > 5
    assert len(entry.arguments) == len(entry.shortest) == len(entry.longest)
    bounds = zip(entry.shortest, used.arguments, entry.longest, strict=True)
    assert all(low <= chosen <= high for low, chosen, high in bounds)
    assert used.lookback == 0 or entry.scope == "symbol"
    assert used.lookback >= 0


CLAUSES: tuple[Callable[[Used], None], ...] = (
    sees_nothing_later,
    sees_no_further_back_than_its_lookback,
    is_known_where_its_values_are,
    takes_infinity_as_masked,
    does_not_hang_on_the_order_of_symbols_or_sectors,
    lets_nobody_but_members_count,
    knows_no_unit,
    makes_no_noise_of_equal_values,
    stays_masked_without_values,
    leaves_its_input_as_it_was,
    states_what_it_is,
)
