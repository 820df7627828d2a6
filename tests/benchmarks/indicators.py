"""Seconds and memory of features, beside TA-Lib, polars-talib, a plain copy, and pyqlib.

`ours` makes 28 columns of a random-walk panel: the panel checked, every column scale-free and
masked. `talib` calls the C library symbol by symbol on arrays, `polars_talib` is its plug-in on a
frame; both give textbook values. `copy` is what moving the same bytes costs: five float64 columns
read, 28 float32 columns written; `copy64` writes float64, as TA-Lib does. `alpha158` and `pyqlib`
make the 158 columns of qlib's Alpha158, compared by CPU time a row, as pyqlib starts processes.
`memory` makes the 28 columns of a large panel in a process of its own.

polars-talib and pyqlib want environments of their own: name them by --peer-python.
"""

import json
import sys
from typing import Any

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, Outcome, find_peer
from tests.benchmarks.table import render

SIZES = {
    "symbols": (500, "symbols of the panel"),
    "days": (2520, "bars of each"),
    "calls": (7, "calls in a process, after a first one; the median counts"),
    "large-symbols": (5000, "symbols of the panel whose memory is measured"),
    "qlib-symbols": (50, "symbols for pyqlib, which is slow"),
}
# The key in the report, theirs, ours, and the measure; of copies the other way round.
RATIOS = {
    "talib_ratio": ("talib", "ours", "seconds"),
    "polars_talib_ratio": ("polars_talib", "ours", "seconds"),
    "copy_ratio": ("ours", "copy", "seconds"),
    "copy64_ratio": ("ours", "copy64", "seconds"),
    "alpha158_pyqlib_ratio": ("pyqlib", "alpha158", "cpu_microseconds_a_row"),
}
_STAGES = "tests.benchmarks.indicator_stages"
_PEERS = "tests/benchmarks/indicator_peers.py"


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    chosen = frame.parser("indicators", __doc__ or "", SIZES).parse_args(given)
    sizes = {name.replace("-", "_"): getattr(chosen, name.replace("-", "_")) for name in SIZES}
    told = [f"--{name}={sizes[name.replace('-', '_')]}" for name in SIZES]

    def ours(name: str, once: bool = False) -> Contender:
        return Contender(name, (sys.executable, "-m", _STAGES, name, *told), once=once)

    def peer(name: str, module: str, once: bool = False) -> Contender:
        found = find_peer(name, module, (_PEERS, name, *told), chosen.peer_python)
        return Contender(found.name, found.command, found.missing, peer=True, once=once)

    contenders = [
        ours("ours"),
        peer("talib", "talib"),
        peer("polars_talib", "polars_talib"),
        ours("copy"),
        ours("copy64"),
        ours("alpha158"),
        peer("pyqlib", "qlib", once=True),
        ours("memory", once=True),
    ]
    try:
        # Compiled before anything is measured, as on a machine that is in use.
        frame.run_rounds([ours("compile")], 1)
        outcomes = frame.run_rounds(contenders, chosen.repeats)
    except RunError as error:
        sys.exit(str(error))
    report = frame.report("indicators", sizes, outcomes)
    report |= {key: _ratio(outcomes, *pair) for key, pair in RATIOS.items()}
    if chosen.json:
        print(json.dumps(report, indent=1))
        return
    print(render(report))
    for key in RATIOS:
        print(f"{key}: {report[key]}")


def _ratio(outcomes: dict[str, Outcome], above: str, below: str, measure: str) -> Any:
    quotients = frame.ratios(outcomes[above], outcomes[below])
    return None if quotients is None else quotients.get(measure)


if __name__ == "__main__":
    main()
