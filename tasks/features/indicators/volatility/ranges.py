"""Ranges of bars. None is annualised."""

from tasks.features.indicators.entry import Array


def true_range(ranges: Array) -> Array:
    """Returns the true range of one bar, a price difference.

    Formula: max(high, close[t-1]) - min(low, close[t-1])
    Source: Wilder (1978), New Concepts in Technical Trading Systems
    """
    return ranges


def natr(average: Array, close: Array, period: int) -> Array:
    """Returns the average true range in per cent of the close.

    Formula: 100 * atr / close
    Source: Forman (2006), Cross-Market Evaluations with Normalized Average True Range
    """
    return 100.0 * average / close
