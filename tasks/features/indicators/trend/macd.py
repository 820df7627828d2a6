"""Convergence and divergence of two exponential averages, as price differences."""

from tasks.features.indicators.entry import Array
from tasks.features.kernels.recursive import exponential_mean


def macd(close: Array, fast: int, slow: int) -> Array:
    """Returns the MACD line; each average begins at its own first bar.

    Formula: ema(close, fast) - ema(close, slow)
    Source: Appel (1979), The Moving Average Convergence Divergence Trading Method
    """
    return exponential_mean(close, fast) - exponential_mean(close, slow)


def macd_signal(close: Array, fast: int, slow: int, signal: int) -> Array:
    """Returns the signal line of the MACD line.

    Formula: ema(macd, signal)
    Source: Appel (1979), The Moving Average Convergence Divergence Trading Method
    """
    return exponential_mean(macd(close, fast, slow), signal)


def macd_histogram(close: Array, fast: int, slow: int, signal: int) -> Array:
    """Returns the MACD line over its signal line.

    Formula: macd - ema(macd, signal)
    Source: Aspray (1986), MACD Momentum
    """
    return macd(close, fast, slow) - macd_signal(close, fast, slow, signal)
