"""Columns that several indicators take: made of a bar's own columns, once for all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tasks.features.indicators.entry import AVERAGE_BARS, Array, Feature, Indicator
from tasks.features.kernels.elementwise import difference, lagged, logs
from tasks.features.kernels.windows import rolling_mean

BAR_COLUMNS = ("open", "high", "low", "close", "volume")


def true_ranges(high: Array, low: Array, close: Array) -> Array:
    """Returns max(high, close[t-1]) - min(low, close[t-1])."""
    before = lagged(close, 1)
    return np.maximum(high, before) - np.minimum(low, before)


# name -> what it is of, and how it is made of that.
DERIVED: Mapping[str, tuple[Callable[..., Array], tuple[str, ...]]] = {
    "previous_close": (lambda close: lagged(close, 1), ("close",)),
    "change": (lambda close: difference(close, 1), ("close",)),
    "typical": (lambda high, low, close: (high + low + close) / 3.0, ("high", "low", "close")),
    "true_range": (true_ranges, ("high", "low", "close")),
    "log_close": (logs, ("close",)),
    "log_return": (lambda log_close: difference(log_close, 1), ("log_close",)),
    "log_range": (lambda high, low: logs(high / low), ("high", "low")),
    "dollar_volume": (lambda close, volume: close * volume, ("close", "volume")),
    "average_volume": (lambda volume: rolling_mean(volume, AVERAGE_BARS), ("volume",)),
    "average_dollar_volume": (lambda d: rolling_mean(d, AVERAGE_BARS), ("dollar_volume",)),
}


class Columns(Mapping[str, Any]):
    """Bars column by column: arrays of one symbol, or the nodes of a graph.

    What is derived is made when it is first asked for, and kept, for one thread at a time.
    """

    def __init__(self, bars: Mapping[str, Any]) -> None:
        """Takes the bars' own columns, float64 and NaN where masked."""
        self._columns = dict(bars)

    def __getitem__(self, name: str) -> Any:
        if name not in self._columns:
            function, inputs = DERIVED[name]
            self._columns[name] = function(*(self[column] for column in inputs))
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def textbook(self, feature: Feature) -> Any:
        """Returns the value of an indicator as its author defined it."""
        entry = feature.indicator
        columns = [self[column] for column in entry.columns]
        if entry.expression:
            return _evaluated(entry, columns, feature.periods)
        return entry.function(*columns, *feature.periods)

    def scale(self, feature: Feature) -> tuple[Any, float]:
        """Returns what a textbook value is divided by, and what is then taken off: its unit."""
        match feature.indicator.unit:
            case "none":
                return None, 0.0
            case "price":
                return self["close"], 1.0
            case "price_difference":
                return self["close"], 0.0
            case "volume":
                return self["average_volume"], 0.0
            case "money":
                return self["average_dollar_volume"], 0.0
            case "per_money":
                return 1.0 / self["average_dollar_volume"], 0.0
            case "price_square_per_volume":
                return self["close"] ** 2 / self["average_volume"], 0.0

    def scale_free(self, feature: Feature) -> Any:
        """Returns the column as it enters a feature set, float64; the undefined may be infinite."""
        divisor, shift = self.scale(feature)
        value = self.textbook(feature)
        return value if divisor is None else value / divisor - shift


def _evaluated(entry: Indicator, columns: Sequence[Array], periods: tuple[int, ...]) -> Array:
    """Returns what an indicator's polars expression gives; masked values are null inside it."""
    names = [f"column_{i}" for i in range(len(columns))]
    frame = pl.DataFrame(dict(zip(names, columns, strict=True))).fill_nan(None)
    made = frame.select(value=entry.function(*map(pl.col, names), *periods))["value"]
    return made.cast(pl.Float64).fill_null(float("nan")).to_numpy()
