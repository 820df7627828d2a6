"""The portfolio's account kept the slow way: one symbol and one share after the other.

Written from the words of `tasks/evaluation/portfolio.py`, not from its code: dictionaries, sorted
lists and Python's numbers only.
"""

import math
import statistics
from dataclasses import dataclass, field

SESSIONS_PER_YEAR = 252
VOLATILITY_SESSIONS = 60


@dataclass
class Purse:
    """One tranche: its money, its shares by symbol, and what it has decided."""

    money: float
    held: dict = field(default_factory=dict)
    orders: dict | None = None
    decided: int = -1
    due: int | None = None
    chosen: dict = field(default_factory=lambda: {"long": [], "short": []})


@dataclass
class Account:
    """What the naive simulation has seen, one number a session."""

    equity: list = field(default_factory=list)
    cash: list = field(default_factory=list)
    costs: list = field(default_factory=list)
    interest: list = field(default_factory=list)
    traded: list = field(default_factory=list)
    written_off: list = field(default_factory=list)
    shares: list = field(default_factory=list)


def keep(signal, market, mode, spec, horizon):
    """Returns the account of the portfolio."""
    every = spec.rebalance_every or horizon
    count = every if spec.staggered else 1
    purses = [Purse(spec.capital / count) for _ in range(count)]
    price, silent, account = {}, {}, Account()
    for day in range(len(market.dates)):
        paid = earned = traded = lost = 0.0
        for purse in purses:
            short = sum(-n * price[s] for s, n in purse.held.items() if n < 0)
            fee = short * spec.borrow_bps_per_year / 10_000 / SESSIONS_PER_YEAR
            gain = max(purse.money - short, 0.0)
            gain *= spec.interest_bps_per_year / 10_000 / SESSIONS_PER_YEAR
            gain = gain if day else 0.0
            purse.money += gain - fee
            paid, earned = paid + fee, earned + gain
            if purse.orders is not None:
                value, fees = trade(purse, market, spec, day)
                traded, paid = traded + value, paid + fees
        for name in range(signal.shape[1]):
            silent[name] = silent.get(name, 0) + 1
            for quoted in (market.open[day, name], market.close[day, name]):
                if math.isfinite(quoted):
                    price[name], silent[name] = float(quoted), 0
            if silent[name] == spec.delisted_after:
                for purse in purses:
                    value = purse.held.pop(name, 0.0) * price.get(name, 0.0)
                    loss = spec.delisting_loss * value if value > 0 else 0.0
                    purse.money += value - loss
                    lost += loss
        account.shares.append(
            [sum(p.held.get(name, 0.0) for p in purses) for name in range(signal.shape[1])]
        )
        account.cash.append(sum(p.money for p in purses))
        account.equity.append(sum(worth(p, price) for p in purses))
        account.costs.append(paid)
        account.interest.append(earned)
        account.traded.append(traded)
        account.written_off.append(lost)
        known = candidates(signal, market, spec, day, price)
        if known:
            for place, purse in enumerate(purses):
                if purse.due is None:
                    purse.due = day + place
                if day >= purse.due:
                    decide(purse, known, market, mode, spec, day, price)
                    purse.decided, purse.due = day, day + every
    return account


def worth(purse, price):
    return purse.money + sum(n * price[s] for s, n in purse.held.items() if n)


def candidates(signal, market, spec, day, price):
    known = {}
    for name in range(signal.shape[1]):
        fits = math.isfinite(signal[day, name]) and name in price
        fits = fits and (market.member is None or market.member[day, name])
        if fits and spec.min_dollar_volume is not None:
            fits = market.dollar_volume[day, name] >= spec.min_dollar_volume
        if fits and spec.max_volatility is not None:
            fits = market.volatility[day, name] * math.sqrt(252) <= spec.max_volatility
        if fits:
            known[name] = float(signal[day, name])
    return known


def decide(purse, known, market, mode, spec, day, price):
    weights = weigh(purse, known, mode, spec)
    if spec.max_weight is not None:
        weights = {s: math.copysign(min(abs(w), spec.max_weight), w) for s, w in weights.items()}
    if spec.max_sector_weight is not None:
        sums = {}
        for name, weight in weights.items():
            sector = market.sector[day, name]
            sums[sector] = sums.get(sector, 0.0) + abs(weight)
        for name in weights:
            whole = sums[market.sector[day, name]]
            weights[name] *= min(1.0, spec.max_sector_weight / whole) if whole else 1.0
    if spec.volatility_target is not None:
        part = steadied(weights, market, spec, day)
        weights = {name: part * weight for name, weight in weights.items()}
    equity = max(worth(purse, price), 0.0)
    wanted = {name: weight * equity / price[name] for name, weight in weights.items()}
    names = {*wanted, *purse.held}
    steps = {s: wanted.get(s, 0.0) - purse.held.get(s, 0.0) for s in names}
    value = sum(abs(step) * price[s] for s, step in steps.items())
    if spec.max_turnover is not None and value > spec.max_turnover * equity:
        steps = {s: step * spec.max_turnover * equity / value for s, step in steps.items()}
    purse.orders = {s: step for s, step in steps.items() if step}


def weigh(purse, known, mode, spec):
    ranked = sorted(known, key=lambda name: -known[name])
    if mode == "equal_weight":
        return dict.fromkeys(ranked, 1 / len(ranked))
    if mode == "forecast_weighted":
        middle = statistics.fmean(known.values())
        gross = sum(abs(score - middle) for score in known.values())
        return {s: (score - middle) / gross for s, score in known.items()} if gross else {}
    count = max(1, min(spec.top_count or round(spec.top_share * len(known)), len(known)))
    if mode == "long_only":
        purse.chosen["long"] = replace_worst(ranked, purse.chosen["long"], count, spec)
        return dict.fromkeys(purse.chosen["long"], 1 / count)
    count = min(count, len(known) // 2)
    if count == 0:
        return {}
    longs = replace_worst(ranked, purse.chosen["long"], count, spec)
    rest = [name for name in reversed(ranked) if name not in longs]
    shorts = replace_worst(rest, purse.chosen["short"], count, spec)
    purse.chosen = {"long": longs, "short": shorts}
    return dict.fromkeys(longs, 0.5 / count) | dict.fromkeys(shorts, -0.5 / count)


def replace_worst(ranked, before, count, spec):
    """The best `count`, but at most `drop_limit` of `before` that are still ranked may go."""
    best = ranked[:count]
    leaving = [name for name in ranked if name in before and name not in best]
    coming = [name for name in best if name not in before]
    while spec.drop_limit is not None and len(leaving) > spec.drop_limit and coming:
        best.remove(coming.pop())
        best.append(leaving.pop(0))
    return best


def steadied(weights, market, spec, day):
    closes = [*([] if market.earlier_close is None else market.earlier_close), *market.close]
    today = len(closes) - len(market.dates) + day
    if today < VOLATILITY_SESSIONS:
        return 0.0
    series = []
    for row in range(today - VOLATILITY_SESSIONS + 1, today + 1):
        total = 0.0
        for name, weight in weights.items():
            change = closes[row][name] / closes[row - 1][name] - 1
            total += weight * change if math.isfinite(change) else 0.0
        series.append(total)
    volatility = statistics.stdev(series) * math.sqrt(252)
    return min(1.0, spec.volatility_target / volatility) if volatility else 1.0


def trade(purse, market, spec, day):
    """Fills the purse's orders; returns the value traded and what it cost."""
    rate = (spec.commission_bps + spec.spread_bps) / 10_000
    priced = spec.impact > 0 or spec.max_participation is not None

    def cost(name, value):
        if not spec.impact:
            return value * rate
        share = value / market.dollar_volume[purse.decided, name]
        return value * (
            rate + spec.impact * market.volatility[purse.decided, name] * math.sqrt(share)
        )

    sales, purchases = {}, {}
    for name, order in purse.orders.items():
        if not market.tradable[day, name]:
            continue
        if priced:
            volume = market.dollar_volume[purse.decided, name]
            if not (volume > 0 and market.volatility[purse.decided, name] >= 0):
                continue
            if spec.max_participation is not None:
                most = spec.max_participation * volume / market.open[day, name]
                order = math.copysign(min(abs(order), most), order)
        (sales if order < 0 else purchases)[name] = order
    total = fees = 0.0
    for name, order in sales.items():
        value = -order * market.open[day, name]
        purse.money += value - cost(name, value)
        purse.held[name] = purse.held.get(name, 0.0) + order
        total, fees = total + value, fees + cost(name, value)
    bills = {s: n * market.open[day, s] for s, n in purchases.items()}
    bill = sum(value + cost(name, value) for name, value in bills.items())
    part = min(1.0, max(purse.money, 0.0) / bill) if bill else 1.0
    for name, order in purchases.items():
        value = part * bills[name]
        purse.money -= value + cost(name, value)
        purse.held[name] = purse.held.get(name, 0.0) + part * order
        total, fees = total + value, fees + cost(name, value)
    for name in [s for s, n in purse.held.items() if abs(n) * market.open[day, s] < 1e-6]:
        del purse.held[name]
    purse.orders = None
    return total, fees
