"""The registry of indicators: one line each, in the folder of its kind."""

from tasks.features.indicators.alpha import ALPHA
from tasks.features.indicators.calendar import CALENDAR
from tasks.features.indicators.entry import Indicator
from tasks.features.indicators.momentum import MOMENTUM
from tasks.features.indicators.returns import RETURNS
from tasks.features.indicators.trend import TREND
from tasks.features.indicators.volatility import VOLATILITY
from tasks.features.indicators.volume import VOLUME

INDICATORS: dict[str, Indicator] = {
    **TREND,
    **MOMENTUM,
    **VOLATILITY,
    **VOLUME,
    **RETURNS,
    **CALENDAR,
    **ALPHA,
}
