"""Columns that several indicators take: made of a bar's own columns, once for all of them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from tasks.features.indicators.entry import AVERAGE_BARS, Array, Feature, Indicator, Of
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


class Columns(Mapping[str, Array]):
    """The bars of one symbol, or of several with a NaN bar between them, column by column.

    What is derived is made when it is first asked for, and kept, for one thread at a time.
    """

    def __init__(self, bars: Mapping[str, Array], shared: Collection[object] = ()) -> None:
        """Takes the bars' own columns.

        Args:
            bars: float64 columns by name, NaN where masked.
            shared: keys of features whose textbook values others stand on: worth keeping.
        """
        self._columns = dict(bars)
        self._shared = shared
        self._kept: dict[object, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._columns:
            function, inputs = DERIVED[name]
            self._columns[name] = function(*(self[column] for column in inputs))
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def textbook(self, feature: Feature) -> Array:
        """Returns the value of an indicator as its author defined it."""
        if feature.key in self._kept:
            return self._kept[feature.key]
        entry, parts = feature.indicator, iter(feature.parts)
        columns = [
            self.textbook(next(parts)) if isinstance(column, Of) else self[column]
            for column in entry.columns
        ]
        if entry.expression:
            value = _evaluated(entry, columns, feature.periods)
        else:
            value = entry.function(*columns, *feature.periods)
        if feature.key in self._shared:
            self._kept[feature.key] = value
        return value

    def scale(self, feature: Feature) -> tuple[Array | None, float]:
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

    def scale_free(self, feature: Feature) -> Array:
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
