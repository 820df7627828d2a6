"""The registry of trend: where the price is heading, and how steadily."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.entry import Indicator
from tasks.features.indicators.trend import averages, directional, lines
from tasks.features.indicators.trend import macd as convergence

_trend = partial(Indicator, "trend", joined=True)
_price = partial(_trend, unit="price")

_MACD = _trend(
    convergence.macd,
    ("close",),
    (12, 26),
    lambda fast, slow: max(fast, slow) - 1,
    "price_difference",
    warm_up=lambda fast, slow: need.fades(max(fast, slow)),
)
_MACD_SIGNAL = _trend(
    convergence.macd_signal,
    ("close",),
    (12, 26, 9),
    lambda fast, slow, signal: max(fast, slow) + signal - 2,
    "price_difference",
    warm_up=lambda fast, slow, signal: need.fades(max(fast, slow), signal),
)
_MACD_HISTOGRAM = _trend(
    convergence.macd_histogram,
    ("close",),
    (12, 26, 9),
    _MACD_SIGNAL.lookback,
    "price_difference",
    warm_up=_MACD_SIGNAL.warm_up,
)
_MOVES = ("high", "low", "true_range")
_PLUS = _trend(
    directional.plus_di, _MOVES, (14,), need.changes, warm_up=lambda n: need.fades_by_wilder(n, n)
)
_MINUS = _trend(directional.minus_di, _MOVES, (14,), need.changes, warm_up=_PLUS.warm_up)

TREND: dict[str, Indicator] = {
    "sma": _price(averages.sma, ("close",), (20,), need.window),
    "ema": _price(averages.ema, ("close",), (20,), need.window, warm_up=need.fades),
    "wma": _price(averages.wma, ("close",), (20,), need.window),
    "dema": _price(
        averages.dema,
        ("close",),
        (20,),
        lambda n: 2 * (n - 1),
        warm_up=lambda n: need.fades(n, n),
    ),
    "tema": _price(
        averages.tema,
        ("close",),
        (20,),
        lambda n: 3 * (n - 1),
        warm_up=lambda n: need.fades(n, n, n),
    ),
    "kama": _price(
        averages.kama,
        ("close",),
        (10, 2, 30),
        need.changes,
        # Where the price goes nowhere its weight is the square of the slow average's.
        warm_up=lambda n, fast, slow: need.fades((slow + 1) ** 2 // 2),
    ),
    "hma": _price(averages.hma, ("close",), (20,), lambda n: n + int(n**0.5) - 2, shortest=4),
    "t3": _price(
        averages.t3,
        ("close",),
        (5, 70),
        lambda n, percent: 6 * (n - 1),
        warm_up=lambda n, percent: need.fades(*[n] * 6),
    ),
    "vwap": _price(averages.vwap, ("typical", "volume"), (20,), need.window),
    "macd": _MACD,
    "macd_signal": _MACD_SIGNAL,
    "macd_histogram": _MACD_HISTOGRAM,
    "plus_di": _PLUS,
    "minus_di": _MINUS,
    "adx": _trend(
        directional.adx,
        _MOVES,
        (14,),
        lambda n: 2 * n - 1,
        warm_up=lambda n: need.fades_by_wilder(n, n, n),
    ),
    "aroon_up": _trend(directional.aroon_up, ("high",), (25,), need.changes),
    "aroon_down": _trend(directional.aroon_down, ("low",), (25,), need.changes),
    "aroon_oscillator": _trend(directional.aroon_oscillator, ("high", "low"), (25,), need.changes),
    "linear_slope": _trend(lines.linear_slope, ("close",), (20,), need.window, "price_difference"),
    "parabolic_sar": _price(
        lines.parabolic_sar,
        ("high", "low"),
        (2, 20),
        need.one,
        shortest=1,
        warm_up=need.endless,
    ),
    "supertrend": _price(
        lines.supertrend,
        ("high", "low", "close", "true_range"),
        (10, 3),
        need.changes,
        shortest=1,
        warm_up=need.endless,
    ),
    "ichimoku_conversion": _price(lines.ichimoku_conversion, ("high", "low"), (9,), need.window),
    "ichimoku_base": _price(lines.ichimoku_base, ("high", "low"), (26,), need.window),
    "ichimoku_span_a": _price(
        lines.ichimoku_span_a,
        ("high", "low"),
        (9, 26),
        lambda conversion, base: max(conversion, base) - 1,
    ),
    "ichimoku_span_b": _price(lines.ichimoku_span_b, ("high", "low"), (52,), need.window),
}
