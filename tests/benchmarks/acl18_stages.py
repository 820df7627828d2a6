"""The children of the benchmark `acl18`: one network or baseline each."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from models.checkpoint import FitState
from models.device import keep_freed_memory, make_deterministic
from models.fit import FitSettings, fit
from models.heads import point
from models.networks import Network, build_network
from models.panel import Panel
from models.predict import predict
from tests.benchmarks.acl18 import BASELINES, NETWORKS, SIZES, add_arguments
from tests.benchmarks.bars_file import run_lengths
from tests.benchmarks.random_walks import tell

_MEANS = (5, 10, 15, 20, 25, 30)
_SPANS = ("train", "validate", "test")


@dataclass(frozen=True)
class Moves:
    """Rows of all symbols [N]; a row's label is the move of the session after it.

    Attributes:
        features: [N, 11] float32, NaN where there is no value.
        label: [N], +1 up, -1 down, NaN where neither or unknown.
        days: [N], date of the move.
        spans: rows of each span that have a label and a full window, ascending.
    """

    features: np.ndarray
    label: np.ndarray
    days: np.ndarray
    spans: dict[str, np.ndarray]


def main() -> None:
    """Runs one child and prints what it measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=(*NETWORKS, *BASELINES))
    for name in SIZES:
        parser.add_argument(f"--{name}", type=int, required=True)
    add_arguments(parser)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    make_deterministic()
    keep_freed_memory()
    tell(run(chosen))


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Returns the scores on test, over seeds where chance has a part."""
    lookback = chosen.logistic_lookback if chosen.kind == "logistic" else chosen.lookback
    moves = read(chosen, lookback)
    guess: Callable[[int], np.ndarray]
    if chosen.kind in NETWORKS:
        guess = _network(chosen, moves)
    else:
        guess = _baseline(chosen.kind, moves, lookback)
    by_chance = chosen.kind in (*NETWORKS, "boosting")
    test = moves.spans["test"]
    up, days = moves.label[test] > 0, moves.days[test]
    guesses = [guess(seed) for seed in range(chosen.seeds if by_chance else 1)]
    found = np.array([(np.mean(g == up), matthews(g, up)) for g in guesses])
    mean = found.mean(axis=0)
    spread = found.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(2)
    error = np.mean([error_over_days(g == up, days) for g in guesses])
    return {
        "accuracy": round(100 * mean[0], 2),
        "accuracy_sd": round(100 * spread[0], 2),
        "accuracy_error": round(100 * float(error), 2),
        "mcc": round(mean[1], 4),
        "mcc_sd": round(spread[1], 4),
        "seeds": len(found),
        **{f"{span}_windows": len(moves.spans[span]) for span in _SPANS},
        **{
            f"{span}_share_up": round(float((moves.label[moves.spans[span]] > 0).mean()), 4)
            for span in _SPANS
        },
    }


def read(chosen: argparse.Namespace, lookback: int) -> Moves:
    """Reads the bars and makes features, labels and spans."""
    own = "symbol"
    adj, close = pl.col("adj_close"), pl.col("close")
    bars = pl.read_parquet(chosen.bars).filter(~pl.col(own).is_in(chosen.leave_out))
    priced = pl.col("open", "high", "low", "close", "adj_close").is_not_null()
    bars = bars.filter(pl.all_horizontal(priced)).sort(own, "date")
    features = [
        *(pl.col(name) / close - 1 for name in ("open", "high", "low")),
        *(price / price.shift(1).over(own) - 1 for price in (close, adj)),
        *(adj.rolling_mean(k).over(own) / adj - 1 for k in _MEANS),
    ]
    made = bars.select(own, "date", *((100 * f).alias(str(i)) for i, f in enumerate(features)))
    moved = bars.select((adj.shift(-1).over(own) / adj - 1).alias("move"))["move"]
    move = moved.fill_null(np.nan).to_numpy()
    label = np.where(move >= chosen.up, 1.0, np.where(move <= chosen.down, -1.0, np.nan))
    label[np.isnan(move)] = np.nan
    values = made.drop(own, "date").to_numpy().astype(np.float32, order="C")
    symbols = made[own].rle_id().to_numpy()
    full = run_lengths(np.isfinite(values).all(axis=1), symbols) >= lookback
    following = made.select(pl.col("date").shift(-1).over(own))["date"]
    days = following.to_numpy().astype("datetime64[D]")
    borders = [np.datetime64(getattr(chosen, name)) for name in (*_SPANS, "end")]
    # The last span takes its last day in.
    borders[-1] += 1
    spans = {}
    for span, first, after in zip(_SPANS, borders, borders[1:], strict=False):
        inside = (days >= first) & (days < after)
        spans[span] = np.flatnonzero(inside & full & np.isfinite(label))
    return Moves(values, label, days, spans)


class _Epochs:
    """A checkpoint that keeps the weights of every epoch, so that accuracy may choose one."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def load(self) -> FitState | None:
        return None

    def save(self, state: FitState) -> None:
        part = "weights/"
        own = {k.removeprefix(part): v for k, v in state.tensors.items() if k.startswith(part)}
        self.weights.append(own)


def _network(chosen: argparse.Namespace, moves: Moves) -> Callable[[int], np.ndarray]:
    values = np.nan_to_num(moves.features)
    panel = Panel(values, moves.label, torch.device("cpu"))
    settings = FitSettings(
        epochs=chosen.epochs,
        batch_size=chosen.batch,
        learning_rate=chosen.learning_rate,
        weight_decay=1e-3,
        clip_norm=1.0,
        patience=chosen.epochs,
        losses=(("cross_entropy", 1.0),),
    )
    options = {
        "cell": "gru" if chosen.kind == "gru" else "lstm",
        "layers": 1,
        "hidden": chosen.hidden,
        "dropout": 0.0,
        "attention": chosen.kind == "attention",
        "head": "direction",
    }

    def factory() -> Network:
        return build_network("recurrent", inputs=values.shape[1], **options)

    def guess(seed: int) -> np.ndarray:
        epochs, network = _Epochs(), factory()
        train, validate = moves.spans["train"], moves.spans["validate"]
        fit(factory, panel, train, None, chosen.lookback, settings, seed, epochs)
        accuracies = []
        for weights in epochs.weights:
            network.load_state_dict(weights)
            accuracies.append(
                np.mean(
                    _up(network, panel, validate, chosen.lookback) == (moves.label[validate] > 0)
                )
            )
        network.load_state_dict(epochs.weights[int(np.argmax(accuracies))])
        return _up(network, panel, moves.spans["test"], chosen.lookback)

    return guess


def _up(network: Network, panel: Panel, ends: np.ndarray, lookback: int) -> np.ndarray:
    raw = predict(network, panel, ends, lookback)
    return np.asarray(point("direction", raw))[:, 0] > 0


def _baseline(kind: str, moves: Moves, lookback: int) -> Callable[[int], np.ndarray]:
    """Returns guesses on test from the windows laid out side by side."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = moves.spans["train"], moves.spans["test"]
    if kind == "always_up":
        return lambda seed: np.ones(len(test), dtype=bool)
    if kind == "sign_momentum":
        # The fifth feature is the move of adj_close on the window's last day.
        return lambda seed: moves.features[test, 4] > 0

    def laid_out(ends: np.ndarray) -> np.ndarray:
        return moves.features[ends[:, None] - np.arange(lookback)].reshape(len(ends), -1)

    def guess(seed: int) -> np.ndarray:
        model: Any = HistGradientBoostingClassifier(random_state=seed)
        if kind == "logistic":
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(laid_out(train), moves.label[train] > 0)
        return model.predict(laid_out(test))

    return guess


def matthews(guess: np.ndarray, truth: np.ndarray) -> float:
    """Returns Matthews' correlation of two series of bools; 0 where one of them never varies."""
    both = np.sum(guess & truth), np.sum(~guess & ~truth), np.sum(guess & ~truth)
    hit, rejected, false = (float(count) for count in both)
    missed = float(np.sum(~guess & truth))
    sides = (hit + false) * (hit + missed) * (rejected + false) * (rejected + missed)
    return (hit * rejected - false * missed) / math.sqrt(sides) if sides else 0.0


def error_over_days(hits: np.ndarray, days: np.ndarray) -> float:
    """Returns the standard error of the share of hits, days being what is drawn (Cochran 1977)."""
    _, day = np.unique(days, return_inverse=True)
    over = np.bincount(day, hits - hits.mean())
    count = len(over)
    return math.sqrt(count / (count - 1) * float(np.sum(over**2))) / len(hits)


if __name__ == "__main__":
    main()
