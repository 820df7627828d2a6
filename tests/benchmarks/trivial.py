"""What signals that learn nothing score on real bars, by the evaluation's own code.

The counterpart of the trivial rows of the study in `study.py`: 5-day reversal and 12-1 momentum
on the return from the close of t+1 to that of t+2, 1-day reversal on that from the close of t to
that of t+1, and all names bought in equal parts and held. Beside each figure stands what other code
found with the same bars and span, once. They agree within a unit of the last digit; bounds differ
in the third, as each code draws its own resamples. The Sharpe ratio is that of a year of 252
sessions; qlib's own analysis counts 238, which is shown too.

Intervals take 95 % and blocks of 20 sessions on average. The portfolios fill at the opens and pay
commission and spread.

--bars names the file: Parquet with symbol, date, open, high, low, close, adj_close and volume.
"""

import argparse
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tasks.evaluation.aligned import Scored, check_predictions, score_grid, traded_market
from tasks.evaluation.performance import SESSIONS_PER_YEAR, sharpe, simple_returns
from tasks.evaluation.portfolio_spec import PortfolioSpec
from tasks.evaluation.scores import ic_over_dates, rank_ic_over_dates, score_dates
from tasks.evaluation.significance import Interval, interval, resample_dates
from tasks.evaluation.trading import run_portfolios
from tasks.lake.tables import QUANTILE_COLUMNS
from tests.benchmarks.bars_file import read_adjusted
from tests.benchmarks.study import QLIB, SPANS

# Blocks are two horizons long: ten sessions stand for blocks of 20.
CONFIDENCE, HORIZON, SAMPLES, MIN_NAMES = 0.95, 10, 2000, 20
OTHERS: dict[str, dict[str, Any]] = {
    "5-day reversal": QLIB["reversal"],
    "12-1 momentum": QLIB["momentum"],
    "1-day reversal": {"rank_ic": [0.0216, 0.0023, 0.0411]},
    "bought and held": {"sharpe": [0.86]},
}
# qlib's `risk_analysis` counts a year of 238 sessions.
QLIB_YEAR = 238


def signals(bars: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Returns by name symbol, date, score and target; rows without either are left out."""
    close = pl.col("close")

    def over(bars_ago: int) -> pl.Expr:
        return close.shift(bars_ago).over("symbol")

    skipped, next_day = over(-2) / over(-1) - 1, over(-1) / close - 1
    rules = {
        "5-day reversal": (-(close / over(5)), skipped),
        "12-1 momentum": (over(21) / over(252), skipped),
        "1-day reversal": (-(close / over(1)), next_day),
    }
    return {
        name: bars.select("symbol", "date", score=score, target=target).drop_nulls()
        for name, (score, target) in rules.items()
    }


def predictions(rows: pl.DataFrame) -> pl.DataFrame:
    """Returns rows as the evaluation takes them: of one model that orders and forecasts no mean."""
    nothing = pl.lit(None, pl.Float64)
    return rows.with_columns(
        pl.lit("rule").alias("model"),
        pl.lit("network").alias("role"),
        pl.lit(0).alias("fold"),
        nothing.alias("mean"),
        *(nothing.alias(name) for name in QUANTILE_COLUMNS),
    )


def scores(rows: pl.DataFrame) -> dict[str, Any]:
    """Returns ic, rank_ic and how many dates and rows they stand on."""
    made = predictions(rows)
    check_predictions(made, "rule")
    scored: Scored = score_grid(made, HORIZON, MIN_NAMES)
    daily = score_dates(scored.models[0], scored)
    weights = resample_dates(scored.dates.len(), HORIZON, SAMPLES, seed=0)
    return {
        "ic": _listed(interval(ic_over_dates(daily, scored, weights), CONFIDENCE)),
        "rank_ic": _listed(interval(rank_ic_over_dates(daily, scored, weights), CONFIDENCE)),
        "dates": scored.dates.len(),
        "rows": rows.height,
    }


def portfolios(bars: pl.DataFrame, first: date, last: date) -> dict[str, Any]:
    """Returns Sharpe ratios of equal weights: held, held by qlib's year, and set anew each day."""
    inside = bars.filter(pl.col("date").is_between(first, last))
    rows = inside.select("symbol", "date", score=pl.lit(1.0))
    # Close × volume is what was traded, for their volume is divided by the whole factor.
    signal, market = traded_market(bars.with_columns(dividend_factor=1.0), rows, 0)
    once = np.full(signal.shape, np.nan)
    once[0] = signal[0]
    spec = PortfolioSpec(impact=0.0, max_participation=None)
    found = {}
    for name, given in {"held": once, "rebalanced": signal}.items():
        ledger = run_portfolios(given, market, None, spec, horizon=1)["equal_weight"]
        # The first session sees only the order.
        returns = simple_returns(ledger.equity[1:])
        weights = resample_dates(returns.size, HORIZON, SAMPLES, seed=0)
        found[name] = sharpe(returns, weights)
    year = np.sqrt(QLIB_YEAR / SESSIONS_PER_YEAR)
    draws = {
        "sharpe": found["held"],
        f"sharpe, year of {QLIB_YEAR}": found["held"] * year,
        "sharpe, rebalanced daily": found["rebalanced"],
    }
    made = {name: _listed(interval(values, CONFIDENCE)) for name, values in draws.items()}
    return {**made, "dates": len(market.dates), "names": int(np.isfinite(signal[0]).sum())}


def study(bars: pl.DataFrame, first: date, last: date) -> dict[str, dict[str, Any]]:
    """Returns by signal what it scores from the first date to the last."""
    inside = pl.col("date").is_between(first, last)
    found = {name: scores(rows.filter(inside)) for name, rows in signals(bars).items()}
    return {**found, "bought and held": portfolios(bars, first, last)}


def main(given: list[str] | None = None) -> None:
    """Prints what each signal scores beside what other code found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=Path, required=True, help="Parquet file of daily bars")
    said = "first and last date (default {} {})".format(*SPANS["test"])
    parser.add_argument("--test", nargs=2, default=SPANS["test"], metavar="DATE", help=said)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args(given)
    first, last = (date.fromisoformat(day) for day in chosen.test)
    found = study(read_adjusted(chosen.bars), first, last)
    print(json.dumps({"ours": found, "others": OTHERS}) if chosen.json else _told(found))


def _told(found: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for signal, figures in found.items():
        counts = ", ".join(f"{v:,} {k}" for k, v in figures.items() if not isinstance(v, list))
        lines.append(f"{signal} ({counts})")
        for name, value in figures.items():
            if isinstance(value, list):
                other = OTHERS[signal].get(name)
                beside = f"   other code {_text(other)}" if other else ""
                lines.append(f"  {name:26} {_text(value)}{beside}")
    return "\n".join(lines)


def _text(value: list[float]) -> str:
    point, *ends = (f"{number:+.4f}" for number in value)
    return f"{point} [{', '.join(ends)}]" if ends else point


def _listed(found: Interval) -> list[float]:
    return [round(number, 4) for number in (found.value, found.low, found.high)]


if __name__ == "__main__":
    main()
