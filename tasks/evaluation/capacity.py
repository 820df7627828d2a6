"""How much money the forecasts carry: the same portfolio at growing capitals.

More money trades a larger share of the same volume, so it slips more and more of it is not filled.
Everything else is alike, above all the forecasts, which know nothing of the capital.
"""

import math
from typing import Any

from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import SESSIONS_PER_YEAR, annual_return, sharpe, simple_returns
from tasks.evaluation.portfolio import Ledger, Market, simulate
from tasks.evaluation.significance import interval, resample_dates
from tasks.evaluation.spec import EvaluationSpec

# Capacity is where more than half the Sharpe ratio of the smallest capital is gone.
KEPT = 0.5


def capacity(
    signal: FloatArray, market: Market, spec: EvaluationSpec, horizon: int
) -> dict[str, object] | None:
    """Returns the curve of the long-only portfolio and a sentence on it; None without capitals.

    A row has `capital`, `annual_return`, `sharpe` with its interval, `slippage` (share of the mean
    equity a year), `exposure` (mean share of the equity that is invested) and `filled` (share of
    the value ordered that was traded).
    """
    sessions = signal.shape[0] - 1
    weights = resample_dates(sessions, horizon, spec.bootstrap_samples, spec.seed)
    rows = []
    for capital in spec.portfolio.capacity:
        sized = spec.portfolio.model_copy(update={"capital": capital})
        ledger = simulate(signal, market, "long_only", sized, horizon, keep_shares=False)
        rows.append({"capital": capital, **_row(ledger, weights, spec.confidence)})
    return {"portfolio": "long_only", "rows": rows, "sentence": _sentence(rows)} if rows else None


def _row(ledger: Ledger, weights: FloatArray, confidence: float) -> dict[str, Any]:
    returns = simple_returns(ledger.equity)
    traded = float((ledger.turnover[1:] * ledger.equity[:-1]).sum())
    ordered = traded + float(ledger.unfilled.sum())
    return {
        "annual_return": float(annual_return(returns)),
        "sharpe": interval(sharpe(returns, weights), confidence),
        "slippage": float(ledger.slippage.mean() / ledger.equity.mean()) * SESSIONS_PER_YEAR,
        "exposure": float(ledger.gross_exposure.mean()),
        "filled": traded / ordered if ordered else math.nan,
    }


def _sentence(rows: list[dict[str, Any]]) -> str:
    capital, ratio = rows[0]["capital"], rows[0]["sharpe"].value
    if not ratio > 0.0:
        return (
            f"There is no capacity: already {capital:,.0f} earns a Sharpe ratio of {ratio:.2f} "
            "after costs."
        )
    left = f"the Sharpe ratio of {ratio:.2f} that {capital:,.0f} has"
    worse = [row["capital"] for row in rows if not row["sharpe"].value >= KEPT * ratio]
    if worse:
        return f"From {worse[0]:,.0f} on, slippage and limited volume leave less than half {left}."
    return f"Up to {rows[-1]['capital']:,.0f} at least half {left} is left."
