"""What the benchmark is, and whether it leaves out what its holder was paid."""

import polars as pl

from tasks.evaluation.trading import BENCHMARK
from tasks.lake.artifacts import TableRef


def held_benchmark(
    benchmark: TableRef | None, actions: pl.DataFrame, equity: pl.DataFrame
) -> dict[str, str]:
    """Returns the benchmark's place in the portfolios' rule, and a limit where it has no dividend.

    Args:
        benchmark: what was read of it, one symbol; None without one.
        actions: symbol, date, kind, value, as known then.
        equity: portfolio and date of every session.
    """
    days = equity.filter(pl.col("portfolio") == BENCHMARK)["date"]
    if benchmark is None or days.is_empty():
        return {"rule": "none; equal weight is the only rival", "limit": ""}
    (symbol,) = benchmark.symbols
    paid = actions.filter(
        pl.col("symbol") == symbol,
        pl.col("kind") != "split",
        pl.col("value") > 0.0,
        pl.col("date").is_between(days.min(), days.max()),
    ).height
    held = f"{symbol}, bought once at the same commission and spread, then held"
    if paid:
        return {"rule": f"{held}; {paid} dividends reinvested", "limit": ""}
    limit = (
        f"The benchmark {symbol} has no dividend in this span: it is, or looks like, a price "
        "index. Its holder earned dividends on top, which the other portfolios have and it has "
        "not, so that comparisons with it flatter."
    )
    return {"rule": f"{held}; without dividends", "limit": limit}
