"""Money flow: volume by where the price went. Totals run over n bars, or have no level."""

import numpy as np

from tasks.features.indicators.entry import Array
from tasks.features.kernels.elementwise import difference, ratio
from tasks.features.kernels.recursive import exponential_mean, running_total
from tasks.features.kernels.windows import rolling_mean, rolling_squares


def on_balance_volume(change: Array, volume: Array, period: int) -> Array:
    """Returns the change of on-balance volume over n bars as a share of their volume, -1 to 1.

    Formula: sum(sign(close - close[t-1]) * volume) / sum(volume) over n bars
    Source: Granville (1963), New Key to Stock Market Profits
    """
    return ratio(rolling_mean(np.sign(change) * volume, period), rolling_mean(volume, period))


def _placed_volume(high: Array, low: Array, close: Array, volume: Array) -> Array:
    spread = high - low
    # A bar without a range adds no flow; the product with 0 hands a NaN on.
    place = np.where(spread == 0.0, 0.0 * close, ratio(2.0 * close - high - low, spread))
    return place * volume


def chaikin_money_flow(high: Array, low: Array, close: Array, volume: Array, period: int) -> Array:
    """Returns Chaikin's money flow, -1 to 1; a bar without a range adds no flow.

    Formula: sum(volume * (2 * close - high - low) / (high - low)) / sum(volume) over n bars
    Source: Chaikin, as in Achelis (1995), Technical Analysis from A to Z
    """
    flow = rolling_mean(_placed_volume(high, low, close, volume), period)
    return ratio(flow, rolling_mean(volume, period))


def accumulation_distribution(
    high: Array, low: Array, close: Array, volume: Array, period: int
) -> Array:
    """Returns the accumulation/distribution line in standard deviations from its mean of n bars.

    Formula: (a - mean(a)) / sd(a) over n bars, a += volume * (2 * close - high - low) /
        (high - low)
    Source: Chaikin, as in Achelis (1995), Technical Analysis from A to Z
    """
    line = running_total(_placed_volume(high, low, close, volume))
    mean, squares = rolling_squares(line, period)
    # A line that does not move within n bars has rounding noise of the whole sum for a spread.
    still = squares <= (1e-12 * np.abs(mean)) ** 2 * period
    return ratio(line - mean, np.where(still, 0.0, np.sqrt(squares / period)))


def chaikin_oscillator(
    high: Array, low: Array, close: Array, volume: Array, fast: int, slow: int
) -> Array:
    """Returns Chaikin's oscillator of the accumulation/distribution line, in shares.

    Formula: ema(a, fast) - ema(a, slow), a = accumulation/distribution line
    Source: Chaikin, as in Achelis (1995), Technical Analysis from A to Z
    """
    line = running_total(_placed_volume(high, low, close, volume))
    return exponential_mean(line, fast) - exponential_mean(line, slow)


def mfi(typical: Array, volume: Array, period: int) -> Array:
    """Returns the money flow index, 0 to 100, with plain sums.

    Formula: 100 * sum(rising p * volume) / sum(rising or falling p * volume) over n bars,
        p = (high + low + close) / 3; an unchanged p counts for neither
    Source: Quong and Soudack (1989), Volume-Weighted RSI: Money Flow
    """
    change = difference(typical, 1)
    # Thirds of an unchanged sum may differ by a rounding, which would send the money either way.
    moved = np.where(np.abs(change) < 1e-12 * typical, 0.0, np.sign(change))
    signed = moved * typical * volume
    rising = rolling_mean(np.maximum(signed, 0.0), period)
    return 100.0 * ratio(rising, rolling_mean(np.abs(signed), period))


def force_index(change: Array, volume: Array, period: int) -> Array:
    """Returns Elder's force index, money.

    Formula: ema((close - close[t-1]) * volume)
    Source: Elder (1993), Trading for a Living
    """
    return exponential_mean(change * volume, period)


def ease_of_movement(high: Array, low: Array, volume: Array, period: int) -> Array:
    """Returns Arms' ease of movement, price squared per share; masked on days without volume.

    Formula: mean(((high + low) / 2 - (high[t-1] + low[t-1]) / 2) * (high - low) / volume)
        over n bars
    Source: Arms (1996), Trading Without Fear
    """
    moved = difference((high + low) / 2.0, 1)
    return rolling_mean(ratio(moved * (high - low), volume), period)
