"""One label a window against one at every step: information coefficients on the same folds.

For every fold and seed three fits of one network run in turn in one process, timed by their CPU
seconds: `last` (at most `--windows` drawn labels an epoch, `--epochs` epochs), `dense` for as many
epochs over all labels, and `dense_same_time`, dense until its CPU seconds are those of `last`. Each
keeps the epoch with the lowest loss on the fold's stop span. Forecasts of the test spans are
averaged over seeds; the intervals, also those of the differences day by day, come from a
stationary bootstrap over days with blocks of 20 on average.

Features are the set `classic`, the target is the log return from the next open to the one after.
--bars names the file: Parquet with symbol, date, open, high, low, close, adj_close and volume.
"""

import argparse
import json
import sys
from pathlib import Path

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender
from tests.benchmarks.scores_table import score_lines
from tests.benchmarks.table import render

CELLS = ("lstm", "gru")
SIZES = {
    "lookback": (20, "rows of a window, and of a chunk up to its first label"),
    "hidden": (32, "units of the one layer"),
    "folds": (4, "folds"),
    "seeds": (3, "seeds of each fold, 0 first"),
    "fit": (500, "sessions of the first fit span"),
    "stop": (120, "sessions of a stop span"),
    "test": (250, "sessions of a test span"),
    "windows": (60_000, "labels drawn for an epoch of `last`"),
    "epochs": (5, "epochs"),
    "most-epochs": (400, "epochs of `dense_same_time`, at most"),
    "batch": (512, "windows of a batch"),
    "chunk": (60, "labels of a chunk"),
    "chunks": (32, "chunks of a batch"),
    "threads": (2, "threads of torch"),
}
_STAGES = "tests.benchmarks.supervision_stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the front and its child share beside the sizes."""
    parser.add_argument("--bars", type=Path, required=True, help="Parquet file of daily bars")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS)


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    parser = frame.parser("supervision", __doc__ or "", SIZES)
    parser.set_defaults(repeats=1)
    add_arguments(parser)
    chosen = parser.parse_args(given)
    sizes = {name.replace("-", "_"): getattr(chosen, name.replace("-", "_")) for name in SIZES}
    told = [f"--{name}={sizes[name.replace('-', '_')]}" for name in SIZES]
    # The children run in the repository's root.
    told += ["--bars", str(chosen.bars.resolve())]
    contenders = [
        Contender(cell, (sys.executable, "-m", _STAGES, *told, "--cells", cell))
        for cell in chosen.cells
    ]
    try:
        outcomes = frame.run_rounds(contenders, chosen.repeats)
    except RunError as error:
        sys.exit(str(error))
    report = frame.report("supervision", {**sizes, "bars": chosen.bars.name}, outcomes)
    if chosen.json:
        print(json.dumps(report, indent=1))
        return
    print("\n".join([render(report), "", *score_lines(report)]))


if __name__ == "__main__":
    main()
