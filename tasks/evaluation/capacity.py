"""How much money the forecasts carry: the same portfolio at growing capitals.

More money trades a larger share of the same volume, so it slips more and more of it is not filled.
Everything else is alike, above all the forecasts, which know nothing of the capital.
"""

import math

import numpy as np

from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import SESSIONS_PER_YEAR, performance, sharpe, simple_returns
from tasks.evaluation.portfolio import Ledger, Market, simulate
from tasks.evaluation.portfolio_spec import PortfolioSpec

# Capacity is where more than half the Sharpe ratio of the smallest capital is gone.
KEPT = 0.5


def capacity(
    signal: FloatArray, market: Market, spec: PortfolioSpec, horizon: int
) -> dict[str, object] | None:
    """Returns the curve of the long-only portfolio and a sentence on it; None without capitals.

    A row has `capital`, `annual_return`, `sharpe`, `slippage` (share of the mean equity a year),
    `exposure` (mean share of the equity that is invested) and `filled` (share of the value ordered
    that was traded).
    """
    rows = []
    for capital in spec.capacity:
        sized = spec.model_copy(update={"capital": capital})
        ledger = simulate(signal, market, "long_only", sized, horizon, keep_shares=False)
        rows.append({"capital": capital, **_row(ledger)})
    return {"portfolio": "long_only", "rows": rows, "sentence": _sentence(rows)} if rows else None


def _row(ledger: Ledger) -> dict[str, float]:
    returns = simple_returns(ledger.equity)
    traded = float((ledger.turnover[1:] * ledger.equity[:-1]).sum())
    ordered = traded + float(ledger.unfilled.sum())
    return {
        "annual_return": performance(ledger.equity, ledger.turnover, ledger.costs)["annual_return"],
        "sharpe": float(sharpe(returns, np.ones((1, returns.size)))[0]),
        "slippage": float(ledger.slippage.mean() / ledger.equity.mean()) * SESSIONS_PER_YEAR,
        "exposure": float(ledger.gross_exposure.mean()),
        "filled": traded / ordered if ordered else math.nan,
    }


def _sentence(rows: list[dict[str, float]]) -> str:
    first = rows[0]
    if not first["sharpe"] > 0.0:
        return (
            f"There is no capacity: already {first['capital']:,.0f} earns a Sharpe ratio of "
            f"{first['sharpe']:.2f} after costs."
        )
    worse = [row for row in rows if not row["sharpe"] >= KEPT * first["sharpe"]]
    if worse:
        return (
            f"From {worse[0]['capital']:,.0f} on, slippage and limited volume leave less than half "
            f"the Sharpe ratio of {first['sharpe']:.2f} that {first['capital']:,.0f} has."
        )
    return (
        f"Up to {rows[-1]['capital']:,.0f} at least half the Sharpe ratio of {first['sharpe']:.2f} "
        f"that {first['capital']:,.0f} has is left."
    )
