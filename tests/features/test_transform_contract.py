from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import rankdata

from tasks.features.transforms import TRANSFORMS
from tasks.features.transforms.entry import Transform
from tests.features import transform_contract as contract
from tests.features.transform_contract import Used

NAN = np.nan


def choices(name: str) -> list[tuple[int, ...]]:
    entry = TRANSFORMS[name]
    return sorted({entry.shortest, entry.arguments, entry.longest})


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, chosen) for name in TRANSFORMS for chosen in choices(name)]
)
@pytest.mark.parametrize("clause", contract.CLAUSES, ids=lambda clause: clause.__name__)
def test_every_transform_keeps_the_contract(clause, name, arguments):
    clause(Used(TRANSFORMS[name], arguments))


def each_date(one):
    """Makes a transform of scope `date` of one that takes a single date."""

    def whole(values, starts, member, sector):
        parts = [one(values[a:b], member[a:b], sector[a:b]) for a, b in pairwise(starts)]
        return np.concatenate(parts) if parts else values.copy()

    return whole


def kept(values, member):
    """The members' finite values, where there are two."""
    known = values[member & np.isfinite(values)]
    return known if known.size > 1 else np.array([NAN])


def whole_sample_rank(values, starts, member, sector):
    return rankdata(values, nan_policy="omit") / values.size - 0.5


def score_of_everyone(values, member, sector):
    known = kept(values, np.isfinite(values))
    return (values - known.mean()) / known.std()


def score_of_a_sum_in_the_order_of_symbols(values, member, sector):
    known = kept(values, member)
    return np.where(np.isfinite(values), values - np.cumsum(known)[-1] / known.size, NAN)


def masked_as_zero(values, member, sector):
    return np.nan_to_num(values - kept(values, member).mean())


def members_alone(values, member, sector):
    return np.where(member, values - kept(values, member).mean(), NAN)


def lone_members_too(values, member, sector):
    return values - values[member].mean() if member.any() else values * NAN


def infinite_mean(values, member, sector):
    return values - np.nanmean(values[member & ~np.isnan(values)])


def rank_of_sectors(values, member, sector):
    return values - kept(values, member).mean() + sector


def logarithm(values, member, sector):
    return np.sign(values) * np.log1p(np.abs(values)) - 0.0 * kept(values, member).mean()


def changed_in_place(values, member, sector):
    values *= 2.0
    return values


def full_sample_score(values):
    return (values - np.nanmean(values)) / np.nanstd(values)


def score_since_the_beginning(values):
    known = np.nan_to_num(values)
    return values - np.cumsum(known) / np.arange(1, values.size + 1)


def negative_shift(values):
    return np.append(values[1:], NAN)


def over_the_gaps(values):
    out = np.full(values.size, NAN)
    rows = np.flatnonzero(np.isfinite(values))
    out[rows[1:]] = values[rows[1:]] - values[rows[:-1]]
    return out


def running_sum(values):
    known = np.nan_to_num(values)
    total = np.cumsum(known)
    mean = (total - np.append(np.zeros(10), total[:-10])) / 10
    return values - mean


def broken_by_date(one) -> Used:
    return Used(Transform("date", each_date(one)))


def broken_by_symbol(function, lookback: int = 0) -> Used:
    return Used(Transform("symbol", function, lookback=lambda: lookback))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("clause", "used"),
    [
        (contract.sees_nothing_later, Used(Transform("date", whole_sample_rank))),
        (contract.sees_nothing_later, broken_by_symbol(full_sample_score)),
        (contract.sees_nothing_later, broken_by_symbol(negative_shift)),
        (
            contract.sees_no_further_back_than_its_lookback,
            broken_by_symbol(score_since_the_beginning, 3),
        ),
        (contract.sees_no_further_back_than_its_lookback, broken_by_symbol(running_sum, 9)),
        (contract.is_known_where_its_values_are, broken_by_symbol(over_the_gaps, 1)),
        (contract.is_known_where_its_values_are, broken_by_symbol(score_since_the_beginning, 3)),
        (contract.is_known_where_its_values_are, broken_by_date(masked_as_zero)),
        (contract.is_known_where_its_values_are, broken_by_date(members_alone)),
        (contract.is_known_where_its_values_are, broken_by_date(lone_members_too)),
        (contract.takes_infinity_as_masked, broken_by_date(infinite_mean)),
        (
            contract.does_not_hang_on_the_order_of_symbols_or_sectors,
            broken_by_date(score_of_a_sum_in_the_order_of_symbols),
        ),
        (
            contract.does_not_hang_on_the_order_of_symbols_or_sectors,
            broken_by_date(rank_of_sectors),
        ),
        (contract.lets_nobody_but_members_count, broken_by_date(score_of_everyone)),
        (contract.knows_no_unit, broken_by_date(logarithm)),
        (
            contract.makes_no_noise_of_equal_values,
            broken_by_date(score_of_a_sum_in_the_order_of_symbols),
        ),
        (contract.makes_no_noise_of_equal_values, broken_by_symbol(running_sum, 9)),
        (contract.stays_masked_without_values, broken_by_date(masked_as_zero)),
        (contract.leaves_its_input_as_it_was, broken_by_date(changed_in_place)),
        (contract.states_what_it_is, broken_by_date(members_alone)),
    ],
)
def test_the_contract_catches_a_broken_transform(clause, used):
    with pytest.raises(AssertionError):
        clause(used)
