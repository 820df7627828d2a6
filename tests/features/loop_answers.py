"""Plain loops for what TA-Lib does not have: indicator name -> value at row t."""

import math
import statistics


def _changes(close, t, n):
    return [math.log(close[s] / close[s - 1]) for s in range(t - n + 1, t + 1)]


def _root_mean(terms):
    return math.sqrt(sum(terms) / len(terms))


def parkinson(bars, t, n):
    rows = range(t - n + 1, t + 1)
    ranges = [math.log(bars["high"][s] / bars["low"][s]) ** 2 for s in rows]
    return _root_mean(ranges) / math.sqrt(4 * math.log(2))


def garman_klass(bars, t, n):
    terms = []
    for s in range(t - n + 1, t + 1):
        ranged = math.log(bars["high"][s] / bars["low"][s])
        body = math.log(bars["close"][s] / bars["open"][s])
        terms.append(ranged**2 / 2 - (2 * math.log(2) - 1) * body**2)
    return _root_mean(terms)


def rogers_satchell(bars, t, n):
    terms = []
    for s in range(t - n + 1, t + 1):
        up = math.log(bars["high"][s] / bars["open"][s])
        down = math.log(bars["low"][s] / bars["open"][s])
        body = math.log(bars["close"][s] / bars["open"][s])
        terms.append(up * (up - body) + down * (down - body))
    return _root_mean(terms)


def vwap(bars, t, n):
    money = shares = 0.0
    for s in range(t - n + 1, t + 1):
        money += bars["volume"][s] * (bars["high"][s] + bars["low"][s] + bars["close"][s]) / 3
        shares += bars["volume"][s]
    return money / shares


def log_return(bars, t, n):
    return sum(_changes(bars["close"], t, n))


def momentum(bars, t, skip, n):
    return math.log(bars["close"][t - skip] / bars["close"][t - n])


def overnight_return(bars, t):
    return math.log(bars["open"][t] / bars["close"][t - 1])


def intraday_return(bars, t):
    return math.log(bars["close"][t]) - math.log(bars["open"][t])


def return_skewness(bars, t, n):
    changes = _changes(bars["close"], t, n)
    mean, sd = statistics.mean(changes), statistics.pstdev(changes)
    return statistics.mean(((change - mean) / sd) ** 3 for change in changes)


def rising_share(bars, t, n):
    close = bars["close"]
    return sum(close[s] > close[s - 1] for s in range(t - n + 1, t + 1)) / n


LOOPS = {
    function.__name__: function
    for function in (
        parkinson,
        garman_klass,
        rogers_satchell,
        vwap,
        log_return,
        momentum,
        overnight_return,
        intraday_return,
        return_skewness,
        rising_share,
    )
}
