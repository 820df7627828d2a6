"""A whole study on real bars: features, an epoch of training, prediction and its Rank IC.

The counterpart of qlib's LSTM and GRU from end to end: 20 columns of Alpha158, windows of 20,
2 × 64 units, batches of 800; the label is the return from the close of t+1 to the close of t+2,
trained on as a z-score across the symbols of its date. One child a cell and supervision does all of
it. `reversal` and `momentum` follow a rule: minus the return of 5 bars, and that of a year without
its last month. `paired` compares the children day by day. Intervals come from a stationary
bootstrap over days with blocks of 20 on average. `qlib` in the report is what qlib 0.9.7 took and
scored with the same bars and spans on 2 cores, once.

--bars names the file: Parquet with symbol, date, open, high, low, close, adj_close and volume.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender
from tests.benchmarks.scores_table import score_lines
from tests.benchmarks.table import render

CELLS, SUPERVISIONS = ("lstm", "gru"), ("last", "dense")
RULES = ("reversal", "momentum")
SIZES = {
    "lookback": (20, "rows of a window"),
    "hidden": (64, "units of each of the two layers"),
    "batch": (800, "windows of a batch"),
    "chunk": (60, "labels of a chunk"),
    "chunks": (64, "chunks of a batch"),
    "epochs": (3, "epochs; the one with the lowest loss on the validation span forecasts"),
    "seeds": (1, "networks, whose mean forecasts"),
    "threads": (2, "threads of torch"),
}
# First and last dates of the spans.
SPANS = {
    "train": ("2010-06-01", "2016-12-31"),
    "validate": ("2017-01-01", "2018-06-30"),
    "test": ("2018-07-01", "2021-04-30"),
}
# Epoch: training, then evaluation on train and on validate. Rank IC with its 95 % interval.
QLIB = {
    "lstm": {
        "epoch_seconds": 353,
        "train_seconds": 196,
        "predict_seconds": 42,
        "peak_mb": 2800,
        "ic": [0.0063, -0.0049, 0.0191],
        "rank_ic": [0.0102, -0.0015, 0.0237],
    },
    "gru": {
        "epoch_seconds": 295,
        "predict_seconds": 42,
        "peak_mb": 2900,
        "ic": [0.0052, -0.0058, 0.0177],
        "rank_ic": [0.0067, -0.0042, 0.0191],
    },
    "reversal": {"ic": [0.0075, -0.0064, 0.0241], "rank_ic": [0.0100, -0.0050, 0.0275]},
    "momentum": {"ic": [0.0125, -0.0043, 0.0286], "rank_ic": [0.0104, -0.0071, 0.0269]},
}
_STAGES = "tests.benchmarks.study_stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the front and its children share beside the sizes."""
    parser.add_argument("--bars", type=Path, required=True, help="Parquet file of daily bars")
    for name, (first, last) in SPANS.items():
        said = f"first and last date of that span (default {first} {last})"
        parser.add_argument(f"--{name}", nargs=2, default=[first, last], metavar="DATE", help=said)


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    parser = frame.parser("study", __doc__ or "", SIZES)
    add_arguments(parser)
    for name, words in (("cells", CELLS), ("supervisions", SUPERVISIONS)):
        parser.add_argument(f"--{name}", nargs="+", choices=words, default=words)
    chosen = parser.parse_args(given)
    sizes = {name: getattr(chosen, name) for name in SIZES}
    with tempfile.TemporaryDirectory(prefix="study-") as work:
        contenders = list(_contenders(chosen, work))
        try:
            outcomes = frame.run_rounds(contenders, chosen.repeats)
        except RunError as error:
            sys.exit(str(error))
    spans = {name: getattr(chosen, name) for name in SPANS}
    report = frame.report("study", {**sizes, **spans, "bars": chosen.bars.name}, outcomes)
    report["qlib"] = QLIB
    print(json.dumps(report, indent=1) if chosen.json else _told(report))


def _contenders(chosen: argparse.Namespace, work: str) -> Iterator[Contender]:
    told = [f"--{name}={getattr(chosen, name)}" for name in SIZES]
    for name in SPANS:
        told += [f"--{name}", *getattr(chosen, name)]
    # The children run in the repository's root.
    told += ["--bars", str(chosen.bars.resolve()), "--work", work]

    def ours(name: str, once: bool = False) -> Contender:
        return Contender(name, (sys.executable, "-m", _STAGES, *name.split(), *told), once=once)

    yield ours("compile", once=True)
    for cell in chosen.cells:
        for supervision in chosen.supervisions:
            yield ours(f"{supervision} {cell}")
    for rule in RULES:
        yield ours(rule, once=True)
    yield ours("paired", once=True)


def _told(report: dict[str, Any]) -> str:
    lines = [f"{name}: {facts}" for name, facts in report["qlib"].items()]
    return "\n".join(
        [render(report), "", *score_lines(report), "", "qlib 0.9.7, 2 cores, once:", *lines]
    )


if __name__ == "__main__":
    main()
