"""The children of the benchmark `study`: `python -m tests.benchmarks.study_stages KIND …`."""

import argparse
import statistics
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from models.device import keep_freed_memory, make_deterministic
from models.fit import FitSettings, fit
from models.networks import Network, build_network
from models.panel import Panel
from models.predict import predict
from models.scaler import fit_scaler
from tasks.features.engine import compute
from tasks.features.indicators.alpha.names import QLIB_COLUMNS
from tasks.features.names import parse
from tests.benchmarks.bars_file import read_adjusted, run_lengths
from tests.benchmarks.daily_scores import daily_ics, ic_intervals, paired
from tests.benchmarks.meter import Meter
from tests.benchmarks.random_walks import tell
from tests.benchmarks.study import CELLS, RULES, SIZES, SPANS, SUPERVISIONS, add_arguments

# qlib's 20 columns, by its own names.
QLIB_20 = (
    *("RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10"),
    *("VSTD5", "RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20"),
    "KLOW",
)


@dataclass(frozen=True)
class Study:
    """Rows of all symbols [N], and those of each span on which a window ends.

    Attributes:
        features: [N, F] float32, NaN where masked.
        returns: [N], from the close of t+1 to the close of t+2, NaN where there is none.
        score: [N], the same as a z-score across the symbols of the date.
        dates: [N], days.
        symbols: [N], codes.
        spans: by name, ascending; of train and validate only rows with a return.
    """

    features: np.ndarray
    returns: np.ndarray
    score: np.ndarray
    dates: np.ndarray
    symbols: np.ndarray
    spans: dict[str, np.ndarray]


def main() -> None:
    """Runs one child and prints what it measured."""
    chosen = arguments()
    torch.set_num_threads(chosen.threads)
    if chosen.kind == "compile":
        bars = read_adjusted(chosen.bars)
        compute(bars.filter(pl.col("symbol") == bars["symbol"][0]), _features())
        tell({"rows": bars.height})
    elif chosen.kind == "paired":
        tell(compare(chosen.work))
    elif chosen.kind in RULES:
        tell(follow(chosen))
    else:
        tell(run(chosen))


def arguments() -> argparse.Namespace:
    """Returns the command line of a child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=(*SUPERVISIONS, *RULES, "compile", "paired"))
    parser.add_argument("cell", nargs="?", choices=CELLS)
    parser.add_argument("--work", type=Path, required=True)
    for name in SIZES:
        parser.add_argument(f"--{name}", type=int, required=True)
    add_arguments(parser)
    return parser.parse_args()


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Returns seconds and memory of every stage of one study, and its scores."""
    make_deterministic()
    keep_freed_memory()
    meter = Meter()
    with meter("features"):
        study = prepare(chosen)
    with meter("panel"):
        train = study.spans["train"]
        scaler = fit_scaler(study.features, study.score, train, chosen.lookback)
        panel = Panel(scaler.transform(study.features), study.score, torch.device("cpu"))
    test, epochs, forecasts = study.spans["test"], [], []
    for seed in range(chosen.seeds):
        with meter("fit"):
            network, seconds = _fitted(chosen, study, panel, seed)
        epochs += seconds
        with meter("predict"):
            forecasts.append(predict(network, panel, test, chosen.lookback)[:, 0])
    # The scale of a z-score is its own; a return's is that of the returns of train.
    mean = np.mean(forecasts, axis=0)
    windows = {f"{name}_windows": len(rows) for name, rows in study.spans.items()}
    return {
        **meter.result(),
        **windows,
        "epoch_seconds": round(statistics.median(epochs), 3),
        **_scores(chosen, study, mean, f"{chosen.kind} {chosen.cell}"),
    }


def prepare(chosen: argparse.Namespace) -> Study:
    """Reads the bars and makes features, labels and spans."""
    bars = read_adjusted(chosen.bars)
    features = _features()
    made = compute(bars, features).select(f.name for f in features)
    ahead = pl.col("close").shift(-2).over("symbol") / pl.col("close").shift(-1).over("symbol")
    labelled = bars.select("symbol", "date", returns=ahead - 1)
    centred = pl.col("returns") - pl.col("returns").mean().over("date")
    labelled = labelled.with_columns(score=centred / pl.col("returns").std().over("date"))
    dates = labelled["date"].to_numpy().astype("datetime64[D]")
    symbols = labelled["symbol"].rle_id().to_numpy()
    values = made.to_numpy().astype(np.float32, order="C")
    usable = np.isfinite(values).all(axis=1)
    complete = run_lengths(usable, symbols) >= chosen.lookback
    returns, score = (labelled[c].fill_null(np.nan).to_numpy() for c in ("returns", "score"))
    spans = {}
    for name in SPANS:
        first, last = (np.datetime64(day) for day in getattr(chosen, name))
        inside = complete & np.isfinite(score) & (dates >= first) & (dates <= last)
        spans[name] = np.flatnonzero(inside)
    return Study(values, returns, score, dates, symbols, spans)


def _features() -> list[Any]:
    ours = {theirs: name for name, theirs in QLIB_COLUMNS.items()}
    return [parse(ours[name]) for name in QLIB_20]


def _fitted(
    chosen: argparse.Namespace, study: Study, panel: Panel, seed: int
) -> tuple[Network, list[float]]:
    """Returns a fitted network, and the seconds of each epoch with its look at validate."""
    dense = chosen.kind == "dense"
    settings = FitSettings(
        epochs=chosen.epochs,
        batch_size=chosen.chunks if dense else chosen.batch,
        learning_rate=1e-3,
        weight_decay=1e-3,
        clip_norm=1.0,
        patience=chosen.epochs,
        supervision=chosen.kind,
        chunk=chosen.chunk,
    )

    def factory() -> Network:
        options = {"cell": chosen.cell, "layers": 2, "hidden": chosen.hidden, "dropout": 0.0}
        return build_network("recurrent", inputs=study.features.shape[1], **options)

    marks = [time.perf_counter()]
    result = fit(
        factory,
        panel,
        study.spans["train"],
        study.spans["validate"],
        chosen.lookback,
        settings,
        seed,
        on_epoch=lambda row: marks.append(time.perf_counter()),
    )
    network = factory()
    network.load_state_dict(result.weights)
    return network, np.diff(marks).tolist()


def follow(chosen: argparse.Namespace) -> dict[str, Any]:
    """Returns the scores of a rule on the rows that the networks forecast."""
    study = prepare(chosen)
    close = pl.col("close")
    rule = {
        "reversal": -(close / close.shift(5).over("symbol")),
        "momentum": close.shift(21).over("symbol") / close.shift(252).over("symbol"),
    }[chosen.kind]
    values = read_adjusted(chosen.bars).select(rule.alias("rule"))["rule"].fill_null(np.nan)
    return _scores(chosen, study, values.to_numpy()[study.spans["test"]], chosen.kind)


def _scores(
    chosen: argparse.Namespace, study: Study, forecast: np.ndarray, name: str
) -> dict[str, Any]:
    """Returns the scores on test, and keeps the daily ones in a file for `compare`."""
    test = study.spans["test"]
    daily = daily_ics(forecast, study.returns[test], study.dates[test], study.symbols[test])
    np.savez(chosen.work / f"{name}.npz", **daily)  # type: ignore[arg-type]
    error, naive = (forecast - study.score[test]) ** 2, study.score[test] ** 2
    ratio = {} if chosen.kind in RULES else {"mse_ratio": round(error.mean() / naive.mean(), 5)}
    return {**ic_intervals(daily), **ratio, "days": len(daily["ic"])}


def compare(work: Path) -> dict[str, Any]:
    """Returns the day by day difference of every pair of networks that has been scored."""
    found = {path.stem: np.load(path) for path in sorted(work.glob("*.npz"))}
    networks = [name for name in found if name not in RULES]
    pairs = combinations(networks, 2)
    made = {f"{a} - {b}": paired(dict(found[a]), dict(found[b])) for a, b in pairs}
    return {"pairs": len(made), **made}


if __name__ == "__main__":
    main()
