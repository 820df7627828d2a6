"""The sections "earned" and "paid": every figure of every portfolio with its interval."""

from collections.abc import Mapping

from tasks.evaluation.column import columns
from tasks.evaluation.earned import FIGURES, FLOWS
from tasks.evaluation.earned.entry import Flows, Paths
from tasks.evaluation.earned.sectors import earned_by_sector
from tasks.evaluation.metrics import divide
from tasks.evaluation.performance import simple_returns
from tasks.evaluation.portfolio import Ledger, Market
from tasks.evaluation.significance import Resamples, interval
from tasks.evaluation.trading import BENCHMARK


def earned_section(
    ledgers: Mapping[str, Ledger], market: Market, resamples: Resamples, confidence: float
) -> dict[str, object]:
    """Returns the columns, by portfolio the figures, and which portfolio is the market in them.

    That is the benchmark, or equal weight where there is none.

    The sectors' part in two portfolios stands beside them.

    Args:
        ledgers: the accounts on the same sessions.
        market: what they traded on, with its sectors.
        resamples: of these sessions.
        confidence: of the intervals.
    """
    returns = {name: simple_returns(ledger.equity) for name, ledger in ledgers.items()}
    order = resamples.order
    rival = BENCHMARK if BENCHMARK in ledgers else "equal_weight"
    rows: dict[str, dict[str, object]] = {}
    for name, ledger in ledgers.items():
        paths = Paths(
            returns=returns[name][order],
            market=returns[rival][order],
            invested=divide(ledger.positions_value, ledger.equity)[1:][order],
        )
        rows[name] = {
            figure: interval(entry.function(paths), confidence) for figure, entry in FIGURES.items()
        }
    return {
        "columns": columns(FIGURES),
        "portfolios": rows,
        "market": rival,
        "sectors": earned_by_sector(ledgers, market, resamples, confidence),
    }


def paid_section(
    ledgers: Mapping[str, Ledger], resamples: Resamples, confidence: float
) -> dict[str, object]:
    """Returns the columns and, by portfolio, the figures of what it held, traded and paid."""
    rows = {
        name: {
            figure: interval(entry.function(flows, resamples.counts), confidence)
            for figure, entry in FLOWS.items()
        }
        for name, ledger in ledgers.items()
        for flows in [Flows.of(ledger)]
    }
    return {"columns": columns(FLOWS), "portfolios": rows}
