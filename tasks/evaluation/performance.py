"""What an equity curve earned and risked.

Returns are simple_returns from close to close, after costs. Annual figures take 252 sessions a
year; Sharpe and Sortino subtract no riskless rate.
"""

import math

import numpy as np
import numpy.typing as npt

from tasks.evaluation.metrics import FloatArray, divide, mean_over_dates

SESSIONS_PER_YEAR = 252


def simple_returns(equity: FloatArray) -> FloatArray:
    """Returns the change of equity over each session [D - 1]; 0 from the day of ruin on."""
    alive = alive_before(equity)
    return np.where(alive, equity[1:] / np.where(alive, equity[:-1], 1.0) - 1.0, 0.0)


def over_equity(amounts: FloatArray, equity: FloatArray) -> FloatArray:
    """Returns amounts of sessions [..., D - 1] over the equity [D] of the close before.

    They are 0 from the day of ruin on.
    """
    alive = alive_before(equity)
    return np.where(alive, amounts / np.where(alive, equity[:-1], 1.0), 0.0)


def alive_before(equity: FloatArray) -> npt.NDArray[np.bool_]:
    """Returns whether equity [D] was above 0 at every close before a session [D - 1]."""
    return np.asarray(np.minimum.accumulate(equity)[:-1] > 0.0)


def wealth(returns: FloatArray) -> FloatArray:
    """Returns what 1 has grown to before the first and after each session [..., D + 1]."""
    return np.asarray(np.cumprod(np.insert(1.0 + returns, 0, 1.0, axis=-1), axis=-1), np.float64)


def drawdown(equity: FloatArray) -> FloatArray:
    """Returns how far equity [..., D] stands from its highest close so far, as a return ≤ 0."""
    return np.asarray(equity / np.maximum.accumulate(equity, axis=-1) - 1.0)


def sharpe(returns: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the annualised Sharpe ratio under each weighting of the sessions [N]."""
    count = weights.sum(axis=1)
    mean = mean_over_dates(returns, weights)
    variance = mean_over_dates(returns**2, weights) - mean**2
    # Rounding leaves some 1e-16 of the squares when a portfolio does not move at all.
    moves = variance > 1e-14 * mean**2
    deviation = np.sqrt(np.where(moves, variance, 0.0) * divide(count, count - 1.0))
    return divide(mean, deviation) * math.sqrt(SESSIONS_PER_YEAR)


def annual_return(returns: FloatArray) -> FloatArray:
    """Returns the compounded return a year of returns [..., D]; NaN where all was lost."""
    end = wealth(returns)[..., -1]
    years = returns.shape[-1] / SESSIONS_PER_YEAR
    return np.where(end > 0.0, np.maximum(end, 0.0) ** (1.0 / years) - 1.0, np.nan)


def annual_volatility(returns: FloatArray) -> FloatArray:
    """Returns the standard deviation (ddof 1) of returns [..., D] times √252."""
    return np.asarray(returns.std(axis=-1, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sortino(returns: FloatArray) -> FloatArray:
    """Returns the annualised mean over the root mean square of the losses (Sortino 1994).

    Of returns [..., D]; NaN without a loss.
    """
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2, axis=-1))
    return divide(returns.mean(axis=-1), downside) * math.sqrt(SESSIONS_PER_YEAR)


def hit_rate(returns: FloatArray) -> FloatArray:
    """Returns the share of gains among the sessions that gained or lost; NaN without any."""
    return divide((returns > 0.0).sum(axis=-1), (returns != 0.0).sum(axis=-1))


def max_drawdown(returns: FloatArray) -> FloatArray:
    """Returns the deepest fall from the highest close so far, as a return (0 or below)."""
    return np.asarray(drawdown(wealth(returns)).min(axis=-1))


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
    # From the returns, so that nothing after the day of ruin counts.
    returns = simple_returns(equity)
    return {
        "total_return": float(wealth(returns)[-1]) - 1.0,
        "annual_return": float(annual_return(returns)),
        "annual_volatility": float(annual_volatility(returns)),
        "sortino": float(sortino(returns)),
        "max_drawdown": float(max_drawdown(returns)),
        "turnover": float(turnover[1:].mean()) * SESSIONS_PER_YEAR,
        "costs": float(costs.sum()),
        "hit_rate": float(hit_rate(returns)),
    }
