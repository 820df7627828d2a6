"""How many earlier bars a first value needs, and how long a beginning shows.

Each takes the periods that the user chose, in the order of the registry.
"""

from tasks.features.kernels.recursive import settling_bars

# A stop that turns with the price hangs on all turns before it: no number of bars is enough.
ENDLESS = 1_000_000


def none(*_: int) -> int:
    """Returns 0: a bar alone."""
    return 0


def one(*_: int) -> int:
    """Returns 1: the bar before."""
    return 1


def window(n: int, *_: int) -> int:
    """Returns the need of n bars, the newest included."""
    return n - 1


def changes(n: int, *_: int) -> int:
    """Returns the need of n changes from bar to bar."""
    return n


def longest(*periods: int) -> int:
    """Returns the need of the longest of several spans of changes."""
    return max(periods)


def fades(*periods: int) -> int:
    """Returns the warm-up of exponential averages, of `periods` bars, one over the other."""
    return sum(settling_bars(2.0 / (n + 1)) for n in periods)


def fades_by_wilder(*periods: int) -> int:
    """Returns the warm-up of Wilder's averages, one over the other."""
    return sum(settling_bars(1.0 / n) for n in periods)


def in_percent(bars: int) -> int:
    """Returns the warm-up of a value in per cent that may lie near 0, made of a settled average.

    What weighs SETTLED after `bars` weighs SETTLED^1.5, or 3e-11, after half as many more.
    """
    return bars * 3 // 2


def endless(*_: int) -> int:
    """Returns more bars than any history has."""
    return ENDLESS
