"""The section "earned" of the summary: every figure of every portfolio with its interval."""

from collections.abc import Mapping

from tasks.evaluation.column import columns
from tasks.evaluation.earned import FIGURES
from tasks.evaluation.earned.entry import Paths
from tasks.evaluation.earned.sectors import earned_by_sector
from tasks.evaluation.metrics import divide
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.portfolio import Ledger, Market
from tasks.evaluation.significance import interval, resample_order
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trading import BENCHMARK


def earned_section(
    ledgers: Mapping[str, Ledger], market: Market, horizon: int, spec: EvaluationSpec
) -> dict[str, object]:
    """Returns the columns and, by portfolio, the figures; those beside a benchmark need one.

    The sectors' part in two portfolios stands beside them.

    Args:
        ledgers: the accounts on the same sessions.
        market: what they traded on, with its sectors.
        horizon: of the target, in sessions; the resampled blocks are longer.
        spec: confidence and resamples.
    """
    returns = {name: simple_returns(ledger.equity) for name, ledger in ledgers.items()}
    sessions = next(iter(returns.values())).size
    order = resample_order(sessions, horizon, spec.bootstrap_samples, spec.seed)
    bench = returns.get(BENCHMARK)
    rows: dict[str, dict[str, object]] = {}
    for name, ledger in ledgers.items():
        paths = Paths(
            returns=returns[name][order],
            market=None if bench is None else bench[order],
            invested=divide(ledger.positions_value, ledger.equity)[1:][order],
        )
        rows[name] = {
            figure: None if draws is None else interval(draws, spec.confidence)
            for figure, entry in FIGURES.items()
            for draws in [entry.function(paths)]
        }
    return {
        "columns": columns(FIGURES),
        "portfolios": rows,
        "sectors": earned_by_sector(ledgers, market, horizon, spec),
    }
