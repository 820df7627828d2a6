"""Seconds and memory of making shuffled windows [B, L, F], beside what others make them with.

`ours` lays the panel on the device and gathers one batch after the other, as the fit does. The
peers make the same batches: `materialised` has copied every window beforehand, `item` cuts one
window a call, both in a torch DataLoader; `qlib_batch` and `qlib_item` ask qlib's TSDataSampler,
`darts` its sequential dataset, `keras` its time-series datasets. `copy` is the floor: it copies a
ready batch. Each pass stops after `--batches`; set-up is measured apart. Memory is what the
process took at its peak beyond what the arrays given to it take already.

darts, qlib and keras want environments of their own: name them by --peer-python.
"""

import json
import sys
from typing import Any

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, find_peer
from tests.benchmarks.table import render

SIZES = {
    "symbols": (500, "symbols of the panel"),
    "days": (2520, "rows of each"),
    "features": (20, "features of a row"),
    "lookback": (60, "rows of a window"),
    "batch": (1024, "windows of a batch"),
    "batches": (300, "batches of a pass, at most"),
    "threads": (1, "threads of torch and TensorFlow, ours too"),
}
# The peer's name, and the module that its Python must have.
PEERS = {
    "materialised": "torch",
    "item": "torch",
    "qlib_batch": "qlib",
    "qlib_item": "qlib",
    "darts": "darts",
    "keras": "tensorflow",
}
_STAGES = "tests.benchmarks.window_stages"
_PEERS = "tests/benchmarks/window_peers.py"


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    chosen = frame.parser("windows", __doc__ or "", SIZES).parse_args(given)
    sizes = {name: getattr(chosen, name) for name in SIZES}
    told = [f"--{name}={size}" for name, size in sizes.items()]

    def ours(name: str) -> Contender:
        return Contender(name, (sys.executable, "-m", _STAGES, name, *told))

    peers = [
        find_peer(name, module, (_PEERS, name, *told), chosen.peer_python)
        for name, module in PEERS.items()
    ]
    try:
        outcomes = frame.run_rounds([ours("ours"), *peers, ours("copy")], chosen.repeats)
    except RunError as error:
        sys.exit(str(error))
    compared = [("ours", name) for name in (*PEERS, "copy")]
    report = frame.report("windows", sizes, outcomes, compared)
    report |= conclude(report)
    if chosen.json:
        print(json.dumps(report, indent=1))
        return
    print(render(report))
    for key, value in conclude(report).items():
        print(f"{key}: {value}")


def conclude(report: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures that the goals are about, from what `frame.report` returned.

    `best_peer_ratio` is our windows a second over those of the fastest peer of this run, and
    `copy_ratio` the share of the floor's speed that ours reaches.
    """

    def speed(name: str) -> Any:
        return (report["ratios"][f"ours / {name}"] or {}).get("windows_a_second")

    found = {name: speed(name) for name in PEERS if speed(name) is not None}
    best = min(found, key=lambda name: found[name]) if found else None
    ours = report["results"]["ours"]["medians"]
    return {
        "best_peer": best,
        "best_peer_ratio": None if best is None else found[best],
        "memory_ratio": ours["memory_ratio"],
        "memory_with_panel_ratio": ours["memory_with_panel_ratio"],
        "setup_seconds": ours["setup.seconds"],
        "copy_ratio": speed("copy"),
    }


if __name__ == "__main__":
    main()
