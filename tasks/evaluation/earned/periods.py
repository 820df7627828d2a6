"""What the traded portfolio earned, risked and traded by calendar year and volatility regime."""

import polars as pl

from tasks.evaluation import performance
from tasks.evaluation.metrics import mean_over_dates
from tasks.evaluation.performance import SESSIONS_PER_YEAR, sharpe, simple_returns, wealth
from tasks.evaluation.portfolio import Ledger
from tasks.evaluation.significance import interval, resample
from tasks.evaluation.skill.slices import market_volatility, slices
from tasks.evaluation.spec import EvaluationSpec


def period_rows(
    ledger: Ledger, panel: pl.DataFrame, horizon: int, spec: EvaluationSpec
) -> list[dict[str, object]]:
    """Returns kind, name, sessions, return, Sharpe ratio, drawdown and turnover of every slice.

    The regime of a session is that of the close before it. Intervals come from a slice's own
    sessions, drawn anew in blocks. The return is compounded over the slice, the turnover is a
    year's; the sessions of a regime lie apart, so that it has no drawdown.

    Args:
        ledger: the account.
        panel: adjusted bars of the universe.
        horizon: of the target, in sessions.
        spec: confidence and resamples.
    """
    returns, turnover = simple_returns(ledger.equity), ledger.turnover[1:]
    dates = pl.Series(ledger.dates, dtype=pl.Date)
    rows: list[dict[str, object]] = []
    for kind, name, mine in slices(dates[1:], market_volatility(panel, dates[:-1])):
        own, size = returns[mine], int(mine.sum())
        drawn = resample(size, horizon, spec.bootstrap_samples, spec.seed)
        redrawn = own[drawn.order]
        found = {
            "return": wealth(redrawn)[:, -1] - 1.0,
            "sharpe": sharpe(own, drawn.counts),
            "turnover": mean_over_dates(turnover[mine], drawn.counts) * SESSIONS_PER_YEAR,
        }
        if kind == "year":
            found["drawdown"] = performance.max_drawdown(redrawn)
        intervals = {figure: interval(draws, spec.confidence) for figure, draws in found.items()}
        rows.append({"kind": kind, "name": name, "sessions": size, "drawdown": None} | intervals)
    return rows
