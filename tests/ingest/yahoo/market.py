"""What the replay server knows of the world: as-traded bars and actions, by listing."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta

# date, open, high, low, close, volume as traded; any value may be None.
Bar = tuple[date, float | None, float | None, float | None, float | None, int | None]


@dataclass(eq=False)
class Tape:
    """As-traded bars and actions; compared by identity, so listings may share one cached answer.

    Splits are (new shares, old shares), dividends and capital gains cash per share of their day.
    """

    bars: Sequence[Bar]
    splits: dict[date, tuple[float, float]] = field(default_factory=dict)
    dividends: dict[date, float] = field(default_factory=dict)
    capital_gains: dict[date, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.days = [bar[0] for bar in self.bars]


@dataclass
class Listing:
    symbol: str
    tape: Tape
    zone: str = "America/New_York"
    currency: str = "USD"
    exchange: str = "NMS"
    instrument: str = "EQUITY"
    opens: time = time(9, 30)
    closes: time = time(16, 0)


def weekdays(count: int, last: date) -> list[date]:
    """Returns the `count` weekdays that end at `last`."""
    days = (last - timedelta(days=back) for back in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count][::-1]


def random_tape(
    days: Sequence[date],
    seed: int,
    splits: dict[date, tuple[float, float]] | None = None,
    dividends: dict[date, float] | None = None,
    capital_gains: dict[date, float] | None = None,
) -> Tape:
    """A random walk of prices that falls by each split, with volumes that grow by it."""
    draw = random.Random(seed)
    price, shares, bars = 50 + 200 * draw.random(), 1.0, []
    for day in days:
        new, old = (splits or {}).get(day, (1, 1))
        price, shares = price * old / new, shares * new / old
        opened = price
        price *= math.exp(draw.gauss(0.0003, 0.015))
        high = max(opened, price) * (1 + abs(draw.gauss(0, 0.004)))
        low = min(opened, price) * (1 - abs(draw.gauss(0, 0.004)))
        volume = int(1e6 * shares * math.exp(draw.gauss(0, 0.4)))
        bars.append((day, opened, high, low, price, volume))
    return Tape(bars, splits or {}, dividends or {}, capital_gains or {})


def demo_listings(last: date = date(2026, 11, 27), sessions: int = 300) -> list[Listing]:
    """One listing of each kind. The last day is the half day after Thanksgiving."""
    days = weekdays(sessions, last)
    quarterly = {days[k]: 0.25 + k / 1000 for k in range(sessions - 10, 0, -63)}
    twice = {days[-200]: (7.0, 1.0), days[-40]: (4.0, 1.0)}
    reverse = {days[-30]: (1.0, 20.0)}
    return [
        Listing("PLAIN", random_tape(days, 1)),
        Listing("SPLIT", random_tape(days, 2, twice)),
        Listing("REVERSE", random_tape(days, 3, reverse, {days[-60]: 0.05})),
        Listing("DIVIDEND", random_tape(days, 4, dividends=quarterly)),
        # A dividend on the very day of the last split is in new shares.
        Listing("BOTH", random_tape(days, 5, twice, {**quarterly, days[-40]: 0.11})),
        Listing(
            "FUND",
            random_tape(days, 6, {days[-20]: (2.0, 1.0)}, quarterly, {days[-50]: 3.5}),
            instrument="ETF",
        ),
        Listing(
            "VOD.L",
            random_tape(days, 7, dividends={days[-100]: 4.5}),
            zone="Europe/London",
            currency="GBp",
            opens=time(8),
        ),
        Listing(
            "7203.T",
            random_tape(days, 8, {days[-70]: (5.0, 1.0)}),
            zone="Asia/Tokyo",
            currency="JPY",
            opens=time(9),
        ),
        Listing(
            "BHP.AX",
            random_tape(days, 9, dividends={days[-30]: 1.5}),
            zone="Australia/Sydney",
            currency="AUD",
            opens=time(10),
        ),
        Listing("^GSPC", random_tape(days, 10), instrument="INDEX"),
        Listing("YOUNG", random_tape(days[-3:], 11)),
        Listing("GONE", random_tape(days[:-60], 12)),
    ]
