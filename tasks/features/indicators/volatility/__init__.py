"""The registry of volatility: how widely the price moves."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.entry import Indicator
from tasks.features.indicators.volatility import channels, estimators, ranges

_volatility = partial(Indicator, "volatility", joined=True)
_price = partial(_volatility, unit="price")
_difference = partial(_volatility, unit="price_difference")

_OHLC = ("open", "high", "low", "close")
_keltner = partial(
    _price,
    columns=("close", "true_range"),
    periods=(20, 10, 2),
    lookback=lambda n, span, times: max(n - 1, span),
    shortest=1,
    warm_up=lambda n, span, times: max(need.fades(n), need.fades_by_wilder(span)),
)

VOLATILITY: dict[str, Indicator] = {
    "true_range": _difference(ranges.true_range, ("true_range",), (), need.one),
    "atr": _difference(
        ranges.atr, ("true_range",), (14,), need.changes, warm_up=need.fades_by_wilder
    ),
    "natr": _volatility(
        ranges.natr,
        ("close", "true_range"),
        (14,),
        need.changes,
        warm_up=need.fades_by_wilder,
    ),
    "bollinger_upper": _price(channels.bollinger_upper, ("close",), (20,), need.window),
    "bollinger_lower": _price(channels.bollinger_lower, ("close",), (20,), need.window),
    "bollinger_width": _volatility(channels.bollinger_width, ("close",), (20,), need.window),
    "bollinger_position": _volatility(channels.bollinger_position, ("close",), (20,), need.window),
    "keltner_upper": _keltner(channels.keltner_upper),
    "keltner_lower": _keltner(channels.keltner_lower),
    "donchian_upper": _price(channels.donchian_upper, ("high",), (20,), need.window),
    "donchian_lower": _price(channels.donchian_lower, ("low",), (20,), need.window),
    "channel_width": _difference(
        channels.channel_width,
        ("high", "low"),
        (20,),
        need.window,
    ),
    "realised_volatility": _volatility(
        estimators.realised_volatility, ("log_return",), (20,), need.changes
    ),
    "downside_deviation": _volatility(
        estimators.downside_deviation, ("log_return",), (20,), need.changes
    ),
    "parkinson": _volatility(estimators.parkinson, ("log_range",), (20,), need.window),
    "garman_klass": _volatility(
        estimators.garman_klass, ("open", "close", "log_range"), (20,), need.window
    ),
    "rogers_satchell": _volatility(estimators.rogers_satchell, _OHLC, (20,), need.window),
    "yang_zhang": _volatility(
        estimators.yang_zhang, (*_OHLC, "previous_close"), (20,), need.changes
    ),
}
