"""Our children of the benchmark `portfolio`."""

import os
import tempfile
from datetime import date, timedelta
from typing import Any

import numpy as np

from tests.benchmarks.portfolio import SIZES
from tests.benchmarks.random_market import RATE, traded
from tests.benchmarks.random_rows import arguments
from tests.benchmarks.random_walks import tell, timed


def main() -> None:
    """Runs one child and prints what it measured."""
    chosen = arguments(("ours", "ours_slippage", "ours_cold"), SIZES)
    if chosen.kind != "ours_cold":
        tell(measure(chosen))
        return
    with tempfile.TemporaryDirectory() as empty:
        # numba reads this when it is imported.
        os.environ["NUMBA_CACHE_DIR"] = empty
        tell(measure(chosen))


def measure(sizes: Any) -> dict[str, Any]:
    """Returns seconds of the first call and of those after it, and the last equity."""
    from tasks.evaluation.portfolio import Market, simulate
    from tasks.evaluation.portfolio_spec import PortfolioSpec

    given = traded(sizes.symbols, sizes.days)
    dates = [date(2000, 1, 3) + timedelta(days=day) for day in range(sizes.days)]
    market = Market(
        dates,
        given.open,
        given.close,
        np.isfinite(given.open),
        dollar_volume=given.dollar_volume,
        volatility=given.volatility,
    )
    half = RATE * 1e4 / 2
    costs = {"commission_bps": half, "spread_bps": half}
    if sizes.kind == "ours_slippage":
        spec = PortfolioSpec(top_count=sizes.names, drop_limit=sizes.names // 10, **costs)
    else:
        plain = {"impact": 0.0, "max_participation": None}
        spec = PortfolioSpec(top_count=sizes.names, **plain, **costs)
    last = {}

    def call() -> Any:
        ledger = simulate(given.signal, market, "long_only", spec, horizon=1)
        last["final"] = float(ledger.equity[-1] / spec.capital)
        return ledger

    return {**timed(call, sizes.calls), **last}


if __name__ == "__main__":
    main()
