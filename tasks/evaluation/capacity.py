"""How much money the forecasts carry: the same portfolio at growing capitals.

More money trades a larger share of the same volume, so it slips more and more of it is not filled.
Everything else is alike, above all the forecasts, which know nothing of the capital.
"""

from typing import Any

from tasks.evaluation.earned import FLOWS
from tasks.evaluation.earned.entry import Flows
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import annual_return, sharpe, simple_returns
from tasks.evaluation.portfolio import Ledger, Market, simulate
from tasks.evaluation.significance import Resamples, interval
from tasks.evaluation.spec import EvaluationSpec

# Capacity is where more than half the Sharpe ratio of the smallest capital is gone.
KEPT = 0.5


def capacity(
    signal: FloatArray, market: Market, horizon: int, spec: EvaluationSpec, resamples: Resamples
) -> dict[str, object] | None:
    """Returns the curve of the long-only portfolio and a sentence on it; None without capitals.

    A row has `capital`, `annual_return` and, with their intervals from the same resamples of the
    sessions, `sharpe`, `slippage` (share of the equity a year), `exposure` (mean share of the
    equity that is invested) and `filled` (share of the value ordered that was traded).
    """
    rows = []
    for capital in spec.portfolio.capacity:
        sized = spec.portfolio.model_copy(update={"capital": capital})
        ledger = simulate(signal, market, "long_only", sized, horizon, keep_shares=False)
        rows.append({"capital": capital, **_row(ledger, resamples.counts, spec.confidence)})
    return {"portfolio": "long_only", "rows": rows, "sentence": _sentence(rows)} if rows else None


def _row(ledger: Ledger, weights: FloatArray, confidence: float) -> dict[str, Any]:
    returns = simple_returns(ledger.equity)
    flows = Flows.of(ledger)
    figures = {"slippage": "slippage", "exposure": "gross_exposure", "filled": "filled"}
    return {
        "annual_return": float(annual_return(returns)),
        "sharpe": interval(sharpe(returns, weights), confidence),
        **{
            name: interval(FLOWS[figure].function(flows, weights), confidence)
            for name, figure in figures.items()
        },
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
