"""Plain loops for what TA-Lib does not have: indicator name -> value at row t."""

import math
import statistics


def _span(t, n):
    return range(t - n + 1, t + 1)


def _changes(close, t, n):
    return [math.log(close[s] / close[s - 1]) for s in _span(t, n)]


def _root_mean(terms):
    return math.sqrt(sum(terms) / len(terms))


def _weighted(values):
    """The newest of the values weighs as many times as there are values, the oldest once."""
    return sum(k * value for k, value in enumerate(values, 1)) / sum(range(1, len(values) + 1))


def hma(bars, t, n):
    close, root = bars["close"], math.isqrt(n)
    faster = []
    for s in _span(t, root):
        half = _weighted([close[r] for r in _span(s, n // 2)])
        whole = _weighted([close[r] for r in _span(s, n)])
        faster.append(2 * half - whole)
    return _weighted(faster)


def vwap(bars, t, n):
    money = shares = 0.0
    for s in _span(t, n):
        money += bars["volume"][s] * (bars["high"][s] + bars["low"][s] + bars["close"][s]) / 3
        shares += bars["volume"][s]
    return money / shares


def vwma(bars, t, n):
    money = sum(bars["volume"][s] * bars["close"][s] for s in _span(t, n))
    return money / sum(bars["volume"][s] for s in _span(t, n))


def cmo_plain(bars, t, n):
    moves = [bars["close"][s] - bars["close"][s - 1] for s in _span(t, n)]
    rises, falls = sum(m for m in moves if m > 0), -sum(m for m in moves if m < 0)
    return 100 * (rises - falls) / (rises + falls)


def downside_deviation(bars, t, n):
    return _root_mean([min(change, 0.0) ** 2 for change in _changes(bars["close"], t, n)])


def parkinson(bars, t, n):
    ranges = [math.log(bars["high"][s] / bars["low"][s]) ** 2 for s in _span(t, n)]
    return _root_mean(ranges) / math.sqrt(4 * math.log(2))


def garman_klass(bars, t, n):
    terms = []
    for s in _span(t, n):
        ranged = math.log(bars["high"][s] / bars["low"][s])
        body = math.log(bars["close"][s] / bars["open"][s])
        terms.append(ranged**2 / 2 - (2 * math.log(2) - 1) * body**2)
    return _root_mean(terms)


def rogers_satchell(bars, t, n):
    terms = []
    for s in _span(t, n):
        up = math.log(bars["high"][s] / bars["open"][s])
        down = math.log(bars["low"][s] / bars["open"][s])
        body = math.log(bars["close"][s] / bars["open"][s])
        terms.append(up * (up - body) + down * (down - body))
    return _root_mean(terms)


def yang_zhang(bars, t, n):
    nights = [math.log(bars["open"][s] / bars["close"][s - 1]) for s in _span(t, n)]
    days = [math.log(bars["close"][s] / bars["open"][s]) for s in _span(t, n)]
    share = 0.34 / (1.34 + (n + 1) / (n - 1))
    outside = statistics.variance(nights) + share * statistics.variance(days)
    return math.sqrt(outside + (1 - share) * rogers_satchell(bars, t, n) ** 2)


def turnover(bars, t, n):
    money = [bars["close"][s] * bars["volume"][s] for s in _span(t, n)]
    return money[-1] / statistics.fmean(money)


def amihud(bars, t, n):
    changes = zip(_span(t, n), _changes(bars["close"], t, n), strict=True)
    return statistics.fmean(
        abs(change) / (bars["close"][s] * bars["volume"][s]) for s, change in changes
    )


def ease_of_movement(bars, t, n):
    high, low, volume = bars["high"], bars["low"], bars["volume"]
    terms = []
    for s in _span(t, n):
        moved = (high[s] + low[s]) / 2 - (high[s - 1] + low[s - 1]) / 2
        terms.append(moved / (volume[s] / (high[s] - low[s])))
    return statistics.fmean(terms)


def log_return(bars, t, n):
    return sum(_changes(bars["close"], t, n))


def momentum(bars, t, skip, n):
    return math.log(bars["close"][t - skip] / bars["close"][t - n])


def overnight_return(bars, t):
    return math.log(bars["open"][t] / bars["close"][t - 1])


def intraday_return(bars, t):
    return math.log(bars["close"][t]) - math.log(bars["open"][t])


def gap(bars, t):
    high, low = bars["high"], bars["low"]
    if low[t] > high[t - 1]:
        return math.log(low[t] / high[t - 1])
    if high[t] < low[t - 1]:
        return math.log(high[t] / low[t - 1])
    return 0.0


def high_distance(bars, t, n):
    return bars["close"][t] / max(bars["high"][s] for s in _span(t, n)) - 1


def low_distance(bars, t, n):
    return bars["close"][t] / min(bars["low"][s] for s in _span(t, n)) - 1


def _standardised_moment(values, power):
    mean, sd = statistics.fmean(values), statistics.pstdev(values)
    return statistics.fmean(((value - mean) / sd) ** power for value in values)


def return_skewness(bars, t, n):
    return _standardised_moment(_changes(bars["close"], t, n), 3)


def return_kurtosis(bars, t, n):
    return _standardised_moment(_changes(bars["close"], t, n), 4) - 3


def rising_share(bars, t, n):
    close = bars["close"]
    return sum(close[s] > close[s - 1] for s in _span(t, n)) / n


LOOPS = {
    function.__name__: function
    for function in (
        hma,
        vwap,
        vwma,
        cmo_plain,
        downside_deviation,
        parkinson,
        garman_klass,
        rogers_satchell,
        yang_zhang,
        turnover,
        amihud,
        ease_of_movement,
        log_return,
        momentum,
        overnight_return,
        intraday_return,
        gap,
        high_distance,
        low_distance,
        return_skewness,
        return_kurtosis,
        rising_share,
    )
}
