"""A random-walk market with forecasts as matrices; needs only numpy, so that peers share it."""

from typing import NamedTuple

import numpy as np

from tests.benchmarks.random_walks import walks

# Commission and half the spread, share of the traded value.
RATE = 0.001


class Traded(NamedTuple):
    """Matrices [D, S]: what is forecast at each close, and the prices."""

    signal: np.ndarray
    open: np.ndarray
    close: np.ndarray
    dollar_volume: np.ndarray
    volatility: np.ndarray


def traded(symbols: int, days: int) -> Traded:
    """Returns forecasts that know a little of the next session, and its prices."""
    bars = {name: np.ascontiguousarray(values.T) for name, values in walks(symbols, days).items()}
    close = bars["close"]
    draw = np.random.default_rng(3)
    ahead = np.zeros_like(close)
    ahead[:-1] = close[1:] / close[:-1] - 1.0
    signal = 0.05 * ahead + 0.02 * draw.standard_normal(close.shape)
    return Traded(signal, bars["open"], close, close * bars["volume"], np.full_like(close, 0.02))


def best_weights(signal: np.ndarray, names: int) -> np.ndarray:
    """Returns equal weights of the best names of each session."""
    weights = np.zeros_like(signal)
    best = np.argpartition(-signal, names, axis=1)[:, :names]
    np.put_along_axis(weights, best, 1.0 / names, axis=1)
    return weights
