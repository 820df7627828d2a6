"""The ACL18 protocol (Xu and Cohen 2018; Feng et al. 2019): which stocks rise tomorrow.

1. r is adj_close over that of the session before, less 1. A row with r of at least --up is up, at
   most --down is down; the others are left out. Its window is the `lookback` rows before it.
2. Eleven features in per cent: open, high and low over close; close and adj_close over those of
   the session before; the mean adj_close of 5, 10, 15, 20, 25 and 30 sessions over the last.
3. Networks have the head `direction` and are fitted by cross-entropy with the one fit loop; the
   epoch is that of the highest accuracy on the validation span. The baselines are always up, the
   direction of the session before, logistic regression, and histogram gradient boosting.
4. Accuracy and Matthews correlation on the test span, mean and standard deviation over seeds. The
   stocks of a day move together, so the standard error of the accuracy is that over days.

--bars names the file: Parquet with symbol, date, open, high, low, close and adj_close.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender

NETWORKS = ("lstm", "gru", "attention")
BASELINES = ("always_up", "sign_momentum", "logistic", "boosting")
SIZES = {
    "lookback": (5, "rows of a window"),
    "logistic-lookback": (10, "rows that logistic regression sees"),
    "hidden": (16, "units of the one layer"),
    "batch": (1024, "windows of a batch"),
    "epochs": (60, "epochs, of which validation chooses one"),
    "seeds": (5, "seeds of each network and of boosting, 0 first"),
    "threads": (1, "threads of torch"),
}
# First days of the spans, and the last of test.
DATES = {
    "train": "2014-01-02",
    "validate": "2015-08-03",
    "test": "2015-10-01",
    "end": "2015-12-31",
}
FLOATS = {
    "up": (0.0055, "r from which a row is up"),
    "down": (-0.005, "r up to which a row is down"),
    "learning-rate": (0.005, "step size of AdamW"),
}
# Accuracy in per cent and MCC, prices only; where known, as published and as replicated by others
# with the authors' code.
PUBLISHED = {
    "LSTM": (53.18, 0.067),
    "ALSTM": (54.90, 0.104),
    "Adv-ALSTM": (57.20, 0.148),
    "LSTM, replicated": (51.56, 0.040),
    "ALSTM, replicated": (55.00, 0.100),
    "Adv-ALSTM, replicated": (56.45, 0.131),
    "CausalStock": (56.09, 0.124),
}
_STAGES = "tests.benchmarks.acl18_stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the front and its children share beside the sizes."""
    parser.add_argument("--bars", type=Path, required=True, help="Parquet file of daily bars")
    parser.add_argument("--leave-out", nargs="*", default=["GMRE"], help="symbols left out")
    for name, day in DATES.items():
        parser.add_argument(f"--{name}", default=day, help=f"default {day}", metavar="DATE")
    for name, (value, meaning) in FLOATS.items():
        said = f"{meaning} (default {value})"
        parser.add_argument(f"--{name}", type=float, default=value, help=said)


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    parser = frame.parser("acl18", __doc__ or "", SIZES)
    parser.set_defaults(repeats=1)
    add_arguments(parser)
    chosen = parser.parse_args(given)
    asked = {name.replace("-", "_"): name for name in (*SIZES, *DATES, *FLOATS)}
    sizes = {name: getattr(chosen, name) for name in asked}
    # The children run in the repository's root.
    told = ["--bars", str(chosen.bars.resolve()), "--leave-out", *chosen.leave_out]
    told += [f"--{option}={sizes[name]}" for name, option in asked.items()]
    contenders = [
        Contender(name, (sys.executable, "-m", _STAGES, name, *told))
        for name in (*NETWORKS, *BASELINES)
    ]
    try:
        outcomes = frame.run_rounds(contenders, chosen.repeats)
    except RunError as error:
        sys.exit(str(error))
    report = frame.report("acl18", {**sizes, "bars": chosen.bars.name}, outcomes)
    report["published"] = {
        name: {"accuracy": accuracy, "mcc": mcc} for name, (accuracy, mcc) in PUBLISHED.items()
    }
    print(json.dumps(report, indent=1) if chosen.json else _told(report))


def _told(report: dict[str, Any]) -> str:
    """Returns the table of accuracies."""
    lines = [f"{'':24}{'accuracy %':>22}{'error over days':>17}{'MCC':>18}"]
    for name, result in report["results"].items():
        m = result["medians"]
        accuracy = f"{m['accuracy']:.2f} ± {m['accuracy_sd']:.2f}"
        mcc = f"{m['mcc']:.3f} ± {m['mcc_sd']:.3f}"
        lines.append(f"{name:24}{accuracy:>22}{m['accuracy_error']:>17.2f}{mcc:>18}")
    counts = report["results"]["lstm"]["medians"]
    for name, row in report["published"].items():
        lines.append(f"{name + ' *':24}{row['accuracy']:>22.2f}{'':17}{row['mcc']:>18.3f}")
    spans = ", ".join(f"{span} {counts[f'{span}_windows']:,}" for span in ("train", "validate"))
    lines.append(f"* published, prices only. Windows: {spans}, test {counts['test_windows']:,}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
