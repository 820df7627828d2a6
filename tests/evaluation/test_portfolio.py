from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tasks.evaluation.portfolio import Market, simulate, target_weights
from tasks.evaluation.spec import PortfolioSpec
from tests.evaluation.worlds import START, random_market

MODES = ("long_only", "long_short", "equal_weight")
FREE = PortfolioSpec(commission_bps=0, spread_bps=0, borrow_bps_per_year=0)
DEAR = PortfolioSpec(commission_bps=20, spread_bps=30, borrow_bps_per_year=2000)


def naive(signal, market, mode, spec, every):
    """The account kept share by share, one symbol after the other."""
    rate = (spec.commission_bps + spec.spread_bps) / 10_000
    held, price, orders, money, waited = {}, {}, None, spec.capital, every
    equities, moneys, paid = [], [], []
    for day in range(len(market.dates)):
        fee = 0.0
        for name, count in held.items():
            if count < 0:
                fee += -count * price[name] * spec.borrow_bps_per_year / 10_000 / 252
        money -= fee
        if orders is not None:
            sales, purchases = {}, {}
            for name in range(signal.shape[1]):
                change = orders.get(name, 0.0) - held.get(name, 0.0)
                if market.tradable[day, name] and change < 0:
                    sales[name] = change
                elif market.tradable[day, name] and change > 0:
                    purchases[name] = change
            for name, change in sales.items():
                value = -change * market.open[day, name]
                money += value - value * rate
                fee += value * rate
                held[name] = held.get(name, 0.0) + change
            bill = sum(change * market.open[day, name] for name, change in purchases.items())
            part = min(1.0, max(money, 0.0) / (bill * (1 + rate))) if bill else 1.0
            for name, change in purchases.items():
                value = part * change * market.open[day, name]
                money -= value + value * rate
                fee += value * rate
                held[name] = held.get(name, 0.0) + part * change
            orders = None
        for name in range(signal.shape[1]):
            for quoted in (market.open[day, name], market.close[day, name]):
                if np.isfinite(quoted):
                    price[name] = quoted
        equity = money + sum(count * price[name] for name, count in held.items() if count)
        equities.append(equity)
        moneys.append(money)
        paid.append(fee)
        waited += 1
        known = [n for n in range(signal.shape[1]) if np.isfinite(signal[day, n]) and n in price]
        if known and waited > every:
            waited = 1
            known.sort(key=lambda name: -signal[day, name])
            count = max(1, round(spec.top_share * len(known)))
            share = dict.fromkeys(known, 1 / len(known))
            if mode == "long_only":
                share = dict.fromkeys(known[:count], 1 / count)
            elif mode == "long_short":
                count = min(count, len(known) // 2)
                half = 0.5 / max(count, 1)
                share = dict.fromkeys(known[:count], half)
                share |= dict.fromkeys(known[len(known) - count :], -half)
            orders = {name: part * equity / price[name] for name, part in share.items()}
    return np.array(equities), np.array(moneys), np.array(paid)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spec", [FREE, PortfolioSpec(), DEAR], ids=["free", "default", "dear"])
def test_agrees_with_the_naive_account(mode, spec):
    for seed in range(15):
        signal, market = random_market(seed, names=2 + seed % 6)
        every = 1 + seed % 4
        ledger = simulate(signal, market, mode, spec, horizon=every)
        equity, money, paid = naive(signal, market, mode, spec, every)
        np.testing.assert_allclose(ledger.equity, equity, rtol=1e-9)
        np.testing.assert_allclose(ledger.cash, money, atol=1e-9 * spec.capital)
        np.testing.assert_allclose(ledger.costs, paid, atol=1e-9 * spec.capital)


@pytest.mark.parametrize("mode", MODES)
def test_cash_and_positions_are_the_equity_and_only_trades_and_costs_move_cash(mode):
    for seed in range(30):
        signal, market = random_market(seed, missing=0.4)
        ledger = simulate(signal, market, mode, PortfolioSpec(), horizon=1)
        last = np.full(signal.shape[1], np.nan)
        money, before = PortfolioSpec().capital, np.zeros(signal.shape[1])
        for day in range(signal.shape[0]):
            last = np.where(np.isfinite(market.open[day]), market.open[day], last)
            last = np.where(np.isfinite(market.close[day]), market.close[day], last)
            value = sum(n * p for n, p in zip(ledger.shares[day], last, strict=True) if n)
            assert ledger.cash[day] + value == pytest.approx(ledger.equity[day], rel=1e-9)
            traded = ledger.shares[day] - before
            assert np.isfinite(market.open[day][traded != 0]).all()
            money -= sum(n * p for n, p in zip(traded, market.open[day], strict=True) if n)
            money -= ledger.costs[day]
            assert ledger.cash[day] == pytest.approx(money, abs=1e-9 * ledger.equity[0])
            before = ledger.shares[day]


@pytest.mark.parametrize("mode", MODES)
def test_every_fill_happens_after_its_signal(mode):
    for seed in range(10):
        signal, market = random_market(seed)
        cutoff = 20 + seed
        base = simulate(signal, market, mode, PortfolioSpec(), horizon=1)
        # What is known from the close of the cutoff on must not touch the account before it.
        altered = signal.copy()
        altered[cutoff:] = -altered[cutoff:]
        late = simulate(altered, market, mode, PortfolioSpec(), horizon=1)
        np.testing.assert_array_equal(late.shares[: cutoff + 1], base.shares[: cutoff + 1])
        np.testing.assert_array_equal(late.equity[: cutoff + 1], base.equity[: cutoff + 1])
        opens, closes = market.open.copy(), market.close.copy()
        opens[cutoff + 1 :], closes[cutoff + 1 :] = 1e9, 1e9
        nonsense = replace(market, open=opens, close=closes)
        later = simulate(signal, nonsense, mode, PortfolioSpec(), horizon=1)
        np.testing.assert_array_equal(later.equity[: cutoff + 1], base.equity[: cutoff + 1])


def test_the_first_fill_is_at_the_open_after_the_first_close():
    prices = np.array([[10.0], [20.0], [40.0]])
    market = Market([START] * 3, prices, prices + 5, np.isfinite(prices))
    ledger = simulate(np.ones((3, 1)), market, "long_only", FREE, horizon=3)
    # 1,000,000 / 15 shares are wanted at the close of 15, but at the open of 20 only 50,000 can
    # be paid for.
    np.testing.assert_allclose(ledger.shares[:, 0], [0.0, 50_000.0, 50_000.0])
    np.testing.assert_allclose(ledger.equity, [1e6, 25 * 5e4, 45 * 5e4])


def test_oracle_earns_the_most_and_its_opposite_the_least():
    rng = np.random.default_rng(0)
    for seed in range(20):
        _, market = random_market(seed, missing=0.0)
        oracle = np.full(market.open.shape, np.nan)
        oracle[:-2] = market.open[2:] / market.open[1:-1]
        oracle[~np.isfinite(market.close)] = np.nan
        signals = [oracle, *(rng.normal(size=oracle.shape) for _ in range(10)), -oracle]
        final = [
            simulate(np.where(np.isfinite(oracle), s, np.nan), market, "long_only", FREE, 1).equity[
                -1
            ]
            for s in signals
        ]
        assert final[0] == max(final)
        assert final[-1] == min(final)


def test_without_forecasts_nothing_is_traded_and_nothing_paid():
    signal, market = random_market(0)
    for mode in MODES:
        ledger = simulate(np.full(signal.shape, np.nan), market, mode, DEAR, horizon=1)
        np.testing.assert_array_equal(ledger.equity, np.full(len(market.dates), DEAR.capital))
        assert not ledger.costs.any()
        assert not ledger.turnover.any()
        assert not ledger.shares.any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cost", ["commission_bps", "spread_bps", "borrow_bps_per_year"])
def test_profit_never_rises_with_costs(mode, cost):
    for seed in range(20):
        signal, market = random_market(seed)
        steps = [FREE.model_copy(update={cost: bps}) for bps in (0.0, 1.0, 10.0, 100.0)]
        ends = [simulate(signal, market, mode, spec, horizon=2).equity[-1] for spec in steps]
        assert all(after <= before for before, after in pairwise(ends))
        if mode == "long_short" or cost != "borrow_bps_per_year":
            assert ends[-1] < ends[0]


def test_long_portfolios_never_owe_money():
    for seed in range(20):
        signal, market = random_market(seed, missing=0.3)
        for mode in ("long_only", "equal_weight"):
            ledger = simulate(signal, market, mode, DEAR, horizon=1)
            assert ledger.cash.min() >= -1e-9 * DEAR.capital
            assert ledger.shares.min() >= -1e-9


def test_a_position_without_an_open_is_kept_and_its_order_lapses():
    nan = np.nan
    opens = np.array([[10.0, 10.0], [10.0, 10.0], [nan, 10.0], [10.0, 10.0]])
    market = Market([START] * 4, opens, opens, np.isfinite(opens))
    signal = np.array([[2.0, 1.0], [1.0, 2.0], [nan, nan], [nan, nan]])
    ledger = simulate(signal, market, "long_only", FREE, horizon=1)
    # The switch ordered on the second close finds no buyer for the first symbol, hence no cash.
    np.testing.assert_array_equal(ledger.shares[1:], [[1e5, 0.0]] * 3)


def test_turnover_and_costs_by_hand():
    prices = np.full((3, 2), 10.0)
    market = Market([START] * 3, prices, prices, np.isfinite(prices))
    signal = np.array([[2.0, 1.0], [1.0, 2.0], [np.nan, np.nan]])
    ledger = simulate(signal, market, "long_short", FREE.model_copy(update={"spread_bps": 10}), 1)
    # Half bought, half sold short: all equity is traded once; then both sides are turned round.
    np.testing.assert_allclose(ledger.turnover, [0.0, 1.0, 2.0], rtol=2e-3)
    np.testing.assert_allclose(ledger.costs, [0.0, 1000.0, 2000.0], rtol=2e-3)


def test_shorts_pay_for_what_they_borrow():
    prices = np.full((4, 2), 10.0)
    market = Market([START] * 4, prices, prices, np.isfinite(prices))
    signal = np.array([[2.0, 1.0]] + [[np.nan, np.nan]] * 3)
    ledger = simulate(
        signal, market, "long_short", FREE.model_copy(update={"borrow_bps_per_year": 252}), 1
    )
    # A short of 500,000 at 1 bp a session, from the session after its sale.
    np.testing.assert_allclose(ledger.costs, [0.0, 0.0, 50.0, 50.0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("long_only", [0.5, 0.0, 0.0, 0.5, 0.0, 0.0]),
        ("long_short", [0.25, 0.0, 0.0, 0.25, -0.25, -0.25]),
        ("equal_weight", [0.2, 0.2, 0.0, 0.2, 0.2, 0.2]),
    ],
)
def test_weights_by_hand(mode, expected):
    signal = np.array([3.0, 1.0, np.nan, 2.0, 0.5, -1.0])
    np.testing.assert_allclose(target_weights(signal, mode, 0.4), expected)


def test_one_name_cannot_be_traded_against_itself():
    assert not target_weights(np.array([1.0, np.nan]), "long_short", 0.5).any()
