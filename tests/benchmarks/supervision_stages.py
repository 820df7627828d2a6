"""The child of the benchmark `supervision`: all folds and seeds of one cell."""

import argparse
import sys
import time
from dataclasses import replace
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
from tasks.features.names import parse
from tasks.features.sets import CLASSIC
from tasks.windows.spec import SplitSpec
from tasks.windows.splits import Span, walk_forward
from tests.benchmarks.bars_file import read_adjusted, run_lengths
from tests.benchmarks.daily_scores import daily_ics, ic_intervals, paired
from tests.benchmarks.random_walks import tell
from tests.benchmarks.supervision import SIZES, add_arguments

KINDS = ("last", "dense", "dense_same_time")
_HORIZON = 1


class Rows:
    """Features, targets and dates of all rows, and on which of them a window ends."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        bars = read_adjusted(chosen.bars)
        features = [parse(name) for name in CLASSIC]
        made = compute(bars, features).select(f.name for f in features)
        self.features = made.to_numpy().astype(np.float32, order="C")
        opens = pl.col("open").log()
        # Bars are counted in rows of the symbol: the files of this benchmark lack no session.
        ahead = opens.shift(-1 - _HORIZON).over("symbol") - opens.shift(-1).over("symbol")
        ready = bars.select("date", pl.col("symbol").rle_id(), target=ahead)
        self.target = ready["target"].fill_null(np.nan).to_numpy()
        self.symbols = ready["symbol"].to_numpy()
        self.dates = ready["date"].to_numpy().astype("datetime64[D]")
        self.sessions = np.unique(self.dates)
        usable = np.isfinite(self.features).all(axis=1)
        complete = run_lengths(usable, self.symbols) >= chosen.lookback
        self.ends = complete & np.isfinite(self.target)

    def of(self, span: Span) -> np.ndarray:
        """Returns the rows of a span whose label is known by `labels_by`."""
        inside = (self.dates >= np.datetime64(span.start)) & (self.dates <= np.datetime64(span.end))
        place = np.searchsorted(self.sessions, self.dates) + 1 + _HORIZON
        known = place <= np.searchsorted(self.sessions, np.datetime64(span.labels_by))
        return np.flatnonzero(self.ends & inside & known)


def main() -> None:
    """Runs the child and prints what it measured."""
    parser = argparse.ArgumentParser()
    for name in SIZES:
        parser.add_argument(f"--{name}", type=int, required=True)
    add_arguments(parser)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    make_deterministic()
    keep_freed_memory()
    tell(compare(chosen, chosen.cells[0]))


def compare(chosen: argparse.Namespace, cell: str) -> dict[str, Any]:
    """Returns CPU seconds, epochs and scores of each kind of fit, and their paired differences."""
    rows = Rows(chosen)
    # The calibrate span is not used here; the shortest there may be.
    splits = SplitSpec(
        folds=chosen.folds, fit=chosen.fit, stop=chosen.stop, calibrate=5, test=chosen.test
    )
    first = rows.dates[rows.ends].min()
    sessions = rows.sessions[rows.sessions >= first].tolist()
    spent = {kind: {"cpu_seconds": 0.0, "epochs": 0.0, "best_epoch": 0.0} for kind in KINDS}
    pieces: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    tests = []
    for fold in walk_forward(sessions, _HORIZON, splits):
        spans = {name: rows.of(getattr(fold, name)) for name in ("fit", "stop", "test")}
        scaler = fit_scaler(rows.features, rows.target, spans["fit"], chosen.lookback)
        panel = Panel(
            scaler.transform(rows.features), rows.target / scaler.target_scale, torch.device("cpu")
        )
        tests.append(spans["test"])
        found = [_seed(chosen, cell, panel, spans, seed, spent) for seed in range(chosen.seeds)]
        for kind in KINDS:
            pieces[kind].append(np.mean([one[kind] for one in found], axis=0))
        print(f"fold {fold.number + 1} of {chosen.folds} {cell}", file=sys.stderr, flush=True)
    test = np.concatenate(tests)
    daily = {
        kind: daily_ics(
            np.concatenate(pieces[kind]), rows.target[test], rows.dates[test], rows.symbols[test]
        )
        for kind in KINDS
    }
    fits = chosen.folds * chosen.seeds
    return {
        **{
            kind: {
                "cpu_seconds": round(spent[kind]["cpu_seconds"], 2),
                "epochs_a_fit": round(spent[kind]["epochs"] / fits, 2),
                "best_epoch": round(spent[kind]["best_epoch"] / fits, 2),
                **ic_intervals(daily[kind]),
            }
            for kind in KINDS
        },
        **{f"{kind} - last": paired(daily[kind], daily["last"]) for kind in KINDS[1:]},
        "test_windows": len(test),
        "days": len(daily["last"]["ic"]),
    }


def _seed(
    chosen: argparse.Namespace,
    cell: str,
    panel: Panel,
    spans: dict[str, np.ndarray],
    seed: int,
    spent: dict[str, dict[str, float]],
) -> dict[str, np.ndarray]:
    """Returns the test forecasts of the three fits with one seed; adds to what was spent."""
    last = FitSettings(
        epochs=chosen.epochs,
        batch_size=chosen.batch,
        learning_rate=1e-3,
        weight_decay=1e-3,
        clip_norm=1.0,
        patience=chosen.most_epochs,
        max_windows_per_epoch=chosen.windows,
    )
    dense = replace(
        last,
        batch_size=chosen.chunks,
        max_windows_per_epoch=None,
        supervision="dense",
        chunk=chosen.chunk,
    )

    def factory() -> Network:
        options = {"cell": cell, "layers": 1, "hidden": chosen.hidden, "dropout": 0.1}
        return build_network("recurrent", inputs=panel.values.shape[1], **options)

    forecasts = {}
    used = 0.0
    for kind in KINDS:
        settings = last if kind == "last" else dense
        if kind == "dense_same_time":
            settings = replace(dense, epochs=chosen.most_epochs, max_seconds=used)
        began = time.process_time()
        result = fit(
            factory,
            panel,
            spans["fit"],
            spans["stop"],
            chosen.lookback,
            settings,
            seed,
            clock=time.process_time,
        )
        took = time.process_time() - began
        used = took if kind == "last" else used
        network = factory()
        network.load_state_dict(result.weights)
        forecasts[kind] = predict(network, panel, spans["test"], chosen.lookback)[:, 0]
        for name, value in (
            ("cpu_seconds", took),
            ("epochs", len(result.curve)),
            ("best_epoch", result.best_epoch),
        ):
            spent[kind][name] += value
    return forecasts


if __name__ == "__main__":
    main()
