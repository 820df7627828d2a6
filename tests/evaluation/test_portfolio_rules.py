"""Each rule of the portfolio by hand: what is chosen, what limits it, what it pays."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.portfolio import Market, simulate, target_weights
from tasks.evaluation.spec import PortfolioSpec
from tasks.lake.factors import adjust
from tests.evaluation.worlds import START

NAN = np.nan
FREE = PortfolioSpec(
    commission_bps=0, spread_bps=0, borrow_bps_per_year=0, impact=0, max_participation=None
)


def spec(**changed):
    return FREE.model_copy(update=changed)


def flat_market(prices, **known):
    """A market whose opens and closes are the same."""
    prices = np.asarray(prices, dtype=float)
    return Market([START] * len(prices), prices, prices, np.isfinite(prices), **known)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("long_only", [0.5, 0.0, 0.0, 0.5, 0.0, 0.0]),
        ("long_short", [0.25, 0.0, 0.0, 0.25, -0.25, -0.25]),
        # The mean is 1.1; off it are 1.9, -0.1, 0.9, -0.6 and -2.1, in all 5.6.
        ("forecast_weighted", np.array([1.9, -0.1, 0.0, 0.9, -0.6, -2.1]) / 5.6),
        ("equal_weight", [0.2, 0.2, 0.0, 0.2, 0.2, 0.2]),
    ],
)
def test_weights_by_hand(mode, expected):
    signal = np.array([3.0, 1.0, NAN, 2.0, 0.5, -1.0])
    found = target_weights(signal, mode, spec(top_share=0.4))
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_ties_go_to_the_earlier_symbol_and_no_symbol_is_on_both_sides():
    same = np.ones(4)
    half = spec(top_share=0.5)
    np.testing.assert_array_equal(target_weights(same, "long_only", half), [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(
        target_weights(same, "long_short", half), [0.25, 0.25, -0.25, -0.25]
    )
    assert not target_weights(same, "forecast_weighted", half).any()


def test_one_name_cannot_be_traded_against_itself():
    for mode in ("long_short", "forecast_weighted"):
        assert not target_weights(np.array([1.0, NAN]), mode, spec(top_share=0.5)).any()


def test_a_count_is_no_more_than_there_are_names():
    signal = np.arange(5.0)
    np.testing.assert_array_equal(
        target_weights(signal, "long_only", spec(top_count=2)), [0, 0, 0, 0.5, 0.5]
    )
    few = target_weights(signal, "long_only", spec(top_count=50))
    np.testing.assert_array_equal(few, np.full(5, 0.2))
    both = target_weights(signal, "long_short", spec(top_count=50))
    np.testing.assert_array_equal(both, [-0.25, -0.25, 0, 0.25, 0.25])


def test_the_first_fill_is_at_the_open_after_the_first_close():
    prices = np.array([[10.0], [20.0], [40.0]])
    market = Market([START] * 3, prices, prices + 5, np.isfinite(prices))
    ledger = simulate(np.ones((3, 1)), market, "long_only", spec(staggered=False), horizon=3)
    # 1,000,000 / 15 shares are wanted at the close of 15, but at the open of 20 only 50,000 can
    # be paid for.
    np.testing.assert_allclose(ledger.shares[:, 0], [0.0, 50_000.0, 50_000.0])
    np.testing.assert_allclose(ledger.equity, [1e6, 25 * 5e4, 45 * 5e4])


def test_tranches_start_one_session_after_the_other_and_trade_every_horizon():
    prices = np.full((8, 2), 10.0)
    signal = np.column_stack([np.arange(8) % 2 == 0, np.arange(8) % 2 == 1]).astype(float)
    ledger = simulate(signal, flat_market(prices), "long_only", spec(top_count=1), horizon=3)
    third = 1e6 / 3 / 10
    # Decided by forecasts of sessions 0, 1, 2, then 3, 4, 5: each tranche turns round once.
    expected = np.array([[0, 0], [1, 0], [1, 1], [2, 1], [1, 2], [2, 1], [1, 2], [2, 1]]) * third
    np.testing.assert_allclose(ledger.shares, expected, atol=1e-9)
    np.testing.assert_allclose(ledger.turnover, [0, 1 / 3, 1 / 3, 1 / 3, *[2 / 3] * 4])


def test_tranches_wait_for_the_next_close_with_forecasts():
    signal = np.full((6, 1), NAN)
    signal[[0, 4]] = 1.0
    ledger = simulate(signal, flat_market(np.full((6, 1), 10.0)), "long_only", spec(), horizon=3)
    np.testing.assert_allclose(ledger.shares[:, 0] * 30 / 1e6, [0, 1, 1, 1, 1, 3])


def test_at_most_the_limit_leaves_and_the_best_of_them_stay():
    prices = np.full((4, 6), 10.0)
    signal = np.array([[9, 8, 7, 1, 2, 3], [1, 2, 3, 7, 8, 9], [1, NAN, 3, 7, 8, 9], [0] * 6])
    ledger = simulate(
        signal.astype(float), flat_market(prices), "long_only", spec(top_count=3, drop_limit=1), 1
    )
    held = [set(np.flatnonzero(row)) for row in ledger.shares]
    # The worst of the three makes room for the best newcomer. Symbol 1 then has no forecast any
    # more and leaves beyond the limit, and symbol 2 leaves within it.
    assert held == [set(), {0, 1, 2}, {1, 2, 5}, {3, 4, 5}]


def test_what_a_limit_cuts_stays_in_cash():
    market = flat_market(np.full((2, 4), 10.0), sector=np.array([[0, 0, 1, -1]] * 2))
    signal = np.array([[4.0, 3.0, 2.0, 1.0], [NAN] * 4])
    capped = simulate(signal, market, "equal_weight", spec(max_weight=0.2), 1)
    np.testing.assert_allclose(capped.shares[1] * 10 / 1e6, [0.2] * 4)
    assert capped.cash[1] == pytest.approx(2e5)
    sectors = simulate(signal, market, "equal_weight", spec(max_sector_weight=0.3), 1)
    np.testing.assert_allclose(sectors.shares[1] * 10 / 1e6, [0.15, 0.15, 0.25, 0.25])
    slow = simulate(signal, market, "equal_weight", spec(max_turnover=0.4), 1)
    np.testing.assert_allclose(slow.shares[1] * 10 / 1e6, [0.1] * 4)
    np.testing.assert_allclose(slow.turnover, [0, 0.4])
    np.testing.assert_allclose(slow.gross_exposure, [0, 0.4])


def test_weights_shrink_to_the_volatility_wanted_by_the_returns_so_far():
    # A loss of 1 % follows a gain of 1 %: 60 returns have a deviation of 0.01 √(60 / 59).
    steps = np.where(np.arange(70) % 2 == 0, 1.01, 0.99)
    closes = 10 * np.cumprod(steps)[:, None]
    market = flat_market(closes[60:], earlier_close=closes[:60])
    signal = np.full((10, 1), NAN)
    signal[[0, 5]] = 1.0
    target = 0.5 * 0.01 * np.sqrt(252)
    ledger = simulate(signal, market, "long_only", spec(volatility_target=target), 1)
    share = 0.5 / np.sqrt(60 / 59)
    assert ledger.shares[1, 0] * closes[60, 0] / 1e6 == pytest.approx(share, rel=1e-9)
    # Without 60 returns the money waits; a target above the volatility changes nothing.
    short = replace(market, earlier_close=closes[5:60])
    waits = simulate(signal, short, "long_only", spec(volatility_target=target), 1)
    assert not waits.shares[:6].any()
    assert waits.shares[6].any()
    full = simulate(signal, market, "long_only", spec(volatility_target=1.0), 1)
    affordable = 1e6 * min(1.0, closes[60, 0] / closes[61, 0])
    assert full.shares[1, 0] * closes[60, 0] == pytest.approx(affordable, rel=1e-12)


def test_filters_look_at_the_close_of_the_decision():
    market = flat_market(
        np.full((3, 4), 10.0),
        dollar_volume=np.array([[1e6, 1e9, 1e9, NAN]] * 3),
        volatility=np.array([[0.01, 0.05, 0.01, 0.01]] * 3),
        member=np.array([[True] * 4, [True, True, False, True], [True] * 4]),
    )
    signal = np.array([[1.0] * 4, [1.0] * 4, [NAN] * 4])
    limits = spec(min_dollar_volume=1e7, max_volatility=0.5)
    ledger = simulate(signal, market, "equal_weight", limits, 1)
    # Too little volume, 79 % of volatility a year, an unknown volume. On the second close the third
    # is no member any more: without any candidate the portfolio keeps what it has.
    np.testing.assert_allclose(ledger.shares[1], [0, 0, 1e5, 0])
    np.testing.assert_allclose(ledger.shares[2], [0, 0, 1e5, 0])
    member = simulate(signal, market, "equal_weight", FREE, 1)
    np.testing.assert_allclose(member.shares[2], np.array([1, 1, 0, 1]) * 1e6 / 30)


def test_a_position_without_an_open_is_kept_and_its_order_lapses():
    opens = [[10.0, 10.0], [10.0, 10.0], [NAN, 10.0], [10.0, 10.0]]
    signal = np.array([[2.0, 1.0], [1.0, 2.0], [NAN, NAN], [NAN, NAN]])
    ledger = simulate(signal, flat_market(opens), "long_only", spec(top_count=1), 1)
    # The switch ordered on the second close finds no buyer for the first symbol, hence no cash.
    np.testing.assert_array_equal(ledger.shares[1:], [[1e5, 0.0]] * 3)
    np.testing.assert_allclose(ledger.unfilled, [0, 0, 1e6, 0])


def test_a_bought_symbol_without_an_open_stays_cash():
    opens = [[10.0, 10.0], [NAN, 10.0], [10.0, 10.0]]
    signal = np.array([[1.0, 1.0], [NAN, NAN], [NAN, NAN]])
    ledger = simulate(signal, flat_market(opens), "equal_weight", FREE, 1)
    np.testing.assert_array_equal(ledger.shares, [[0, 0], [0, 5e4], [0, 5e4]])
    np.testing.assert_allclose(ledger.cash, [1e6, 5e5, 5e5])


def test_turnover_and_costs_by_hand():
    signal = np.array([[2.0, 1.0], [1.0, 2.0], [NAN, NAN]])
    market = flat_market(np.full((3, 2), 10.0))
    ledger = simulate(signal, market, "long_short", spec(spread_bps=10, commission_bps=5), 1)
    # Half bought, half sold short: all equity is traded once; then both sides are turned round.
    np.testing.assert_allclose(ledger.turnover, [0.0, 1.0, 2.0], rtol=2e-3)
    np.testing.assert_allclose(ledger.spread, [0.0, 1000.0, 2000.0], rtol=2e-3)
    np.testing.assert_allclose(ledger.commission, [0.0, 500.0, 1000.0], rtol=2e-3)
    np.testing.assert_allclose(ledger.gross_exposure, [0.0, 1.0, 1.0], rtol=4e-3)
    np.testing.assert_allclose(ledger.net_exposure, [0.0] * 3, atol=1e-9)


def test_slippage_is_the_square_root_law():
    market = flat_market(
        np.full((2, 1), 10.0),
        dollar_volume=np.array([[1e6], [1.0]]),
        volatility=np.full((2, 1), 0.02),
    )
    signal = np.array([[1.0], [NAN]])
    # A quarter of the volume known at the decision: 2 × 2 % × √(1/4) = 2 % of 250,000.
    small = spec(impact=2.0, max_weight=0.25)
    ledger = simulate(signal, market, "long_only", small, 1)
    np.testing.assert_allclose(ledger.slippage, [0.0, 5000.0])
    assert ledger.costs[1] == ledger.slippage[1]
    # The whole million would slip by 4 %, so it is cut to 1 / 1.04 and then slips a little less.
    whole = simulate(signal, market, "long_only", spec(impact=2.0), 1)
    bought = 1e6 / 1.04
    assert whole.slippage[1] == pytest.approx(bought * 0.04 * np.sqrt(bought / 1e6))
    assert whole.cash[1] == pytest.approx(1e6 - bought - whole.slippage[1])


def test_an_order_above_its_share_of_the_volume_is_cut():
    market = flat_market(
        np.full((2, 2), 10.0),
        dollar_volume=np.array([[2e6, NAN]] * 2),
        volatility=np.full((2, 2), 0.02),
    )
    signal = np.array([[1.0, 1.0], [NAN, NAN]])
    ledger = simulate(signal, market, "equal_weight", spec(max_participation=0.1), 1)
    # 200,000 of 500,000; and nobody knows what the other trades.
    np.testing.assert_allclose(ledger.shares[1], [20_000.0, 0.0])
    np.testing.assert_allclose(ledger.unfilled, [0.0, 800_000.0])


def test_shorts_pay_for_what_they_borrow_and_cash_earns_what_is_not_their_proceeds():
    signal = np.array([[2.0, 1.0]] + [[NAN, NAN]] * 3)
    rates = spec(borrow_bps_per_year=252, interest_bps_per_year=252)
    ledger = simulate(signal, flat_market(np.full((4, 2), 10.0)), "long_short", rates, 1)
    # A short of 500,000 at 1 bp a session, from the session after its sale. The million of cash
    # earns 100 before the trade; after it 500,000 of it are the short's proceeds.
    np.testing.assert_allclose(ledger.borrow, [0.0, 0.0, 50.0, 50.0], rtol=2e-4)
    np.testing.assert_allclose(ledger.interest, [0.0, 100.0, 50.0, 50.0], rtol=3e-4)


def test_a_halted_position_is_kept_and_a_dead_one_paid_out_less_the_loss():
    prices = np.full((9, 2), 10.0)
    prices[2:4, 0] = NAN
    prices[5:, 0] = NAN
    signal = np.array([[2.0, 1.0]] + [[NAN, NAN]] * 8)
    rules = spec(delisted_after=3, delisting_loss=0.3, top_share=0.5)
    ledger = simulate(signal, flat_market(prices), "long_short", rules, 1)
    np.testing.assert_allclose(ledger.shares[:, 0] * 10 / 1e6, [0, *[0.5] * 6, 0, 0])
    np.testing.assert_allclose(ledger.written_off, [*[0.0] * 7, 150_000.0, 0.0])
    np.testing.assert_allclose(ledger.equity, [*[1e6] * 7, 850_000.0, 850_000.0])
    # The other way round a short is bought back at the last price and gains nothing.
    other = simulate(-signal, flat_market(prices), "long_short", rules, 1)
    np.testing.assert_allclose(other.equity, [1e6] * 9)
    assert not other.shares[7:, 0].any()


def test_a_split_changes_nothing_and_a_dividend_is_reinvested():
    days = [date(2020, 1, 1) + timedelta(days=day) for day in range(8)]
    raw = np.array([10.0, 11.0, 12.0, 6.5, 6.0, 5.5, 5.0, 5.5])
    bars = pl.DataFrame(
        {"symbol": "A", "date": days, "volume": 1000.0}
        | dict.fromkeys(("open", "high", "low", "close"), raw)
    )
    actions = pl.DataFrame(
        {"symbol": ["A", "A"], "date": [days[3], days[5]], "kind": ["split", "dividend"],
         "value": [2.0, 0.6]}
    )  # fmt: skip
    panel = adjust(bars, actions)
    prices = panel["close"].to_numpy()[:, None]
    signal = np.full((8, 1), NAN)
    signal[0] = 1.0
    ledger = simulate(signal, flat_market(prices), "long_only", FREE, 1)
    # By the raw prices: 1e6 / 11 shares are bought, doubled by the split; each then earns 0.6, put
    # into shares at the price it had without the dividend, 6 - 0.6.
    shares = 1e6 / 11 * np.array([0, 1, 1, 2, 2, 2 * 6 / 5.4, 2 * 6 / 5.4, 2 * 6 / 5.4])
    expected = shares * raw
    np.testing.assert_allclose(ledger.equity[1:], expected[1:], rtol=1e-12)
    assert (ledger.turnover > 0).sum() == 1
