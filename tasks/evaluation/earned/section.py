"""The section "earned" of the summary: every figure of every portfolio with its interval."""

from collections.abc import Mapping

from tasks.evaluation.column import columns
from tasks.evaluation.earned import FIGURES
from tasks.evaluation.earned.entry import Paths
from tasks.evaluation.metrics import divide
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.portfolio import Ledger
from tasks.evaluation.significance import interval, resample_order
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trading import BENCHMARK


def earned_section(
    ledgers: Mapping[str, Ledger], horizon: int, spec: EvaluationSpec
) -> dict[str, object]:
    """Returns the columns, by portfolio the figures, and which portfolio is the market in them.

    That is the benchmark, or equal weight where there is none.

    Args:
        ledgers: the accounts on the same sessions.
        horizon: of the target, in sessions; the resampled blocks are longer.
        spec: confidence and resamples.
    """
    returns = {name: simple_returns(ledger.equity) for name, ledger in ledgers.items()}
    sessions = next(iter(returns.values())).size
    order = resample_order(sessions, horizon, spec.bootstrap_samples, spec.seed)
    market = BENCHMARK if BENCHMARK in ledgers else "equal_weight"
    rows: dict[str, dict[str, object]] = {}
    for name, ledger in ledgers.items():
        paths = Paths(
            returns=returns[name][order],
            market=returns[market][order],
            invested=divide(ledger.positions_value, ledger.equity)[1:][order],
        )
        rows[name] = {
            figure: interval(entry.function(paths), spec.confidence)
            for figure, entry in FIGURES.items()
        }
    return {"columns": columns(FIGURES), "portfolios": rows, "market": market}
