"""A portfolio that trades forecasts, share by share.

1. At the close of t the forecasts of t name the target weights, and the shares to hold follow
   from the equity and the prices of that close. Nothing later is known.
2. At the open of t+1 the orders fill at that open. A symbol without one is not traded: what was
   held stays held, what was to be bought stays cash, and the order lapses. A name that is held
   and no longer wanted is sold.
3. Sales come first; if a rise overnight makes the purchases dearer than the cash there is, all
   are cut by the same share, so that nobody lends money.
4. Commission and half the spread are paid on the traded value, and shorts pay their borrow fee
   each session on their value at the close before.
5. Equity is marked at the close; a symbol without a bar keeps its last price.

Prices are total-return adjusted, so a dividend is reinvested; shares are fractional.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import SESSIONS_PER_YEAR
from tasks.evaluation.spec import PortfolioSpec

Mode = Literal["long_only", "long_short", "equal_weight"]


@dataclass(frozen=True)
class Market:
    """Bars of one universe, [D, S]; NaN where a symbol has no bar."""

    dates: list[date]
    open: FloatArray
    close: FloatArray
    tradable: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ledger:
    """The account at each close [D], the traded value and costs of each session, shares [D, S]."""

    dates: list[date]
    equity: FloatArray
    cash: FloatArray
    positions_value: FloatArray
    turnover: FloatArray
    costs: FloatArray
    shares: FloatArray


def simulate(
    signal: FloatArray, market: Market, mode: Mode, spec: PortfolioSpec, horizon: int
) -> Ledger:
    """Returns the account of a portfolio that trades `signal` [D, S] (NaN = no forecast).

    A rebalance is decided at the first close with forecasts that is `rebalance_every` sessions
    (by default the horizon) after the last; without forecasts the portfolio keeps what it has.
    """
    every = spec.rebalance_every or horizon
    trade_rate = (spec.commission_bps + spec.spread_bps) / 1e4
    borrow_rate = spec.borrow_bps_per_year / 1e4 / SESSIONS_PER_YEAR
    opens = np.where(market.tradable, market.open, np.nan)
    sessions, names = signal.shape
    equity, cash, positions, turnover, costs = (np.zeros(sessions) for _ in range(5))
    shares = np.zeros((sessions, names))
    price, held, money, worth = np.zeros(names), np.zeros(names), spec.capital, spec.capital
    wanted: FloatArray | None = None
    decided = -every
    for day in range(sessions):
        costs[day] = borrow_rate * np.abs(np.minimum(held * price, 0.0)).sum()
        money -= costs[day]
        if wanted is not None:
            trade = _fill(wanted - held, opens[day], money, trade_rate)
            value = trade * np.where(trade != 0.0, opens[day], 0.0)
            traded = np.abs(value).sum()
            held = held + trade
            money -= value.sum() + trade_rate * traded
            costs[day] += trade_rate * traded
            turnover[day] = traded / worth if worth > 0 else 0.0
            wanted = None
        price = np.where(np.isfinite(market.open[day]), market.open[day], price)
        price = np.where(np.isfinite(market.close[day]), market.close[day], price)
        cash[day], positions[day], shares[day] = money, held @ price, held
        worth = equity[day] = cash[day] + positions[day]
        known = np.isfinite(signal[day]) & (price > 0.0)
        if known.any() and day - decided >= every:
            weights = target_weights(np.where(known, signal[day], np.nan), mode, spec.top_share)
            wanted = weights * max(worth, 0.0) / np.where(known, price, 1.0)
            decided = day
    return Ledger(market.dates, equity, cash, positions, turnover, costs, shares)


def target_weights(signal: FloatArray, mode: Mode, top_share: float) -> FloatArray:
    """Returns the share of equity to hold in each symbol [S]; ties go to the earlier symbol.

    long_only puts all equity into the top names in equal parts, whatever the sign of their
    forecasts; long_short puts half above and half below zero, so that gross exposure is one.
    """
    ranked = np.argsort(-signal, kind="stable")[: int(np.isfinite(signal).sum())]
    weights = np.zeros(signal.size)
    if mode == "equal_weight":
        weights[ranked] = 1.0 / ranked.size
    elif mode == "long_only":
        best = ranked[: max(1, round(top_share * ranked.size))]
        weights[best] = 1.0 / best.size
    elif ranked.size > 1:
        side = min(max(1, round(top_share * ranked.size)), ranked.size // 2)
        weights[ranked[:side]] = 0.5 / side
        weights[ranked[-side:]] = -0.5 / side
    return weights


def _fill(order: FloatArray, opens: FloatArray, money: float, rate: float) -> FloatArray:
    """Returns the shares that really trade at the open."""
    trade = np.where(np.isfinite(opens), order, 0.0)
    value = trade * np.where(np.isfinite(opens), opens, 0.0)
    bought, sold = value[value > 0].sum(), -value[value < 0].sum()
    affordable = max(money + sold * (1.0 - rate), 0.0) / (1.0 + rate)
    if bought > affordable:
        trade = np.where(trade > 0, trade * (affordable / bought), trade)
    return trade
