"""The registry of alpha."""

from tasks.features.indicators.entry import Indicator

ALPHA: dict[str, Indicator] = {}
