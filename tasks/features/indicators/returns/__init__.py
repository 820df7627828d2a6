"""The registry of returns: of several lengths, from earlier extremes, and their distribution."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.entry import Indicator
from tasks.features.indicators.returns import shape, spans

_returns = partial(Indicator, "returns", joined=True)

RETURNS: dict[str, Indicator] = {
    "log_return": _returns(spans.log_return, ("log_close",), (1,), need.changes, shortest=1),
    "momentum": _returns(spans.momentum, ("log_close",), (21, 252), need.longest, shortest=1),
    "overnight_return": _returns(spans.overnight_return, ("open", "previous_close"), (), need.one),
    "intraday_return": _returns(spans.intraday_return, ("open", "close"), (), need.none),
    "gap": _returns(spans.gap, ("high", "low"), (), need.one),
    "zscore": _returns(spans.zscore, ("close",), (20,), need.window),
    "drawdown": _returns(spans.drawdown, ("close",), (60,), need.window),
    "high_distance": _returns(spans.high_distance, ("high", "close"), (252,), need.window),
    "low_distance": _returns(spans.low_distance, ("low", "close"), (252,), need.window),
    "return_skewness": _returns(shape.return_skewness, ("log_return",), (60,), need.changes),
    "return_kurtosis": _returns(shape.return_kurtosis, ("log_return",), (60,), need.changes),
    "rising_share": _returns(shape.rising_share, ("change",), (20,), need.changes),
}
