"""Indicators of volume. Totals run over n bars: one since the first bar has no scale."""

import numpy as np

from tasks.features.indicators.kernels import (
    Array,
    correlation,
    lagged,
    ratio,
    rolling_mean,
    rolling_sd,
    rolling_sum,
)


def volume_ratio(volume: Array, period: int) -> Array:
    """Returns the volume over its average; today's bar belongs to the average.

    Formula: volume / mean(volume over n bars)
    Source: common usage
    """
    return ratio(volume, rolling_mean(volume, period))


def volume_zscore(volume: Array, period: int) -> Array:
    """Returns the volume's distance from its mean in standard deviations (population sd).

    Formula: (volume - mean(volume)) / sd(volume) over n bars
    Source: common usage
    """
    return ratio(volume - rolling_mean(volume, period), rolling_sd(volume, period, 0))


def on_balance_volume(close: Array, volume: Array, period: int) -> Array:
    """Returns the change of on-balance volume over n bars as a share of their volume, -1 to 1.

    Formula: sum(sign(close - close[t-1]) * volume) / sum(volume) over n bars
    Source: Granville (1963), New Key to Stock Market Profits
    """
    signed = np.sign(close - lagged(close, 1)) * volume
    return ratio(rolling_sum(signed, period), rolling_sum(volume, period))


def chaikin_money_flow(high: Array, low: Array, close: Array, volume: Array, period: int) -> Array:
    """Returns Chaikin's money flow, -1 to 1; a bar without a range adds no flow.

    Formula: sum(volume * (2 * close - high - low) / (high - low)) / sum(volume) over n bars
    Source: Chaikin, as in Achelis (1995), Technical Analysis from A to Z
    """
    place = np.where(high == low, 0.0, ratio(2.0 * close - high - low, high - low))
    return ratio(rolling_sum(place * volume, period), rolling_sum(volume, period))


def mfi(high: Array, low: Array, close: Array, volume: Array, period: int) -> Array:
    """Returns the money flow index, 0 to 100, with plain sums.

    Formula: 100 * sum(rising p * volume) / sum(rising or falling p * volume) over n bars,
        p = (high + low + close) / 3; an unchanged p counts for neither
    Source: Quong and Soudack (1989), Volume-Weighted RSI: Money Flow
    """
    typical = (high + low + close) / 3.0
    change = typical - lagged(typical, 1)
    # Thirds of an unchanged sum may differ by a rounding, which would send the money either way.
    unchanged = np.abs(change) < 1e-12 * typical
    signed = np.where(unchanged, 0.0, np.sign(change)) * typical * volume
    return 100.0 * ratio(
        rolling_sum(np.maximum(signed, 0.0), period), rolling_sum(np.abs(signed), period)
    )


def vwap(high: Array, low: Array, close: Array, volume: Array, period: int) -> Array:
    """Returns the volume-weighted average price of n daily bars; not the intraday one.

    Formula: sum(volume * (high + low + close) / 3) / sum(volume) over n bars
    Source: Berkowitz, Logue and Noser (1988), The Total Cost of Transactions on the NYSE
    """
    traded = volume * (high + low + close) / 3.0
    return ratio(rolling_sum(traded, period), rolling_sum(volume, period))


def price_volume_correlation(close: Array, volume: Array, period: int) -> Array:
    """Returns the correlation of close and volume, -1 to 1: of levels, not of changes.

    Formula: pearson(close, volume) over n bars
    Source: Pearson (1895), Note on Regression and Inheritance
    """
    return correlation(close, volume, period)
