"""What an equity curve earned and risked.

Returns are simple_returns from close to close, after costs. Annual figures take 252 sessions a
year; Sharpe and Sortino subtract no riskless rate.
"""

import math

import numpy as np

from tasks.evaluation.metrics import FloatArray, divide, mean_over_dates

SESSIONS_PER_YEAR = 252


def simple_returns(equity: FloatArray) -> FloatArray:
    """Returns the change of equity over each session [D - 1]; 0 from the day of ruin on."""
    alive = np.minimum.accumulate(equity)[:-1] > 0.0
    return np.where(alive, equity[1:] / np.where(alive, equity[:-1], 1.0) - 1.0, 0.0)


def drawdown(equity: FloatArray) -> FloatArray:
    """Returns how far equity stands from its highest close so far, as a return (0 or below)."""
    return equity / np.maximum.accumulate(equity) - 1.0


def sharpe(returns: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the annualised Sharpe ratio under each weighting of the sessions [N]."""
    count = weights.sum(axis=1)
    mean = mean_over_dates(returns, weights)
    variance = mean_over_dates(returns**2, weights) - mean**2
    # Rounding leaves some 1e-16 of the squares when a portfolio does not move at all.
    moves = variance > 1e-14 * mean**2
    deviation = np.sqrt(np.where(moves, variance, 0.0) * divide(count, count - 1.0))
    return divide(mean, deviation) * math.sqrt(SESSIONS_PER_YEAR)


def sortino(returns: FloatArray) -> float:
    """Returns the annualised mean over the root mean square of the losses; NaN without one."""
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside == 0.0:
        return math.nan
    return float(returns.mean()) / downside * math.sqrt(SESSIONS_PER_YEAR)


def hit_rate(returns: FloatArray) -> float:
    """Returns the share of gains among the sessions that gained or lost; NaN without any."""
    moved = returns[returns != 0.0]
    return float((moved > 0.0).mean()) if moved.size else math.nan


def performance(equity: FloatArray, turnover: FloatArray, costs: FloatArray) -> dict[str, float]:
    """Returns the figures of one equity curve, the Sharpe ratio and its interval aside.

    Args:
        equity: value at each close, the first before any trade [D].
        turnover: bought plus sold value over the equity of the close before [D].
        costs: commission, spread and borrow fee paid in each session, currency units [D].

    Returns:
        `turnover` is annualised, `costs` is the sum in currency units, `max_drawdown` is the
        deepest drawdown as a return (0 or below).
    """
    returns = simple_returns(equity)
    # Compounded from the returns, so that nothing after the day of ruin counts.
    wealth = np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    total = float(wealth[-1]) - 1.0
    years = returns.size / SESSIONS_PER_YEAR
    volatility = float(returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)
    return {
        "total_return": total,
        "annual_return": (1.0 + total) ** (1.0 / years) - 1.0 if total > -1.0 else math.nan,
        "annual_volatility": volatility,
        "sortino": sortino(returns),
        "max_drawdown": float(drawdown(wealth).min()),
        "turnover": float(turnover[1:].mean()) * SESSIONS_PER_YEAR,
        "costs": float(costs.sum()),
        "hit_rate": hit_rate(returns),
    }
