"""What the portfolio would have earned had trading cost more or less than is assumed.

Commission, spread, slippage and borrow fee are multiplied alike. Forecasts, fills and limits stay.
"""

from tasks.evaluation.earned import COSTS
from tasks.evaluation.earned.entry import Flows
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import sharpe, simple_returns
from tasks.evaluation.portfolio import Market, simulate
from tasks.evaluation.significance import Resamples, interval
from tasks.evaluation.spec import EvaluationSpec

MULTIPLES = (0.0, 0.5, 1.0, 2.0, 4.0)
_COSTS = ("commission_bps", "spread_bps", "impact", "borrow_bps_per_year")


def cost_sensitivity(
    signal: FloatArray, market: Market, horizon: int, spec: EvaluationSpec, resamples: Resamples
) -> dict[str, object]:
    """Returns the long-only portfolio at multiples of its costs, and a sentence on them.

    A row has `multiple` and, with their intervals from the same resamples of the sessions, `sharpe`
    and `paid`, share of the equity a year.
    """
    weights = resamples.counts
    rows: list[dict[str, object]] = []
    values: dict[float, float] = {}
    for multiple in MULTIPLES:
        costs = {name: multiple * getattr(spec.portfolio, name) for name in _COSTS}
        priced = spec.portfolio.model_copy(update=costs)
        ledger = simulate(signal, market, "long_only", priced, horizon, keep_shares=False)
        found = interval(sharpe(simple_returns(ledger.equity), weights), spec.confidence)
        paid = interval(COSTS.function(Flows.of(ledger), weights), spec.confidence)
        rows.append({"multiple": multiple, "sharpe": found, "paid": paid})
        values[multiple] = found.value
    sentence = (
        f"Without any costs the Sharpe ratio would have been {values[0.0]:.2f}, with those assumed "
        f"it is {values[1.0]:.2f}, with twice as much {values[2.0]:.2f}."
    )
    return {"portfolio": "long_only", "rows": rows, "sentence": sentence}
