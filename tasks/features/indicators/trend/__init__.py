"""The registry of trend: where the price is heading, and how steadily."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.bases import ATR, AVERAGE_VOLUME, EMA
from tasks.features.indicators.entry import Indicator, Of
from tasks.features.indicators.trend import averages, directional, lines
from tasks.features.indicators.trend import macd as convergence

_trend = partial(Indicator, "trend", joined=True)
_price = partial(_trend, unit="price")

_MACD = _trend(
    convergence.macd,
    (Of(EMA, (0,)), Of(EMA, (1,))),
    (12, 26),
    lambda fast, slow: max(fast, slow) - 1,
    "price_difference",
    warm_up=lambda fast, slow: need.fades(max(fast, slow)),
)
_MACD_SIGNAL = _trend(
    convergence.macd_signal,
    (Of(_MACD, (0, 1)),),
    (12, 26, 9),
    lambda fast, slow, signal: max(fast, slow) + signal - 2,
    "price_difference",
    warm_up=lambda fast, slow, signal: need.fades(max(fast, slow), signal),
)
_MACD_HISTOGRAM = _trend(
    convergence.macd_histogram,
    (Of(_MACD, (0, 1)), Of(_MACD_SIGNAL, (0, 1, 2))),
    (12, 26, 9),
    _MACD_SIGNAL.lookback,
    "price_difference",
    warm_up=_MACD_SIGNAL.warm_up,
)
_MOVES = ("high", "low", Of(ATR, (0,)))
_PLUS = _trend(
    directional.plus_di, _MOVES, (14,), need.changes, warm_up=lambda n: need.fades_by_wilder(n, n)
)
_MINUS = _trend(directional.minus_di, _MOVES, (14,), need.changes, warm_up=_PLUS.warm_up)
_UP = _trend(directional.aroon_up, ("high",), (25,), need.changes)
_DOWN = _trend(directional.aroon_down, ("low",), (25,), need.changes)
_CONVERSION = _price(lines.ichimoku_conversion, ("high", "low"), (9,), need.window)
_BASE = _price(lines.ichimoku_base, ("high", "low"), (26,), need.window)

TREND: dict[str, Indicator] = {
    "sma": _price(averages.sma, ("close",), (20,), need.window),
    "ema": EMA,
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
    "vwap": _price(
        averages.vwap, ("typical", "volume", Of(AVERAGE_VOLUME, (0,))), (20,), need.window
    ),
    "macd": _MACD,
    "macd_signal": _MACD_SIGNAL,
    "macd_histogram": _MACD_HISTOGRAM,
    "plus_di": _PLUS,
    "minus_di": _MINUS,
    "adx": _trend(
        directional.adx,
        (Of(_PLUS, (0,)), Of(_MINUS, (0,))),
        (14,),
        lambda n: 2 * n - 1,
        warm_up=lambda n: need.fades_by_wilder(n, n, n),
    ),
    "aroon_up": _UP,
    "aroon_down": _DOWN,
    "aroon_oscillator": _trend(
        directional.aroon_oscillator, (Of(_UP, (0,)), Of(_DOWN, (0,))), (25,), need.changes
    ),
    "linear_slope": _trend(lines.linear_slope, ("close",), (20,), need.window, "price_difference"),
    "parabolic_sar": _price(
        lines.parabolic_sar,
        ("high", "low"),
        (2, 20),
        need.one,
        shortest=1,
        warm_up=lambda *_: need.PATH,
    ),
    "supertrend": _price(
        lines.supertrend,
        ("high", "low", "close", Of(ATR, (0,))),
        (10, 3),
        need.changes,
        shortest=1,
        warm_up=lambda n, times: need.fades_by_wilder(n) + need.PATH,
    ),
    "ichimoku_conversion": _CONVERSION,
    "ichimoku_base": _BASE,
    "ichimoku_span_a": _price(
        lines.ichimoku_span_a,
        (Of(_CONVERSION, (0,)), Of(_BASE, (1,))),
        (9, 26),
        lambda conversion, base: max(conversion, base) - 1,
    ),
    "ichimoku_span_b": _price(lines.ichimoku_span_b, ("high", "low"), (52,), need.window),
}
