"""What the portfolio would have earned had trading cost more or less than is assumed.

Commission, spread, slippage and borrow fee are multiplied alike. Forecasts, fills and limits stay.
"""

from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import SESSIONS_PER_YEAR, sharpe, simple_returns
from tasks.evaluation.portfolio import Market, simulate
from tasks.evaluation.significance import interval, resample_dates
from tasks.evaluation.spec import EvaluationSpec

MULTIPLES = (0.0, 0.5, 1.0, 2.0, 4.0)
_COSTS = ("commission_bps", "spread_bps", "impact", "borrow_bps_per_year")


def cost_sensitivity(
    signal: FloatArray, market: Market, horizon: int, spec: EvaluationSpec
) -> dict[str, object]:
    """Returns the long-only portfolio at multiples of its costs, and a sentence on them.

    A row has `multiple`, `sharpe` with its interval and `paid`, share of the mean equity a year.
    All intervals come from the same resamples.
    """
    sessions = signal.shape[0] - 1
    weights = resample_dates(sessions, horizon, spec.bootstrap_samples, spec.seed)
    rows: list[dict[str, object]] = []
    values: dict[float, float] = {}
    for multiple in MULTIPLES:
        costs = {name: multiple * getattr(spec.portfolio, name) for name in _COSTS}
        priced = spec.portfolio.model_copy(update=costs)
        ledger = simulate(signal, market, "long_only", priced, horizon, keep_shares=False)
        found = interval(sharpe(simple_returns(ledger.equity), weights), spec.confidence)
        paid = float(ledger.costs.mean() / ledger.equity.mean()) * SESSIONS_PER_YEAR
        rows.append({"multiple": multiple, "sharpe": found, "paid": paid})
        values[multiple] = found.value
    sentence = (
        f"Without any costs the Sharpe ratio would have been {values[0.0]:.2f}, with those assumed "
        f"it is {values[1.0]:.2f}, with twice as much {values[2.0]:.2f}."
    )
    return {"portfolio": "long_only", "rows": rows, "sentence": sentence}
