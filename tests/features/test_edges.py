"""Series at the edge of what there is: every feature is finite or masked there, and means it."""

from collections.abc import Sequence

import numpy as np
import pytest

from tasks.features.engine import fill
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature
from tasks.features.names import parse
from tests.features.contract import WILD, alone, named, same_bits, table
from tests.features.edges import (
    COUNT,
    EDGES,
    HALT,
    LENGTH,
    Bars,
    fallen_to_nothing,
    flat,
    generated,
    halted,
    in_ticks,
    masked,
    no_volume,
    only,
    up_and_down,
    with_prices,
)
from tests.features.panels import SESSIONS, generated_bars, panel_of
from tests.features.registry import columns_of, every_feature


def shortest_periods() -> list[Feature]:
    """The whole registry with the least periods that may be chosen."""
    numbers = {n: ",".join([str(e.shortest)] * len(e.periods)) for n, e in INDICATORS.items()}
    return [parse(f"{name}({inside})" if inside else name) for name, inside in numbers.items()]


FEATURES = list({f.name: f for f in (*every_feature(), *shortest_periods())}.values())


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.__name__)
def test_every_feature_is_finite_or_masked(edge):
    panel = panel_of(AAA=edge())
    values = alone(edge(), FEATURES)
    assert named(FEATURES, np.isinf(values).any(axis=0)) == []
    wide = np.empty((len(FEATURES), panel.height))
    fill(panel, FEATURES, wide, SESSIONS)
    assert named(FEATURES, np.isinf(wide).any(axis=1)) == []
    early = np.arange(panel.height)[:, None] < [feature.lookback for feature in FEATURES]
    assert named(FEATURES, (early & ~np.isnan(values)).any(axis=0)) == []


def same_at_another_price(bars: Bars, times: float) -> list[str]:
    """The features that hang on what a share costs, or on how many are traded."""
    expected, faulty = alone(bars, FEATURES), []
    dearer = with_prices(lambda prices: prices * times, bars)
    for shares in (1.0, 37.0, 1e6):
        made = alone(dearer | {"volume": bars["volume"] * shares}, FEATURES)
        same = np.isclose(made, expected, rtol=1e-5, atol=1e-6, equal_nan=True)
        faulty += named(FEATURES, ~same.all(axis=0))
    return faulty


@pytest.mark.parametrize("price", [1e-4, 1e6, 80.0 / 3.0])
@pytest.mark.parametrize("edge", [generated, flat, no_volume, halted, fallen_to_nothing])
def test_the_price_of_a_share_decides_nothing(edge, price):
    """Noise that is blown up would be another one at another price."""
    assert same_at_another_price(edge(), price / 80.0) == []


@pytest.mark.parametrize("times", [2.0**-20, 2.0**14])
@pytest.mark.parametrize("edge", [in_ticks, up_and_down])
def test_the_price_of_a_share_decides_nothing_where_moves_are_equal(edge, times):
    # A power of two keeps what is equal equal.
    assert same_at_another_price(edge(), times) == []


def last_row(bars: Bars, features: Sequence[Feature]) -> dict[str, float]:
    return columns_of(bars, features).row(-1, named=True)


# Of a price that never moves and a volume that never changes.
AT_REST = {
    100.0: {"aroon_up", "aroon_down"},
    1.0: {"volume_ratio", "turnover"},
    # Nothing over nothing.
    None: {
        "plus_di", "minus_di", "adx", "rsi", "stochastic_k", "stochastic_d", "stochastic_slow_d",
        "stochastic_rsi", "williams_r", "cci", "cmo", "cmo_plain", "ultimate_oscillator",
        "balance_of_power", "tsi", "bollinger_position", "volume_zscore",
        "price_volume_correlation", "accumulation_distribution", "mfi", "zscore",
        "return_skewness", "return_kurtosis",
    },
}  # fmt: skip


def test_a_price_that_never_moves_is_at_its_averages_and_has_no_direction():
    ours = [parse(n) for n, e in INDICATORS.items() if e.kind not in ("calendar", "alpha")]
    values = last_row(flat(), ours)
    expected = {name: number for number, names in AT_REST.items() for name in names}
    for feature in ours:
        value = values[feature.name]
        number = expected.pop(feature.name.partition("(")[0], 0.0)
        assert np.isnan(value) if number is None else abs(value - number) < 1e-9, feature.name
    assert expected == {}


def looks_at_volume() -> set[str]:
    columns = {"volume", "dollar_volume"}
    by_unit = {"volume", "money", "per_money", "price_square_per_volume"}
    return {
        feature.name
        for feature in FEATURES
        if columns & set(feature.indicator.columns) or feature.indicator.unit in by_unit
    }


def test_without_volume_what_looks_at_it_is_masked_and_the_rest_is_as_it_was():
    with_volume, without = alone(generated(), FEATURES), alone(no_volume(), FEATURES)
    changed = set(named(FEATURES, ~same_bits(with_volume, without).all(axis=0)))
    by_volume = looks_at_volume()
    assert changed == by_volume
    known = set(named(FEATURES, ~np.isnan(without).all(axis=0)))
    # qlib adds 1e-12 below these, so that nothing over nothing is 0.
    zero = ("alpha_wvma", "alpha_vsump", "alpha_vsumn", "alpha_vsumd")
    assert {n.partition("(")[0] for n in known & by_volume} == set(zero)
    column = {f.name: without[:, i] for i, f in enumerate(FEATURES)}
    assert all(np.nanmax(np.abs(column[name])) == 0.0 for name in known & by_volume)
    assert len(by_volume) > 20


# What holds still for 20 bars of a halt or longer, and at what.
STILL = {
    "sma(20)": 0.0,
    "wma(20)": 0.0,
    "hma(20)": 0.0,
    "log_return(1)": 0.0,
    "overnight_return": 0.0,
    "gap": 0.0,
    "true_range": 0.0,
    "realised_volatility(20)": 0.0,
    "yang_zhang(20)": 0.0,
    "bollinger_width(20)": 0.0,
    "channel_width(20)": 0.0,
    "rising_share(20)": 0.0,
    "bollinger_position(20)": None,
    "stochastic_k(14)": None,
    "stochastic_rsi(14,14)": None,
    "cci(20)": None,
    "balance_of_power": None,
    "volume_ratio(20)": None,
    "mfi(14)": None,
    "price_volume_correlation(20)": None,
}


def test_in_a_halt_nothing_moves_and_nothing_is_made_up():
    frame = columns_of(halted(), [parse(name) for name in STILL])
    for name, value in STILL.items():
        # The last of them needs 14 bars of an index that itself has stood still since the second.
        held = frame[name][HALT + 21 : HALT + LENGTH]
        assert held.is_nan().all() if value is None else (held.abs() < 1e-9).all(), name


def test_in_a_halt_what_fades_on_both_sides_stays_where_it_was():
    names = ["rsi(14)", "cmo(14)", "tsi(25,13)", "plus_di(14)", "minus_di(14)", "drawdown(20)"]
    frame = columns_of(halted(), [parse(name) for name in names])
    for name in names:
        values = frame[name][HALT - 1 : HALT + LENGTH].to_numpy()
        if name == "drawdown(20)":
            assert values[-1] == 0.0
        elif name == "tsi(25,13)":
            # Twice smoothed: the moves and their sizes fade, but not at once alike.
            assert np.abs(np.diff(values[1:])).max() < 10.0
        else:
            np.testing.assert_allclose(values, values[0], rtol=1e-5)


def test_in_a_halt_the_true_range_fades_as_wilder_says():
    values = columns_of(halted(), [parse("atr(14)")])["atr(14)"].to_list()
    for t in range(HALT, HALT + LENGTH):
        assert values[t] == pytest.approx(values[t - 1] * 13 / 14, rel=1e-6)


def test_a_halt_leaves_no_trace_once_it_is_out_of_sight():
    values = alone(halted(), FEATURES)
    end = HALT + LENGTH
    back = np.arange(COUNT)[:, None] >= end + np.array([f.lookback for f in FEATURES])
    assert named(FEATURES, (back & np.isnan(values)).any(axis=0)) == []
    assert named(FEATURES, np.nanmax(np.abs(values), axis=0) > WILD) == []
    # What hangs on its window alone is there what it is without a halt.
    expected = alone(generated(), FEATURES)
    windowed = np.array([f.warm_up == 0 for f in FEATURES])
    same = np.isclose(values, expected, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert named(FEATURES, windowed & (back & ~same).any(axis=0)) == []
    assert windowed.sum() > 100


def test_of_one_bar_is_known_what_one_bar_says():
    prices = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 500.0}
    bars = {name: np.array([price]) for name, price in prices.items()}
    values = last_row(bars, FEATURES)
    known = {name for name, value in values.items() if not np.isnan(value)}
    assert known == {feature.name for feature in FEATURES if feature.lookback == 0}
    assert values["intraday_return"] == pytest.approx(np.log(11.0 / 10.0))
    assert values["balance_of_power"] == pytest.approx((11.0 - 10.0) / (12.0 - 9.0))


def test_a_history_one_bar_too_short_is_masked_for_each_feature():
    for need in {feature.lookback for feature in FEATURES} - {0}:
        group = [feature for feature in FEATURES if feature.lookback == need]
        assert np.isnan(alone(generated_bars(need, 5), group)).all()


def test_a_missing_volume_masks_only_what_looks_at_it():
    bars = generated() | {"volume": np.full(COUNT, np.nan)}
    values = alone(bars, FEATURES)
    expected = alone(generated(), FEATURES)
    masked_ones = set(named(FEATURES, np.isnan(values).all(axis=0)))
    assert masked_ones == looks_at_volume()
    others = np.array([feature.name not in masked_ones for feature in FEATURES])
    assert same_bits(values[:, others], expected[:, others]).all()


def test_symbols_at_the_edge_do_not_disturb_one_beside_them():
    panel = panel_of(AAA=masked(), BBB=only(1)(), CCC=generated(), DDD=no_volume(), EEE=flat())
    rows = (panel["symbol"] == "CCC").to_numpy()
    assert same_bits(table(panel, FEATURES)[rows], alone(generated(), FEATURES)).all()
