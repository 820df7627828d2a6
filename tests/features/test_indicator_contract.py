"""Every feature keeps the contract, and every clause catches a feature that breaks it."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature, Indicator
from tasks.features.kernels.recursive import exponential_mean, running_total
from tasks.features.names import parse
from tasks.features.spec import FeatureSpec
from tests.features import contract
from tests.features.registry import every_feature


def with_other_periods(name: str) -> Feature:
    entry = INDICATORS[name]
    longer = ",".join(str(period + 3) for period in entry.periods)
    return parse(f"{name}({longer})" if longer else name)


FEATURES = every_feature()
OTHERS = [with_other_periods(name) for name in INDICATORS]


@pytest.mark.parametrize("clause", contract.CLAUSES, ids=lambda clause: clause.__name__)
def test_every_feature_keeps_the_contract(clause):
    assert clause(FEATURES) == []


@pytest.mark.parametrize("clause", contract.CLAUSES, ids=lambda clause: clause.__name__)
def test_every_indicator_keeps_the_contract_with_other_periods(clause):
    assert clause(OTHERS) == []


def test_what_forgets_slowly_agrees_with_the_whole_history_with_any_periods():
    """Stops that turn late, bands that are seldom crossed, and per cents that lie near 0."""
    names = (
        *("parabolic_sar(1,1)", "parabolic_sar(1,20)", "parabolic_sar(10,50)"),
        *("supertrend(10,1)", "supertrend(20,2)", "supertrend(10,8)", "kama(5,5,20)"),
        *("rsi(2)", "rsi(50)", "cmo(3)", "ppo(50,200)", "stochastic_rsi(50,5)", "adx(30)"),
    )
    clause = contract.agrees_with_the_whole_history_where_only_the_newest_bars_are_read
    assert clause([parse(name) for name in names]) == []


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_survives_a_json_round_trip(name):
    spec = FeatureSpec(features=(name, f"{name}|winsor(2)|rank"), lookback=504)
    again = FeatureSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.features == (parse(name).name, f"{parse(name).name}|winsor(2)|rank")


def mean_of_ten(close: np.ndarray) -> np.ndarray:
    out = np.full(close.size, np.nan)
    for t in range(9, close.size):
        out[t] = np.mean(close[t - 9 : t + 1])
    return out


def price_level(close: np.ndarray) -> np.ndarray:
    return mean_of_ten(close)


def poisoned_total(close: np.ndarray) -> np.ndarray:
    return np.cumsum(close) / close


def endless_total(close):
    """Holds no NaN, so the border between two symbols does not end its run."""
    known = np.where(close > 0.0, close, 0.0)
    return running_total(known) / close


def division_of_noise(close: np.ndarray) -> np.ndarray:
    total, mean = np.cumsum(close), np.full(close.size, np.nan)
    mean[10:] = (total[10:] - total[:-10]) / 10.0
    return (close - mean) / np.abs(close - mean)


def running_sums(volume: np.ndarray) -> np.ndarray:
    """A sum that is added to and taken from keeps a remainder where there is nothing left."""
    out = np.full(volume.size, np.nan)
    total = 0.0
    for t, shares in enumerate(volume):
        total += shares
        if t >= 10:
            total -= volume[t - 10]
        out[t] = 1e6 / total if t >= 9 else np.nan
    return out


def wrapped_around(close: np.ndarray) -> np.ndarray:
    return close / np.roll(close, 5)


def writer(close: np.ndarray) -> np.ndarray:
    close[0] = 80.0
    return close / mean_of_ten(close)


def narrow(close: np.ndarray) -> np.ndarray:
    return (close / mean_of_ten(close)).astype(np.float32)


def last_one_only(close: np.ndarray) -> np.ndarray:
    return (close / mean_of_ten(close))[-1:]


def undocumented(close: np.ndarray) -> np.ndarray:
    return close / mean_of_ten(close)


def forgetful(close):
    return exponential_mean(close, 10) / close


def shared_memory():
    seen = []

    def shared_mean(close: np.ndarray) -> np.ndarray:
        seen.append(close.mean())
        return close / np.mean(seen)

    return shared_mean


def broken(function, lookback: int = 9, column: str = "close", joined: bool = False) -> Feature:
    entry = Indicator("trend", function, (column,), (), lambda: lookback, joined=joined)
    return Feature(function.__name__, entry, ())


@pytest.mark.parametrize(
    ("clause", "feature"),
    [
        # Wrong by one, to either side.
        (contract.warms_up_for_its_lookback, broken(price_level, 8)),
        (contract.declares_the_lookback_it_needs, broken(price_level, 8)),
        (contract.declares_the_lookback_it_needs, broken(price_level, 10)),
        (contract.stays_masked_on_a_short_history, broken(price_level, 8)),
        (contract.masks_at_most_its_lookback_after_a_masked_bar, broken(poisoned_total, 0)),
        (contract.masks_at_most_its_lookback_after_a_masked_bar, broken(price_level, 8)),
        (contract.is_per_symbol, broken(shared_memory(), 0)),
        (contract.is_per_symbol, broken(endless_total, 0, joined=True)),
        (contract.gives_in_the_engine_what_it_gives_alone, broken(endless_total, 0, joined=True)),
        (contract.gives_in_the_engine_what_it_gives_alone, broken(shared_memory(), 0)),
        (contract.writes_into_no_column, broken(writer)),
        (contract.gives_a_float64_for_each_bar, broken(narrow)),
        (contract.gives_a_float64_for_each_bar, broken(last_one_only)),
        (contract.is_scale_free, broken(price_level)),
        (contract.is_scale_free, broken(running_sums, 9, "volume")),
        (contract.does_not_blow_up_a_flat_price, broken(division_of_noise, 10)),
        (contract.survives_a_time_without_volume, broken(running_sums, 9, "volume")),
        (
            contract.agrees_with_the_whole_history_where_only_the_newest_bars_are_read,
            broken(forgetful, joined=True),
        ),
        (
            contract.agrees_with_the_whole_history_where_only_the_newest_bars_are_read,
            broken(poisoned_total, 0),
        ),
        (contract.says_what_it_is, broken(undocumented)),
    ],
    ids=lambda value: getattr(value, "__name__", "") or value.name,
)
def test_a_clause_catches_a_broken_feature_and_names_no_other(clause, feature):
    assert clause([parse("rsi(14)"), feature, parse("sma(10)")]) == [feature.name]


def test_a_warm_up_that_is_long_enough_passes():
    entry = replace(parse("ema(10)").indicator, unit="none")
    sound = Feature("sound", replace(entry, function=lambda close, n: forgetful(close)), (10,))
    clause = contract.agrees_with_the_whole_history_where_only_the_newest_bars_are_read
    assert clause([sound]) == []
