"""The registry of momentum: how far, and how one-sidedly, the price has moved."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.entry import Indicator
from tasks.features.indicators.momentum import change, oscillators

_momentum = partial(Indicator, "momentum", joined=True)

_HLC = ("high", "low", "close")
_RSI = _momentum(
    oscillators.rsi,
    ("change",),
    (14,),
    need.changes,
    warm_up=lambda n: need.in_percent(need.fades_by_wilder(n)),
)

MOMENTUM: dict[str, Indicator] = {
    "rsi": _RSI,
    "stochastic_k": _momentum(oscillators.stochastic_k, _HLC, (14,), need.window),
    "stochastic_d": _momentum(oscillators.stochastic_d, _HLC, (14, 3), lambda n, m: n + m - 2),
    "stochastic_slow_d": _momentum(
        oscillators.stochastic_slow_d,
        _HLC,
        (14, 3, 3),
        lambda n, m, again: n + m + again - 3,
    ),
    "stochastic_rsi": _momentum(
        oscillators.stochastic_rsi,
        ("change",),
        (14, 14),
        lambda n, m: n + m - 1,
        warm_up=lambda n, m: _RSI.warm_up(n),
    ),
    "williams_r": _momentum(oscillators.williams_r, _HLC, (14,), need.window),
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
        ("close",),
        (12, 26),
        lambda fast, slow: max(fast, slow) - 1,
        warm_up=lambda fast, slow: need.in_percent(need.fades(max(fast, slow))),
    ),
    "cmo": _momentum(oscillators.cmo, ("change",), (14,), need.changes, warm_up=_RSI.warm_up),
    "cmo_plain": _momentum(oscillators.cmo_plain, ("change",), (14,), need.changes),
    "ultimate_oscillator": _momentum(
        oscillators.ultimate_oscillator,
        ("low", "close", "previous_close", "true_range"),
        (7, 14, 28),
        need.longest,
    ),
    "balance_of_power": _momentum(oscillators.balance_of_power, ("open", *_HLC), (), need.none),
    "tsi": _momentum(
        oscillators.tsi,
        ("change",),
        (25, 13),
        lambda long, short: long + short - 1,
        warm_up=need.fades,
    ),
}
