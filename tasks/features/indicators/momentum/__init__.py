"""The registry of momentum: how far, and how one-sidedly, the price has moved."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.bases import DONCHIAN_LOWER, DONCHIAN_UPPER, EMA
from tasks.features.indicators.entry import Indicator, Of
from tasks.features.indicators.momentum import change, oscillators

_momentum = partial(Indicator, "momentum", joined=True)

_PLACE = ("close", Of(DONCHIAN_UPPER, (0,)), Of(DONCHIAN_LOWER, (0,)))
_RSI = _momentum(oscillators.rsi, ("change",), (14,), need.changes, warm_up=need.fades_by_wilder)
_FAST_K = _momentum(oscillators.stochastic_k, _PLACE, (14,), need.window)
_SLOW_K = _momentum(oscillators.stochastic_d, (Of(_FAST_K, (0,)),), (14, 3), lambda n, m: n + m - 2)

MOMENTUM: dict[str, Indicator] = {
    "rsi": _RSI,
    "stochastic_k": _FAST_K,
    "stochastic_d": _SLOW_K,
    "stochastic_slow_d": _momentum(
        oscillators.stochastic_slow_d,
        (Of(_SLOW_K, (0, 1)),),
        (14, 3, 3),
        lambda n, m, again: n + m + again - 3,
    ),
    "stochastic_rsi": _momentum(
        oscillators.stochastic_rsi,
        (Of(_RSI, (0,)),),
        (14, 14),
        lambda n, m: n + m - 1,
        warm_up=lambda n, m: need.fades_by_wilder(n),
    ),
    "williams_r": _momentum(oscillators.williams_r, _PLACE, (14,), need.window),
    "cci": _momentum(oscillators.cci, ("typical",), (20,), need.window),
    "mom": _momentum(change.mom, ("close",), (10,), need.changes, "price_difference", shortest=1),
    "roc": _momentum(change.roc, ("close",), (10,), need.changes, shortest=1),
    "trix": _momentum(
        oscillators.trix,
        ("close",),
        (15,),
        lambda n: 3 * (n - 1) + 1,
        warm_up=lambda n: need.fades(n, n, n),
    ),
    "ppo": _momentum(
        change.ppo,
        (Of(EMA, (0,)), Of(EMA, (1,))),
        (12, 26),
        lambda fast, slow: max(fast, slow) - 1,
        warm_up=lambda fast, slow: need.fades(max(fast, slow)),
    ),
    "cmo": _momentum(
        oscillators.cmo, ("change",), (14,), need.changes, warm_up=need.fades_by_wilder
    ),
    "cmo_plain": _momentum(oscillators.cmo_plain, ("change",), (14,), need.changes),
    "ultimate_oscillator": _momentum(
        oscillators.ultimate_oscillator,
        ("low", "close", "previous_close", "true_range"),
        (7, 14, 28),
        need.longest,
    ),
    "balance_of_power": _momentum(
        oscillators.balance_of_power, ("open", "high", "low", "close"), (), need.none
    ),
    "tsi": _momentum(
        oscillators.tsi,
        ("change",),
        (25, 13),
        lambda long, short: long + short - 1,
        warm_up=need.fades,
    ),
}
