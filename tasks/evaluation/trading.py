"""The portfolios of an evaluation: the network's, equal weight, the benchmark; and who pays."""

from typing import get_args

import numpy as np
import polars as pl

from tasks.evaluation.aligned import to_matrix
from tasks.evaluation.earned.fan import fan
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import drawdown, performance, sharpe, simple_returns
from tasks.evaluation.portfolio import Ledger, Market, Mode, simulate
from tasks.evaluation.portfolio_spec import PortfolioSpec
from tasks.evaluation.significance import Resamples, interval
from tasks.evaluation.verdict import Rival, pays

BENCHMARK = "benchmark"
# What one would hold without the network, and what sentences call it; the benchmark may be missing.
RIVALS = {"equal_weight": "equal weight", BENCHMARK: "the benchmark"}


def run_portfolios(
    signal: FloatArray,
    market: Market,
    benchmark: pl.DataFrame | None,
    spec: PortfolioSpec,
    horizon: int,
) -> dict[str, Ledger]:
    """Returns the ledgers by name; the benchmark only where it has bars on these sessions."""
    ledgers = {str(m): simulate(signal, market, m, spec, horizon) for m in get_args(Mode)}
    held = None if benchmark is None else hold(benchmark, market, spec)
    return ledgers if held is None else {**ledgers, BENCHMARK: held}


def hold(benchmark: pl.DataFrame, market: Market, spec: PortfolioSpec) -> Ledger | None:
    """Returns the ledger of buying the benchmark once, at its first open after the first close.

    Args:
        benchmark: date, open, close.
        market: the sessions the portfolios trade on.
        spec: the same costs as theirs, slippage and limits aside: an index fund is liquid.
    """
    dates = pl.Series(market.dates)
    bars = benchmark.filter(pl.col("date").is_in(dates.implode()))
    bars = bars.with_columns(pl.lit(BENCHMARK).alias("symbol"))
    opens, closes = (to_matrix(bars, column, dates, [BENCHMARK]) for column in ("open", "close"))
    # A signal on one close only: bought at the next open, never rebalanced.
    days = np.flatnonzero(np.isfinite(opens[1:, 0]) & np.isfinite(closes[:-1, 0]))
    if days.size == 0:
        return None
    signal = np.full(opens.shape, np.nan)
    signal[days[0]] = 1.0
    bench = Market(market.dates, opens, closes, np.isfinite(opens))
    costs = ("commission_bps", "spread_bps", "interest_bps_per_year", "capital")
    plain = {"impact": 0.0, "max_participation": None, **{c: getattr(spec, c) for c in costs}}
    return simulate(signal, bench, "equal_weight", PortfolioSpec(**plain), horizon=1)


def money_sections(
    ledgers: dict[str, Ledger], resamples: Resamples, confidence: float
) -> dict[str, object]:
    """Returns the sections "pays" and "portfolios" of the summary."""
    returns = {name: simple_returns(ledger.equity) for name, ledger in ledgers.items()}
    draws = {name: sharpe(series, resamples.counts) for name, series in returns.items()}
    sharpes = {name: interval(draw, confidence) for name, draw in draws.items()}
    # Both ratios come from the same resamples, so what the market did cancels.
    rivals = [
        Rival(said, sharpes[name], interval(draws["long_only"] - draws[name], confidence))
        for name, said in RIVALS.items()
        if name in ledgers
    ]
    rows = [
        {
            "name": name,
            **performance(ledger.equity, ledger.turnover, ledger.costs),
            **_exposure(ledger),
            "sharpe": sharpes[name],
        }
        for name, ledger in ledgers.items()
    ]
    return {
        "pays": {
            "sentence": pays(sharpes["long_only"], rivals, confidence),
            "net_sharpe": sharpes["long_only"],
        },
        "portfolios": rows,
    }


def _exposure(ledger: Ledger) -> dict[str, object]:
    """Returns the mean exposure, what the costs were made of, and what was not filled."""
    parts = ("commission", "spread", "slippage", "borrow", "interest", "written_off", "unfilled")
    alive = ledger.equity > 0.0
    return {
        "exposure": float(ledger.gross_exposure[alive].mean()),
        "net_exposure": float(ledger.net_exposure[alive].mean()),
        **{part: float(getattr(ledger, part).sum()) for part in parts},
    }


def equity_frame(
    ledgers: dict[str, Ledger], resamples: Resamples, confidence: float
) -> pl.DataFrame:
    """Returns portfolio, date, equity, cash, positions, turnover, costs, exposures, drawdown.

    The long-only portfolio has its fan too: `growth_low`, `growth_high` and `drawdown_low`.
    """
    fanned = {"long_only": fan(ledgers["long_only"].equity, resamples, confidence)}
    frames = (
        pl.DataFrame(
            {
                "portfolio": [name] * len(ledger.dates),
                "date": ledger.dates,
                "equity": ledger.equity,
                "cash": ledger.cash,
                "positions": ledger.positions_value,
                "turnover": ledger.turnover,
                "costs": ledger.costs,
                "exposure": ledger.gross_exposure,
                "net_exposure": ledger.net_exposure,
                "drawdown": drawdown(ledger.equity),
                **fanned.get(name, {}),
            }
        )
        for name, ledger in ledgers.items()
    )
    return pl.concat(frames, how="diagonal").fill_nan(None)
