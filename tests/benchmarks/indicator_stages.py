"""Our children of the benchmark `indicators`."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from tasks.features.engine import compute
from tasks.features.names import parse
from tasks.features.sets import ALPHA158
from tests.benchmarks.meter import Meter
from tests.benchmarks.random_walks import BAR, arguments, names, tell, timed, walks

# What the peers' scripts make, in their order; on-balance volume over 20 bars instead of its level.
COLUMNS = (
    "sma(5)",
    "sma(10)",
    "sma(20)",
    "sma(60)",
    "ema(12)",
    "ema(26)",
    "macd(12,26)",
    "macd_signal(12,26,9)",
    "macd_histogram(12,26,9)",
    "rsi(14)",
    "bollinger_upper(20)",
    "bollinger_lower(20)",
    "atr(14)",
    "adx(14)",
    "stochastic_d(14,3)",
    "stochastic_slow_d(14,3,3)",
    "on_balance_volume(20)",
    "cci(20)",
    "williams_r(14)",
    "roc(10)",
    "mfi(14)",
    "log_return(1)",
    "log_return(5)",
    "log_return(20)",
    "realised_volatility(20)",
    "volume_zscore(20)",
    "parkinson(20)",
    "amihud(20)",
)


def panel(symbols: int, days: int) -> pl.DataFrame:
    """Returns the random walks as a panel."""
    bars = walks(symbols, days)
    first = date(2000, 1, 3)
    dates = pl.Series("date", [first + timedelta(days=i) for i in range(days)])
    return pl.DataFrame(
        {
            "symbol": pl.Series(np.repeat(names(symbols), days)),
            "date": pl.concat([dates] * symbols),
            **{name: bars[name].ravel() for name in BAR},
        }
    ).rechunk()


def main() -> None:
    """Runs one child and prints what it measured."""
    chosen = arguments()
    features = [parse(name) for name in COLUMNS]
    if chosen.kind == "compile":
        compute(panel(2, 300), features)
        tell({"rows": 600})
    elif chosen.kind == "memory":
        tell(_memory(panel(chosen.large_symbols, chosen.days)))
    elif chosen.kind in ("copy", "copy64"):
        width = np.float32 if chosen.kind == "copy" else np.float64
        tell(_copied(chosen.symbols, chosen.days, chosen.calls, width))
    else:
        if chosen.kind == "alpha158":
            features = [parse(name) for name in ALPHA158]
        bars = panel(chosen.symbols, chosen.days)
        measures = timed(lambda: compute(bars, features), chosen.calls)
        a_row = 1e6 * measures["cpu_seconds"] / bars.height
        tell({**measures, "cpu_microseconds_a_row": round(a_row, 4)})


def _copied(symbols: int, days: int, calls: int, width: type) -> dict[str, float]:
    bars = [walks(symbols, days)[name].ravel() for name in BAR]

    def copy() -> np.ndarray:
        out = np.empty((len(COLUMNS), symbols * days), dtype=width)
        for row in range(len(COLUMNS)):
            out[row] = bars[row % len(bars)]
        return out

    return timed(copy, calls)


def _memory(bars: pl.DataFrame) -> dict[str, object]:
    """Returns what a call takes over what its input takes already."""
    features = [parse(name) for name in COLUMNS]
    # The compiled code comes into memory with the first call; it has no size of the data's.
    compute(bars.head(100), features)
    meter = Meter()
    with meter("call"):
        made = compute(bars, features)
    call = meter.result()["call"]
    over = None if call["peak_mb"] is None else call["peak_mb"] - call["start_mb"]
    result_mb = 4 * len(COLUMNS) * made.height / 1024**2
    return {**call, "over_input_mb": over, "result_mb": round(result_mb, 1)}


if __name__ == "__main__":
    main()
