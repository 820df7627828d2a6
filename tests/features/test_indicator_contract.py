import numpy as np
import polars as pl
import pytest

from tasks.features.causality import first_causal_violation
from tasks.features.engine import compute
from tasks.features.indicators import INDICATORS, kernels
from tasks.features.indicators.entry import Feature, Indicator
from tasks.features.spec import FeatureSpec, parse
from tests.features import contract
from tests.features.panels import generated_bars, panel_of


@pytest.mark.parametrize("name", INDICATORS)
@pytest.mark.parametrize("clause", contract.CLAUSES, ids=lambda clause: clause.__name__)
def test_every_indicator_keeps_the_contract(clause, name):
    clause(parse(name))


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_survives_a_json_round_trip(name):
    spec = FeatureSpec(features=(name,), lookback=504)
    assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_whole_set_is_causal_at_random_dates():
    features = [parse(name) for name in INDICATORS]
    panel = panel_of(AAA=generated_bars(400, 11), BBB=generated_bars(330, 12))
    for row in np.random.default_rng(0).integers(5, 399, 5):
        cutoff = panel.row(row)[1]
        assert first_causal_violation(lambda p: compute(p, features), panel, cutoff) is None


def centred_window(close: np.ndarray) -> np.ndarray:
    out = np.full(close.size, np.nan)
    for t in range(5, close.size - 5):
        out[t] = close[t - 5 : t + 6].mean() / close[t]
    return out


def full_sample_normalisation(close: np.ndarray) -> np.ndarray:
    return (close - np.nanmean(close)) / np.nanstd(close)


def back_fill(close: np.ndarray) -> np.ndarray:
    weekly = np.where(np.arange(close.size) % 5 == 0, close, np.nan)
    filled = pl.Series(weekly).fill_nan(None).fill_null(strategy="backward")
    return filled.fill_null(np.nan).to_numpy() / close


def back_filled_warm_up(close: np.ndarray) -> np.ndarray:
    average = kernels.rolling_mean(close, 10)
    average[:9] = average[9] if close.size > 9 else np.nan
    return average / close


def negative_shift(close: np.ndarray) -> np.ndarray:
    out = np.full(close.size, np.nan)
    out[:-1] = close[1:] / close[:-1]
    return out


def poisoned_total(close: np.ndarray) -> np.ndarray:
    return np.cumsum(close) / close


def price_level(close: np.ndarray) -> np.ndarray:
    return kernels.rolling_mean(close, 10)


def division_of_noise(close: np.ndarray) -> np.ndarray:
    sums = np.convolve(close, np.full(10, 0.1))[: close.size]
    return (close - sums) / np.abs(sums - kernels.rolling_mean(close, 10))


def unguarded_share(volume: np.ndarray) -> np.ndarray:
    return volume / kernels.rolling_mean(volume, 10)


def shared_memory():
    seen = []

    def shared_mean(close: np.ndarray) -> np.ndarray:
        seen.append(close.mean())
        return close / np.mean(seen)

    return shared_mean


def broken(function, lookback: int = 0, column: str = "close") -> Feature:
    entry = Indicator("trend", function, (column,), (), lambda: lookback)
    return Feature(function.__name__, entry, ())


@pytest.mark.parametrize(
    "function", [centred_window, full_sample_normalisation, back_fill, negative_shift]
)
def test_the_causality_check_names_an_indicator_that_looks_ahead(function):
    panel = panel_of(AAA=generated_bars(200, 13), BBB=generated_bars(200, 14))
    cutoff = panel.row(152)[1]
    features = [parse("rsi(14)"), broken(function), parse("sma(10)")]
    found = first_causal_violation(lambda p: compute(p, features), panel, cutoff)
    assert found is not None
    assert found.startswith(function.__name__)


def test_the_causality_check_sees_rows_that_appear():
    panel = panel_of(AAA=generated_bars(50, 15))
    found = first_causal_violation(lambda p: p.sort("close").head(20), panel, panel.row(30)[1])
    assert found is not None
    assert "rows" in found


@pytest.mark.parametrize(
    ("clause", "feature"),
    [
        (contract.is_causal, broken(negative_shift)),
        (contract.is_causal, broken(back_filled_warm_up, lookback=9)),
        (contract.is_per_symbol, broken(shared_memory())),
        (contract.warms_up_for_its_lookback, broken(price_level, lookback=8)),
        (contract.masks_at_most_its_lookback_after_a_masked_bar, broken(poisoned_total)),
        (contract.is_scale_free, broken(price_level, lookback=9)),
        (contract.does_not_blow_up_a_flat_price, broken(division_of_noise)),
        (contract.survives_a_time_without_volume, broken(unguarded_share, 9, "volume")),
        (contract.stays_masked_on_a_short_history, broken(price_level, lookback=3)),
        (contract.states_its_formula_and_source, broken(price_level)),
    ],
)
def test_the_contract_catches_a_broken_indicator(clause, feature):
    with pytest.raises((AssertionError, FloatingPointError)):
        clause(feature)
