"""Ranges of bars. None is annualised."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.recursive import wilder_mean


def true_range(ranges: Array) -> Array:
    """Returns the true range of one bar, a price difference.

    Formula: max(high, close[t-1]) - min(low, close[t-1])
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return ranges


def atr(true_range: Array, period: int) -> Array:
    """Returns the average true range, a price difference; the first bar has no past and no say.

    Formula: wilder(true range)
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return wilder_mean(true_range, period)


def natr(close: Array, true_range: Array, period: int) -> Array:
    """Returns the average true range in per cent of the close.

    Formula: 100 * atr / close
    Source: Forman (2006), Cross-Market Evaluations with Normalized Average True Range
    """
    return 100.0 * atr(true_range, period) / close
