"""Plain loops for what hangs on the whole past: indicator name -> its values, None before them."""

import math
import statistics


def _average(values, n, weight):
    """level += weight * (value - level), begun at the plain mean of the first n values."""
    made, known, level = [], [], None
    for value in values:
        if value is None:
            made.append(None)
            continue
        known.append(value)
        if len(known) == n:
            level = statistics.fmean(known)
        elif len(known) > n:
            level = level + weight * (value - level)
        made.append(level)
    return made


def _ema(values, n):
    return _average(values, n, 2 / (n + 1))


def _moves(close):
    return [None, *(close[t] - close[t - 1] for t in range(1, len(close)))]


def _atr(bars, n):
    high, low, close = bars["high"], bars["low"], bars["close"]
    ranges = [None]
    for t in range(1, len(close)):
        before = close[t - 1]
        ranges.append(max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before)))
    return _average(ranges, n, 1 / n)


def _each(function, *columns):
    rows = zip(*columns, strict=True)
    return [None if None in row else function(*row) for row in rows]


def kama(bars, n, fast, slow):
    close = bars["close"]
    level, made = close[n - 1], [None] * n
    for t in range(n, len(close)):
        path = sum(abs(close[s] - close[s - 1]) for s in range(t - n + 1, t + 1))
        share = abs(close[t] - close[t - n]) / path
        weight = share * (2 / (fast + 1) - 2 / (slow + 1)) + 2 / (slow + 1)
        level = level + weight**2 * (close[t] - level)
        made.append(level)
    return made


def tsi(bars, long, short):
    moves = _moves(bars["close"])
    sizes = [None, *map(abs, moves[1:])]
    smooth = [_ema(_ema(values, long), short) for values in (moves, sizes)]
    return _each(lambda moved, path: 100 * moved / path, *smooth)


def supertrend(bars, n, times):
    """The bands as charting software draws them, one bar after the other; it begins falling."""
    close, made = bars["close"], []
    upper = lower = line = None
    for t, spread in enumerate(_atr(bars, n)):
        if spread is None:
            made.append(None)
            continue
        middle = (bars["high"][t] + bars["low"][t]) / 2
        above, below = middle + times * spread, middle - times * spread
        if line is None:
            upper, lower, falling = above, below, True
        else:
            upper = above if above < upper or close[t - 1] > upper else upper
            lower = below if below > lower or close[t - 1] < lower else lower
        falling = close[t] <= upper if falling else close[t] < lower
        line = upper if falling else lower
        made.append(line)
    return made


def _keltner(bars, n, span, times):
    return _each(lambda e, spread: e + times * spread, _ema(bars["close"], n), _atr(bars, span))


def keltner_upper(bars, n, span, times):
    return _keltner(bars, n, span, times)


def keltner_lower(bars, n, span, times):
    return _keltner(bars, n, span, -times)


def force_index(bars, n):
    forces = _each(lambda move, volume: move * volume, _moves(bars["close"]), bars["volume"])
    return _ema(forces, n)


def accumulation_distribution(bars, n):
    line, total, made = [], 0.0, []
    for high, low, close, volume in zip(
        *(bars[name] for name in ("high", "low", "close", "volume")), strict=True
    ):
        if high > low:
            total += volume * ((close - low) - (high - close)) / (high - low)
        line.append(total)
        seen = line[-n:]
        if len(seen) < n:
            made.append(None)
        else:
            mean = statistics.fmean(seen)
            sd = math.sqrt(statistics.fmean((value - mean) ** 2 for value in seen))
            made.append((total - mean) / sd)
    return made


PATHS = {
    function.__name__: function
    for function in (
        kama,
        tsi,
        supertrend,
        keltner_upper,
        keltner_lower,
        force_index,
        accumulation_distribution,
    )
}
