"""The peers of the benchmark `portfolio`, run as a script under a Python that has them.

Each is given forecasts and prices, holds the best names in equal parts, trades at every open on the
forecasts of the close before, and pays the same rate on what it trades.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.portfolio import SIZES
from tests.benchmarks.random_market import RATE, best_weights, traded
from tests.benchmarks.random_rows import arguments
from tests.benchmarks.random_walks import names, tell, timed


def frames(values: np.ndarray) -> Any:
    """Returns a matrix [D, S] as pandas wants it."""
    import pandas as pd

    days = pd.date_range("2000-01-03", periods=len(values), freq="B")
    return pd.DataFrame(values, index=days, columns=names(values.shape[1]))


def shifted(weights: np.ndarray) -> np.ndarray:
    """Returns each session's weights one session later, none on the first."""
    return np.concatenate([np.zeros_like(weights[:1]), weights[:-1]])


def vectorbt(sizes: Any, made: bool) -> Callable[[], float]:
    """Returns a call of `Portfolio.from_orders`; with `made` weights it does not choose names."""
    import vectorbt as vbt

    given = traded(sizes.symbols, sizes.days)
    opens, closes = frames(given.open), frames(given.close)
    before = closes.shift(1).fillna(opens)
    ready = frames(shifted(best_weights(given.signal, sizes.names)))

    def call() -> float:
        weights = ready if made else frames(shifted(best_weights(given.signal, sizes.names)))
        account = vbt.Portfolio.from_orders(
            closes,
            size=weights,
            price=opens,
            val_price=before,
            size_type="targetpercent",
            group_by=True,
            cash_sharing=True,
            call_seq="auto",
            fees=RATE,
            freq="D",
            init_cash=1e6,
        )
        return float(account.value().iloc[-1]) / 1e6

    return call


def bt(sizes: Any) -> Callable[[], float]:
    """Returns a run of bt over its own sessions; it knows closes only, so opens stand for them."""
    import bt as library

    given = traded(sizes.symbols, sizes.days)
    own = slice(0, sizes.bt_days)
    opens = frames(given.open[own])
    weights = shifted(best_weights(given.signal, sizes.names))[own]

    def call() -> float:
        algos = [library.algos.WeighTarget(frames(weights)), library.algos.Rebalance()]
        test = library.Backtest(
            library.Strategy("best", algos),
            opens,
            commissions=lambda quantity, price: abs(quantity) * price * RATE,
            integer_positions=False,
            progress_bar=False,
        )
        return float(library.run(test).prices.iloc[-1, 0]) / 100

    return call


def measure(name: str, sizes: Any) -> dict[str, Any]:
    """Returns seconds of the first call and of those after it, and the last equity."""
    warnings.filterwarnings("ignore")
    call = bt(sizes) if name == "bt" else vectorbt(sizes, made=name == "vectorbt_weights")
    last = {}

    def run() -> None:
        last["final"] = call()

    times = timed(run, 1 if name == "bt" else sizes.calls)
    if name != "bt":
        return {**times, **last}
    # What is measured on few sessions is told for all.
    scale = sizes.days / sizes.bt_days
    return {key: round(scale * value, 3) for key, value in times.items()}


if __name__ == "__main__":
    asked = arguments(("vectorbt", "vectorbt_weights", "bt"), SIZES)
    tell(measure(asked.kind, asked))
