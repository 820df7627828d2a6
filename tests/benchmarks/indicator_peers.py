"""The peers of the benchmark `indicators`, run as a script under a Python that has them.

The same work as ours: the columns in the order of `indicator_stages.COLUMNS`.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.random_walks import BAR, arguments, names, tell, timed, walks


def talib_columns(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray
) -> list[np.ndarray]:
    """Returns the columns of one symbol by TA-Lib, and numpy for what it does not have."""
    import talib

    logs = np.log(close)

    def change(n: int) -> np.ndarray:
        out = np.full_like(close, np.nan)
        out[n:] = logs[n:] - logs[:-n]
        return out

    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    one = change(1)
    spread = np.log(high / low)
    return [
        *(talib.SMA(close, n) for n in (5, 10, 20, 60)),
        *(talib.EMA(close, n) for n in (12, 26)),
        *talib.MACD(close, 12, 26, 9),
        talib.RSI(close, 14),
        upper,
        lower,
        talib.ATR(high, low, close, 14),
        talib.ADX(high, low, close, 14),
        *talib.STOCH(high, low, close, 14, 3, 0, 3, 0),
        talib.OBV(close, volume),
        talib.CCI(high, low, close, 20),
        talib.WILLR(high, low, close, 14),
        talib.ROC(close, 10),
        talib.MFI(high, low, close, volume, 14),
        *(one, change(5), change(20)),
        talib.STDDEV(one, 20),
        (volume - talib.SMA(volume, 20)) / talib.STDDEV(volume, 20),
        np.sqrt(talib.SMA(spread * spread, 20) / (4 * np.log(2))),
        talib.SMA(np.abs(one) / (close * volume), 20),
    ]


def run_talib(chosen: Any) -> dict[str, float]:
    """Times TA-Lib, called symbol by symbol."""
    bars = walks(chosen.symbols, chosen.days)

    def call() -> np.ndarray:
        out = np.empty((28, chosen.symbols, chosen.days))
        for s in range(chosen.symbols):
            for row, column in enumerate(talib_columns(*(bars[name][s] for name in BAR))):
                out[row, s] = column
        return out

    return timed(call, chosen.calls)


def run_polars_talib(chosen: Any) -> dict[str, float]:
    """Times polars-talib's expressions over a frame."""
    import polars as pl
    import polars_talib as plt

    bars = walks(chosen.symbols, chosen.days)
    panel = pl.DataFrame(
        {
            "symbol": pl.Series(np.repeat(names(chosen.symbols), chosen.days)).cast(pl.Categorical),
            **{name: bars[name].ravel() for name in BAR},
        }
    )
    high, low, close, volume = (pl.col(name) for name in BAR[1:])

    def change(n: int) -> Any:
        return (close / close.shift(n)).log()

    spread = (high / low).log().pow(2)
    made = {
        **{f"sma{n}": plt.sma(close, n) for n in (5, 10, 20, 60)},
        **{f"ema{n}": plt.ema(close, n) for n in (12, 26)},
        "macd": plt.macd(close, 12, 26, 9),
        "rsi": plt.rsi(close, 14),
        "bands": plt.bbands(close, 20, 2.0, 2.0),
        "atr": plt.atr(high, low, close, 14),
        "adx": plt.adx(high, low, close, 14),
        "stochastic": plt.stoch(high, low, close, 14, 3, 0, 3, 0),
        "obv": plt.obv(close, volume),
        "cci": plt.cci(high, low, close, 20),
        "williams": plt.willr(high, low, close, 14),
        "roc": plt.roc(close, 10),
        "mfi": plt.mfi(high, low, close, volume, 14),
        **{f"change{n}": change(n) for n in (1, 5, 20)},
        "volatility": change(1).rolling_std(20),
        "volume": (volume - volume.rolling_mean(20)) / volume.rolling_std(20),
        "parkinson": (spread.rolling_mean(20) / (4 * np.log(2))).sqrt(),
        "amihud": (change(1).abs() / (close * volume)).rolling_mean(20),
    }
    columns = [expression.over("symbol").alias(name) for name, expression in made.items()]

    def call() -> Any:
        return panel.lazy().with_columns(columns).unnest("macd", "bands", "stochastic").collect()

    return timed(call, chosen.calls)


def run_pyqlib(chosen: Any) -> dict[str, float]:
    """Times qlib's loader of Alpha158 on a store of its own, once, in one process."""
    import logging
    import tempfile

    import pandas as pd
    import qlib
    from qlib.contrib.data.loader import Alpha158DL
    from qlib.data.dataset.loader import QlibDataLoader

    days = pd.date_range("2000-01-03", periods=chosen.days, freq="B")
    with tempfile.TemporaryDirectory() as folder:
        _write_store(Path(folder), walks(chosen.qlib_symbols, chosen.days), days)
        qlib.init(provider_uri=folder, region="us", logging_level=logging.ERROR, kernels=1)
        loader = QlibDataLoader(config={"feature": Alpha158DL.get_feature_config()})
        began, worked = time.perf_counter(), _worked()
        frame = loader.load("all", days[0], days[-1])
        seconds, cpu = time.perf_counter() - began, _worked() - worked
    rows = chosen.qlib_symbols * chosen.days
    assert frame.shape == (rows, 158), frame.shape
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "cpu_microseconds_a_row": round(1e6 * cpu / rows, 3),
    }


def _worked() -> float:
    """Returns the CPU seconds of this process and of its children that have ended."""
    import resource

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _write_store(folder: Path, bars: dict[str, np.ndarray], days: Any) -> None:
    written = {**bars, "vwap": (bars["high"] + bars["low"] + bars["close"]) / 3}
    for place in ("calendars", "instruments", "features"):
        (folder / place).mkdir()
    (folder / "calendars" / "day.txt").write_text("".join(f"{d:%Y-%m-%d}\n" for d in days))
    span = f"{days[0]:%Y-%m-%d}\t{days[-1]:%Y-%m-%d}"
    symbols = names(len(bars["close"]))
    (folder / "instruments" / "all.txt").write_text("".join(f"{s}\t{span}\n" for s in symbols))
    for row, symbol in enumerate(symbols):
        own = folder / "features" / symbol.lower()
        own.mkdir()
        for name, column in written.items():
            # The first number is the place of the first day in the calendar.
            np.r_[0, column[row]].astype("<f4").tofile(own / f"{name}.day.bin")


if __name__ == "__main__":
    asked = arguments()
    runs = {"talib": run_talib, "polars_talib": run_polars_talib, "pyqlib": run_pyqlib}
    tell(runs[asked.kind](asked))
