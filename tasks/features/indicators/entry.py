"""What the registry holds: an indicator, and the feature it becomes once its periods are chosen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Literal

from tasks.features.indicators.kernels import Array

Kind = Literal["trend", "momentum", "volatility", "volume", "returns"]
# What the textbook value is measured in, hence how it becomes scale-free.
Unit = Literal["none", "price", "price_difference"]


@dataclass(frozen=True)
class Indicator:
    """One registry entry.

    Attributes:
        kind: the family shown in reports.
        function: takes the columns, then the periods; returns the textbook value.
        columns: the bar columns that the function takes, in order.
        periods: default periods, in bars.
        lookback: takes the periods; returns the earlier bars that the first value needs.
        unit: what the textbook value is measured in.
        shortest: the least period that makes sense.
    """

    kind: Kind
    function: Callable[..., Array]
    columns: tuple[str, ...]
    periods: tuple[int, ...]
    lookback: Callable[..., int]
    unit: Unit = "none"
    shortest: int = 2

    @property
    def formula(self) -> str:
        """Returns the formula that the function's docstring states."""
        return self._stated("Formula: ")

    @property
    def source(self) -> str:
        """Returns who defined the indicator, as the function's docstring states it."""
        return self._stated("Source: ")

    def _stated(self, heading: str) -> str:
        _, _, rest = (getdoc(self.function) or "").partition(heading)
        first, *others = rest.splitlines() or [""]
        # A long formula goes on in indented lines.
        more = []
        for line in others:
            if not line.startswith("    "):
                break
            more.append(line.strip())
        return " ".join([first, *more])


@dataclass(frozen=True)
class Feature:
    """An indicator with its periods, under the name of its column, such as `rsi(14)`."""

    name: str
    indicator: Indicator
    periods: tuple[int, ...]

    @property
    def lookback(self) -> int:
        """Returns the earlier bars that the first value needs."""
        return self.indicator.lookback(*self.periods)

    def values(self, bars: Mapping[str, Array]) -> Array:
        """Returns the scale-free column of one symbol: unmoved by the units of price and volume."""
        columns = (bars[name] for name in self.indicator.columns)
        value = self.indicator.function(*columns, *self.periods)
        if self.indicator.unit == "price":
            return value / bars["close"] - 1.0
        if self.indicator.unit == "price_difference":
            return value / bars["close"]
        return value
