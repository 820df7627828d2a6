"""Series at the edge of what there is: nothing moves, nothing trades, hardly anything is there."""

from collections.abc import Callable

import numpy as np

from tests.features.panels import BAR, flat_bars, generated_bars

COUNT, HALT, LENGTH = 700, 400, 30

Bars = dict[str, np.ndarray]


def with_prices(change: Callable[[np.ndarray], np.ndarray], bars: Bars) -> Bars:
    return {name: change(bars[name]) if name in BAR[:4] else bars[name] for name in BAR}


def generated() -> Bars:
    return generated_bars(COUNT, 3)


def no_volume() -> Bars:
    return generated() | {"volume": np.zeros(COUNT)}


def halted() -> Bars:
    """Thirty bars without a trade: no volume, and all prices those of the last close."""
    bars = {name: column.copy() for name, column in generated().items()}
    for name in BAR:
        bars[name][HALT : HALT + LENGTH] = bars["close"][HALT - 1] if name in BAR[:4] else 0.0
    return bars


def in_ticks() -> Bars:
    """Prices and volumes so coarse that most neighbours are equal."""
    bars = with_prices(lambda prices: np.round(prices, 0), generated())
    return bars | {"volume": np.round(bars["volume"], -6)}


def up_and_down() -> Bars:
    """Bars without a range, at two prices in turn."""
    return with_prices(lambda _: np.where(np.arange(COUNT) % 2, 10.1, 10.2), generated())


def fallen_to_nothing() -> Bars:
    """A price that falls to a hundred-millionth over night."""
    fall = np.where(np.arange(COUNT) < 350, 1e4, 1e-4)
    return with_prices(lambda prices: prices * fall, generated())


def masked() -> Bars:
    return {name: np.full(COUNT, np.nan) for name in BAR}


def every_other_bar_masked() -> Bars:
    holes = np.where(np.arange(COUNT) % 2, np.nan, 1.0)
    return {name: column * holes for name, column in generated().items()}


def flat() -> Bars:
    return flat_bars(COUNT)


def a_price_of(price: float):
    def priced() -> Bars:
        return with_prices(lambda prices: prices * (price / 80.0), generated())

    priced.__name__ = f"a_price_of_{price:g}"
    return priced


def only(count: int):
    def short() -> Bars:
        return generated_bars(count, 4)

    short.__name__ = f"only_{count}_bars"
    return short


EDGES = (
    flat,
    no_volume,
    halted,
    in_ticks,
    up_and_down,
    fallen_to_nothing,
    masked,
    every_other_bar_masked,
    a_price_of(1e-4),
    a_price_of(1e6),
    *map(only, (1, 2, 3, 5, 19, 20, 21, 60)),
)
