"""The account of a portfolio: against a naive one, and by what must hold whatever the market."""

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from models.errors import UsageError
from tasks.evaluation.portfolio import Market, Mode, simulate
from tasks.evaluation.spec import PortfolioSpec
from tests.evaluation.naive_account import keep
from tests.evaluation.worlds import START, random_market

MODES = get_args(Mode)
MARKETS = 1000
FREE = PortfolioSpec(
    commission_bps=0, spread_bps=0, borrow_bps_per_year=0, impact=0, max_participation=None
)
DEAR = PortfolioSpec(commission_bps=20, spread_bps=30, borrow_bps_per_year=2000, impact=3)
# What a limit, a filter, a rate may be; every market draws from them.
CHOICES = {
    "top_share": (0.2, 0.5),
    "top_count": (None, None, 1, 2, 9),
    "drop_limit": (None, 0, 1),
    "rebalance_every": (None, 1, 3),
    "staggered": (True, False),
    "max_weight": (None, None, 0.3),
    "max_sector_weight": (None, None, 0.4),
    "max_turnover": (None, None, 0.5),
    "volatility_target": (None, None, 0.2),
    "min_dollar_volume": (None, None, 2e6),
    "max_volatility": (None, None, 0.5),
    "commission_bps": (0.0, 1.0, 20.0),
    "spread_bps": (0.0, 30.0),
    "impact": (0.0, 1.0, 5.0),
    "max_participation": (None, 0.02),
    "borrow_bps_per_year": (0.0, 2000.0),
    "interest_bps_per_year": (0.0, 500.0),
    "delisted_after": (3, 20),
    "delisting_loss": (0.0, 0.3),
}


def random_spec(seed, **fixed):
    rng = np.random.default_rng([1, seed])
    drawn = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    return PortfolioSpec(**{**drawn, **fixed})


def random_case(seed, **fixed):
    """A market, its forecasts, a mode, a specification and a horizon."""
    signal, market = random_market(seed, names=1 + seed % 7, missing=(0.0, 0.1, 0.4)[seed % 3])
    return signal, market, MODES[seed % 4], random_spec(seed, **fixed), 1 + seed % 5


def test_agrees_with_the_naive_account_on_every_market():
    for seed in range(MARKETS):
        signal, market, mode, spec, horizon = random_case(seed)
        ledger = simulate(signal, market, mode, spec, horizon)
        naive = keep(signal, market, mode, spec, horizon)
        before = np.concatenate([[spec.capital], naive.equity[:-1]])
        told = f"market {seed}: {mode}, horizon {horizon}, {spec}"
        for name, found, expected in (
            ("equity", ledger.equity, naive.equity),
            ("cash", ledger.cash, naive.cash),
            ("costs", ledger.costs, naive.costs),
            ("interest", ledger.interest, naive.interest),
            ("written off", ledger.written_off, naive.written_off),
            ("traded", ledger.turnover * before, naive.traded),
        ):
            np.testing.assert_allclose(
                found, expected, atol=1e-9 * spec.capital, rtol=1e-9, err_msg=f"{name}, {told}"
            )


def test_cash_and_positions_are_the_equity_and_every_change_of_cash_is_accounted_for():
    for seed in range(MARKETS):
        signal, market, mode, spec, horizon = random_case(seed)
        ledger = simulate(signal, market, mode, spec, horizon)
        price, before, money = np.zeros(signal.shape[1]), np.zeros(signal.shape[1]), spec.capital
        silent = np.zeros(signal.shape[1])
        for day in range(signal.shape[0]):
            seen = np.isfinite(market.open[day]) | np.isfinite(market.close[day])
            silent = np.where(seen, 0, silent + 1)
            paid_out = silent == spec.delisted_after
            changed = ledger.shares[day] - before
            money += (before * price)[paid_out].sum() - ledger.written_off[day]
            traded = np.where(paid_out, 0.0, changed)
            assert np.isfinite(market.open[day][traded != 0]).all()
            money -= np.nansum(traded * market.open[day])
            money += ledger.interest[day] - ledger.costs[day]
            assert ledger.cash[day] == pytest.approx(money, abs=1e-9 * spec.capital)
            price = np.where(np.isfinite(market.open[day]), market.open[day], price)
            price = np.where(np.isfinite(market.close[day]), market.close[day], price)
            value = ledger.shares[day] @ price
            scale = max(abs(ledger.equity[day]), spec.capital)
            assert abs(ledger.cash[day] + value - ledger.equity[day]) <= 1e-9 * scale
            assert abs(value - ledger.positions_value[day]) <= 1e-9 * scale
            before = ledger.shares[day]


def test_without_forecasts_nothing_is_traded_and_nothing_paid():
    for seed in range(MARKETS):
        signal, market, mode, spec, horizon = random_case(seed, interest_bps_per_year=0.0)
        ledger = simulate(np.full(signal.shape, np.nan), market, mode, spec, horizon)
        np.testing.assert_array_equal(ledger.equity, np.full(len(market.dates), spec.capital))
        assert not ledger.costs.any()
        assert not ledger.turnover.any()
        assert not ledger.shares.any()


@pytest.mark.parametrize(
    ("cost", "steps"),
    [
        ("commission_bps", (0.0, 1.0, 10.0, 100.0)),
        ("spread_bps", (0.0, 1.0, 10.0, 100.0)),
        ("borrow_bps_per_year", (0.0, 50.0, 500.0, 5000.0)),
        ("impact", (0.0, 0.5, 1.0, 3.0)),
        ("delisting_loss", (0.0, 0.1, 0.5, 1.0)),
    ],
)
def test_profit_never_rises_with_costs(cost, steps):
    # Without impact and limit nobody asks for a volume, and what has none would be traded too.
    fixed = {"max_participation": 0.02} if cost == "impact" else {}
    fell = 0
    for seed in range(MARKETS):
        signal, market, mode, spec, horizon = random_case(seed, **fixed)
        specs = [spec.model_copy(update={cost: step}) for step in steps]
        ends = [simulate(signal, market, mode, s, horizon).equity[-1] for s in specs]
        for before, after in pairwise(ends):
            assert after <= before + 1e-9 * spec.capital, (seed, mode, horizon, spec, ends)
        fell += ends[-1] < ends[0]
    assert fell > MARKETS // 50


@pytest.mark.parametrize("mode", ["long_only", "long_short"])
def test_the_oracle_earns_the_most_and_its_opposite_the_least(mode):
    for seed in range(MARKETS):
        _, market = random_market(seed, missing=0.0, sessions=25)
        # Without a gap overnight the shares decided at a close are those that the money buys.
        opens = np.concatenate([market.open[:1], market.close[:-1]])
        market = replace(market, open=opens, tradable=np.isfinite(opens), member=None)
        oracle = np.full(opens.shape, np.nan)
        oracle[:-2] = opens[2:] / opens[1:-1]
        rng = np.random.default_rng(seed)
        signals = [oracle, *(rng.normal(size=oracle.shape) for _ in range(5)), -oracle]
        known = np.isfinite(oracle)
        ends = [
            simulate(np.where(known, signal, np.nan), market, mode, FREE, 1).equity[-1]
            for signal in signals
        ]
        assert ends[0] >= max(ends) * (1 - 1e-12)
        assert ends[-1] <= min(ends) * (1 + 1e-12)
        assert ends[0] > ends[-1]


def test_every_fill_is_later_than_the_last_input_of_its_signal():
    rng = np.random.default_rng(0)
    for seed in range(MARKETS):
        signal, market, mode, spec, horizon = random_case(seed)
        base = simulate(signal, market, mode, spec, horizon)
        cutoff = int(rng.integers(1, 59))
        nonsense = (np.nan, 1e9, 1e-3, None)[seed % 4]

        def replaced(values, start, fill=nonsense):
            changed = values.copy()
            # The last way is the rows of another symbol.
            changed[start:] = np.roll(values[start:], 1, axis=1) if fill is None else fill
            return changed

        # What is known at the close of the cutoff only must not touch the account up to it.
        late = replace(
            market,
            dollar_volume=replaced(market.dollar_volume, cutoff),
            volatility=replaced(market.volatility, cutoff),
            member=replaced(market.member, cutoff, None),
            sector=replaced(market.sector, cutoff, None),
        )
        later = simulate(replaced(signal, cutoff), late, mode, spec, horizon)
        np.testing.assert_array_equal(later.shares[: cutoff + 1], base.shares[: cutoff + 1])
        np.testing.assert_array_equal(later.equity[: cutoff + 1], base.equity[: cutoff + 1])
        # Nor may the bars after it.
        opens, closes = replaced(market.open, cutoff + 1), replaced(market.close, cutoff + 1)
        after = replace(late, open=opens, close=closes, tradable=np.isfinite(opens))
        future = simulate(replaced(signal, cutoff), after, mode, spec, horizon)
        np.testing.assert_array_equal(future.shares[: cutoff + 1], base.shares[: cutoff + 1])
        np.testing.assert_array_equal(future.equity[: cutoff + 1], base.equity[: cutoff + 1])
        silent = ~np.isfinite(signal).any(axis=1)
        first = len(silent) if silent.all() else int(silent.argmin())
        assert not base.shares[: first + 1].any()


def test_long_portfolios_never_owe_money():
    for seed in range(MARKETS):
        signal, market = random_market(seed, missing=0.3)
        mode = ("long_only", "equal_weight")[seed % 2]
        ledger = simulate(signal, market, mode, random_spec(seed), horizon=1 + seed % 3)
        assert ledger.cash.min() >= -1e-9 * DEAR.capital
        assert ledger.shares.min() >= -1e-9


def test_what_a_specification_needs_of_the_market_is_asked_for():
    signal, market = random_market(0)
    bare = Market([START] * 60, market.open, market.close, market.tradable)
    simulate(signal, bare, "long_only", FREE, 1)
    with pytest.raises(UsageError, match="impact, max_participation need the dollar volume"):
        simulate(signal, bare, "long_only", PortfolioSpec(), 1)
    limited = FREE.model_copy(update={"max_sector_weight": 0.3})
    with pytest.raises(UsageError, match=r"max_sector_weight=0.3 needs the symbols' sectors"):
        simulate(signal, bare, "long_only", limited, 1)


def test_shares_need_not_be_kept():
    signal, market = random_market(3)
    kept = simulate(signal, market, "long_short", DEAR, 5)
    lean = simulate(signal, market, "long_short", DEAR, 5, keep_shares=False)
    np.testing.assert_array_equal(lean.equity, kept.equity)
    assert lean.shares.size == 0
