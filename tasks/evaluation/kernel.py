"""The simulation behind `portfolio.py`, compiled; the order of things within a day is told there.

Arrays are [S] for one session, [D, S] for all and [T, S] for the tranches. All of it is in one
file: what numba keeps on disk notices a change of its own file only.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

_compiled = njit(nogil=True, cache=True, error_model="numpy")

LONG_ONLY, LONG_SHORT, FORECAST_WEIGHTED, EQUAL_WEIGHT = range(4)

# Columns of the book, fields of `Ledger`: currency units of one session, the turnover a share.
EQUITY, CASH, LONG, SHORT, TURNOVER, UNFILLED = range(6)
COMMISSION, SPREAD, SLIPPAGE, BORROW, INTEREST, WRITTEN_OFF = range(6, 12)
COLUMNS = (
    *("equity", "cash", "long", "short", "turnover", "unfilled"),
    *("commission", "spread", "slippage", "borrow", "interest", "written_off"),
)


class Rules(NamedTuple):
    """What is traded and what it costs; shares are of 1, a limit that is not set is infinite."""

    mode: int
    top_share: float
    top_count: int  # 0: by share
    drop_limit: int
    max_weight: float
    max_sector_weight: float
    max_turnover: float
    volatility_target: float
    volatility_sessions: int
    every: int
    tranches: int
    commission: float
    spread: float
    impact: float
    max_participation: float
    borrow: float  # a session
    interest: float  # a session
    delisted_after: int
    delisting_loss: float
    capital: float


class Data(NamedTuple):
    """The market; sectors and returns that are not needed have no rows."""

    signal: Any  # [D, S], NaN where a name is no candidate
    open: Any
    close: Any
    tradable: Any  # [D, S] bool
    dollar_volume: Any  # [D, S], or [1, S] infinite where volume limits nothing
    volatility: Any  # [D, S], or [1, S] zero
    sector: Any  # [D, S] int, -1 where unknown
    returns: Any  # [L + D, S]: the last D rows are the sessions'


@_compiled
def run(data, rules, book, shares, paid):
    """Fills `book` [D, columns], and `shares` and `paid` [D, S] unless they have no rows."""
    sessions, names = data.signal.shape
    held, wanted = np.zeros((rules.tranches, names)), np.zeros((rules.tranches, names))
    longs = np.zeros((rules.tranches, names), np.bool_)
    shorts = np.zeros((rules.tranches, names), np.bool_)
    cash = np.full(rules.tranches, rules.capital / rules.tranches)
    decided = np.full(rules.tranches, -1)  # session of the orders that wait for the next open
    due = np.full(rules.tranches, sessions)
    price, position, part = np.zeros(names), np.zeros(names), np.zeros(names)
    silent, weights = np.zeros(names, np.int64), np.zeros(names)
    known, orders = np.zeros(names, np.bool_), np.zeros(names, np.int64)
    lost = np.zeros(names)  # what each name costs in a session
    started, worth = False, rules.capital
    for day in range(sessions):
        line = book[day]
        lost[:] = 0.0
        for one in range(rules.tranches):
            if day > 0:
                cash[one] += _carry(held[one], price, cash[one], rules, line, lost)
            if decided[one] >= 0:
                volume = _row(data.dollar_volume, decided[one])
                moves = _row(data.volatility, decided[one])
                count = _reach(wanted[one], held[one], data.tradable[day], data.open[day], volume,
                               moves, rules.max_participation, orders, part)  # fmt: skip
                cash[one] += _fill(orders[:count], wanted[one], held[one], data.open[day], price,
                                   volume, moves, rules, cash[one], part, line, lost)  # fmt: skip
                _sum_up(orders[:count], held, position)
                decided[one] = -1
        line[TURNOVER] /= worth if worth > 0.0 else np.inf
        if _mark(data.open[day], data.close[day], rules.delisted_after, price, silent):
            _settle(silent, price, held, position, cash, rules, line, lost)
        worth = _value(position, price, cash, line)
        if shares.shape[0]:
            shares[day], paid[day] = position, lost
        if _find_known(data.signal[day], price, known) == 0:
            continue
        if not started:
            started = True
            for one in range(rules.tranches):
                due[one] = day + one
        for one in range(rules.tranches):
            if day >= due[one]:
                choose(data.signal[day], known, rules, longs[one], shorts[one], weights)
                _cap(weights, data.sector, day, rules)
                if rules.volatility_target < np.inf:
                    part_of = _steadied(weights, data.returns, day - sessions, rules)
                    for s in range(names):
                        weights[s] *= part_of
                _order(weights, held[one], cash[one], price, rules.max_turnover, wanted[one])
                decided[one], due[one] = day, day + rules.every


@_compiled
def _row(values, day):
    """Returns a day's row; what was not given has one row that limits nothing."""
    return values[min(day, values.shape[0] - 1)]


@_compiled
def _find_known(signal, price, known):
    """Marks the candidates, names with a forecast and a price; returns how many there are."""
    names = 0
    for s in range(known.size):
        known[s] = np.isfinite(signal[s]) and price[s] > 0.0
        names += known[s]
    return names


@_compiled
def _value(position, price, cash, line):
    """Writes the account's value at the close and returns the equity."""
    for s in range(position.size):
        value = position[s] * price[s]
        line[LONG] += max(value, 0.0)
        line[SHORT] -= min(value, 0.0)
    for money in cash:
        line[CASH] += money
    line[EQUITY] = line[CASH] + line[LONG] - line[SHORT]
    return line[EQUITY]


@_compiled
def _carry(held, price, cash, rules, line, lost):
    """Returns interest less borrow fee for the night, on the values at the close before.

    Proceeds of shorts lie with the lender and earn nothing.
    """
    short = 0.0
    if rules.mode == LONG_SHORT or rules.mode == FORECAST_WEIGHTED:
        for s in range(held.size):
            value = max(-held[s] * price[s], 0.0)
            short += value
            lost[s] += rules.borrow * value
    fee, earned = rules.borrow * short, rules.interest * max(cash - short, 0.0)
    line[BORROW] += fee
    line[INTEREST] += earned
    return earned - fee


@_compiled
def _reach(wanted, held, tradable, opens, volume, moves, most, orders, part):
    """Lists the names to trade, and the part of each order that the open and the volume take.

    Whoever does not know a name's volume and volatility cannot say what a trade costs. Returns
    the number of names.
    """
    count = 0
    for s in range(held.size):
        if wanted[s] != held[s]:
            orders[count], part[s] = s, 0.0
            count += 1
            if tradable[s] and opens[s] > 0.0 and volume[s] > 0.0 and moves[s] >= 0.0:
                part[s] = min(1.0, most * volume[s] / (abs(wanted[s] - held[s]) * opens[s]))
    return count


@_compiled
def _fill(orders, wanted, held, opens, price, volume, moves, rules, cash, part, line, lost):
    """Trades at the open and returns what that adds to the cash."""
    rate = rules.commission + rules.spread
    sold, bill = 0.0, 0.0
    for s in orders:
        order = wanted[s] - held[s]
        line[UNFILLED] += (1.0 - part[s]) * abs(order) * price[s]
        if part[s] > 0.0:
            value = abs(part[s] * order * opens[s])
            cost = value * (rate + rules.impact * moves[s] * np.sqrt(value / volume[s]))
            if order < 0.0:
                sold += value - cost
            else:
                bill += value + cost
    # Smaller orders slip less, so what is cut by this share is surely paid for.
    affordable = max(cash + sold, 0.0)
    cut = affordable / bill if bill > affordable else 1.0
    traded, gained = 0.0, 0.0
    for s in orders:
        order = wanted[s] - held[s]
        share = part[s] * cut if order > 0.0 else part[s]
        if share > 0.0:
            value = abs(share * order * opens[s])
            slipped = value * rules.impact * moves[s] * np.sqrt(value / volume[s])
            traded += value
            line[SLIPPAGE] += slipped
            gained -= np.sign(order) * value + rate * value + slipped
            lost[s] += rate * value + slipped
            # An order that is filled leaves no dust of rounding.
            held[s] = wanted[s] if share == 1.0 else held[s] + share * order
    line[TURNOVER] += traded
    line[COMMISSION] += rules.commission * traded
    line[SPREAD] += rules.spread * traded
    return gained


@_compiled
def _sum_up(orders, held, position):
    """Brings the shares over all tranches up to date where something was ordered."""
    for s in orders:
        position[s] = 0.0
        for one in range(held.shape[0]):
            position[s] += held[one, s]


@_compiled
def _mark(opens, closes, delisted_after, price, silent):
    """Takes over the newest prices; returns whether a name has just been silent for too long."""
    late = False
    for s in range(price.size):
        silent[s] += 1
        if np.isfinite(opens[s]):
            price[s], silent[s] = opens[s], 0
        if np.isfinite(closes[s]):
            price[s], silent[s] = closes[s], 0
        late |= silent[s] == delisted_after
    return late


@_compiled
def _settle(silent, price, held, position, cash, rules, line, lost):
    """Pays out what has just been silent for too long; a short gains nothing by the loss."""
    for s in range(silent.size):
        if silent[s] == rules.delisted_after and position[s] != 0.0:
            for one in range(held.shape[0]):
                value = held[one, s] * price[s]
                loss = rules.delisting_loss * max(value, 0.0)
                cash[one] += value - loss
                line[WRITTEN_OFF] += loss
                lost[s] += loss
                held[one, s] = 0.0
            position[s] = 0.0


@_compiled
def _order(weights, held, cash, price, max_turnover, wanted):
    """Writes the shares to hold, from a tranche's equity and the prices of this close."""
    worth = cash
    for s in range(held.size):
        worth += held[s] * price[s]
    worth = max(worth, 0.0)
    traded = 0.0
    for s in range(held.size):
        wanted[s] = weights[s] * worth / price[s] if weights[s] != 0.0 else 0.0
        traded += abs(wanted[s] - held[s]) * price[s]
    if traded > max_turnover * worth:
        share = max_turnover * worth / traded
        for s in range(held.size):
            wanted[s] = held[s] + share * (wanted[s] - held[s])


@_compiled
def choose(signal, known, rules, long, short, weights):
    """Writes the weights, and into `long` and `short` the names chosen, which hold the last ones.

    Candidates are the names `known`. Ties go to the earlier name.
    """
    names, total = 0, 0.0
    for s in range(known.size):
        weights[s] = 0.0
        if known[s]:
            names += 1
            total += signal[s]
    count = min(rules.top_count, names) if rules.top_count else round(rules.top_share * names)
    count = max(1, count)
    if rules.mode == EQUAL_WEIGHT:
        _spread_over(known, 1.0 / names, weights)
    elif rules.mode == FORECAST_WEIGHTED:
        _weigh_by_distance(signal, known, total / names, weights)
    elif rules.mode == LONG_ONLY:
        _pick(signal, known, count, rules.drop_limit, long)
        _spread_over(long, 1.0 / count, weights)
    elif names > 1:
        count = min(count, names // 2)
        _pick(signal, known, count, rules.drop_limit, long)
        _pick(-signal, known & ~long, count, rules.drop_limit, short)
        _spread_over(long, 0.5 / count, weights)
        _spread_over(short, -0.5 / count, weights)


@_compiled
def _spread_over(chosen, weight, weights):
    for s in range(chosen.size):
        if chosen[s]:
            weights[s] = weight


@_compiled
def _weigh_by_distance(signal, known, middle, weights):
    """Weighs in proportion to the signal's distance from the middle, gross one."""
    gross = 0.0
    for s in range(known.size):
        if known[s]:
            weights[s] = signal[s] - middle
            gross += abs(weights[s])
    for s in range(known.size):
        weights[s] /= gross if gross > 0.0 else np.inf


@_compiled
def _pick(score, among, count, drop_limit, chosen):
    """Replaces the names `chosen` by the `count` best `among`; at most `drop_limit` must leave.

    Names that are no candidates any more leave beyond the limit. What stays on is the best of
    those that would leave, in place of the worst that would come.
    """
    best = np.zeros(among.size, np.bool_)
    _take(score, among, count, best)
    if drop_limit < among.size:
        leaving, coming = chosen & among & ~best, best & ~chosen
        newcomers, pardoned = 0, -drop_limit
        for s in range(among.size):
            newcomers += coming[s]
            pardoned += leaving[s]
        pardoned = min(pardoned, newcomers)
        if pardoned > 0:
            best &= ~coming
            _take(score, coming, newcomers - pardoned, best)
            _take(score, leaving, pardoned, best)
    chosen[:] = best


@_compiled
def _take(score, among, count, taken):
    """Marks the `count` highest of the names `among`."""
    values, size = np.empty(among.size), 0
    for s in range(among.size):
        if among[s]:
            values[size] = score[s]
            size += 1
    if count == 0:
        return
    edge = _ranked(values[:size], size - count)
    left = count
    for s in range(score.size):
        if among[s] and score[s] > edge:
            taken[s] = True
            left -= 1
    for s in range(score.size):
        if left == 0:
            break
        if among[s] and score[s] == edge:
            taken[s] = True
            left -= 1


@_compiled
def _ranked(values, rank):
    """Returns the value at place `rank` of the ascending order, by Hoare's FIND; reorders."""
    low, high = 0, values.size - 1
    while low < high:
        pivot, i, j = values[rank], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if j < rank:
            low = i
        if rank < i:
            high = j
    return values[rank]


@_compiled
def _cap(weights, sector, day, rules):
    """Cuts names, then sectors, to their limits; what is cut stays in cash.

    Names whose sector is unknown count as one sector.
    """
    if rules.max_weight < np.inf:
        for s in range(weights.size):
            weights[s] = min(max(weights[s], -rules.max_weight), rules.max_weight)
    if rules.max_sector_weight < np.inf:
        gross = np.zeros(sector.max() + 2)
        for s in range(weights.size):
            gross[sector[day, s] + 1] += abs(weights[s])
        for s in range(weights.size):
            whole = gross[sector[day, s] + 1]
            if whole > rules.max_sector_weight:
                weights[s] *= rules.max_sector_weight / whole


@_compiled
def _steadied(weights, returns, day, rules):
    """Returns the share of the weights that has the volatility wanted, at most 1.

    The volatility is that of the returns which these weights would have had in the sessions up to
    `day`, counted from the end. Until there are enough of them it is 0: the money waits in cash.
    """
    last, count = returns.shape[0] + day, rules.volatility_sessions
    if last < count:
        return 0.0
    series = np.zeros(count)
    for s in range(weights.size):
        if weights[s] != 0.0:
            for back in range(count):
                series[back] += weights[s] * returns[last - back, s]
    mean, squares = 0.0, 0.0
    for value in series:
        mean += value / count
    for value in series:
        squares += (value - mean) ** 2
    deviation = np.sqrt(squares / (count - 1))
    return min(1.0, rules.volatility_target / deviation) if deviation > 0.0 else 1.0
