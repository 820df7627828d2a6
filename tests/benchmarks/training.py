"""Windows a second of the fit, beside the loops of torch, Lightning, qlib, darts and keras.

The work is one: a recurrent network of 2 × 64 over 60 rows of 20 features, batches of 1,024,
forward, backward and the optimiser's step. `ours` is the fit that a user's run calls, with the
settings of the process that the run makes. `torch` shuffles windows in a DataLoader, copied
beforehand, `torch_item` cuts them one by one; `torch_same_env` is the faster of these two started
with glibc told to keep freed memory, as our run tells it by itself. `dense` is our fit with a
label at every step of a chunk, counted in labels. `rnn` is the bare arithmetic: forward and
backward of the recurrent module alone on a batch that is ready, in the fit's micro-batches and
threads.

Lightning, qlib, darts and keras want environments of their own: name them by --peer-python.
"""

import json
import sys
from typing import Any

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, Outcome, find_peer
from tests.benchmarks.table import render

CELLS = ("lstm", "gru")
SIZES = {
    "symbols": (50, "symbols of the panel"),
    "dense-symbols": (400, "symbols of the panel of chunks, which hold many labels each"),
    "days": (2520, "rows of each"),
    "features": (20, "features of a row"),
    "lookback": (60, "rows of a window, and of a chunk up to its first label"),
    "hidden": (64, "units of each of the two layers"),
    "batch": (1024, "windows of a batch, or chunks"),
    "batches": (15, "batches that are measured"),
    "warm-up": (2, "batches before them; ours runs an epoch of `batches` instead"),
    "chunk": (60, "labels of a chunk"),
    "threads": (2, "threads of torch and TensorFlow, ours too"),
}
# The peer's name, and the module that its Python must have.
TORCH_PEERS = {
    "torch": "torch",
    "torch_item": "torch",
    "lightning": "lightning",
    "qlib": "qlib",
    "darts": "darts",
}
KEYS = (
    "last_vs_torch_ratio",
    "last_vs_torch_same_env_ratio",
    "last_vs_keras_ratio",
    "dense_labels_ratio",
    "rnn_share",
)
# What keep_freed_memory() does from inside, as variables that are read before Python starts.
KEEP = ("env", "MALLOC_MMAP_THRESHOLD_=2000000000", "MALLOC_TRIM_THRESHOLD_=4000000000")
_STAGES = "tests.benchmarks.training_stages"
_PEERS = "tests/benchmarks/training_peers.py"
_SPEED, _CPU_SPEED = "samples_a_second", "samples_a_cpu_second"


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    arguments = frame.parser("training", __doc__ or "", SIZES)
    said = "the recurrent cells to run (default: both)"
    arguments.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS, help=said)
    chosen = arguments.parse_args(given)
    sizes = {name.replace("-", "_"): getattr(chosen, name.replace("-", "_")) for name in SIZES}
    told = [f"--{name}={sizes[name.replace('-', '_')]}" for name in SIZES]
    contenders = [c for cell in chosen.cells for c in _contenders(cell, told, chosen.peer_python)]
    try:
        outcomes = frame.run_rounds(contenders, chosen.repeats)
    except RunError as error:
        sys.exit(str(error))
    report = frame.report("training", sizes, outcomes)
    report |= conclude(outcomes, chosen.cells)
    if chosen.json:
        print(json.dumps(report, indent=1))
        return
    print(render(report))
    for key in KEYS:
        print(f"{key}: {report[key]}  {report['by_cell'][key]}")


def _contenders(cell: str, told: list[str], pythons: Any) -> list[Contender]:
    def ours(name: str) -> Contender:
        return Contender(
            f"{name} {cell}", (sys.executable, "-m", _STAGES, name, f"--cell={cell}", *told)
        )

    def peer(name: str, module: str, kind: str = "", before: tuple[str, ...] = ()) -> Contender:
        command = (_PEERS, kind or name, f"--cell={cell}", *told)
        found = find_peer(f"{name} {cell}", module, command, pythons)
        return Contender(found.name, (*before, *found.command), found.missing, peer=True)

    return [
        ours("ours"),
        *(peer(name, module) for name, module in TORCH_PEERS.items()),
        peer("torch_same_env", "torch", "torch", KEEP),
        peer("torch_item_same_env", "torch", "torch_item", KEEP),
        peer("keras", "tensorflow"),
        ours("dense"),
        ours("rnn"),
    ]


def conclude(outcomes: dict[str, Outcome], cells: Any) -> dict[str, Any]:
    """Returns the figures that the goals are about: by cell, and of both the worse for us.

    Each is the lowest over the peers that ran, so that it holds against the best of them. Of the
    share of the arithmetic the lower is the worse: the rest is what is around it.
    """
    by_cell: dict[str, dict[str, float | None]] = {key: {} for key in KEYS}
    for cell in cells:
        of = {
            name.removesuffix(f" {cell}"): outcome
            for name, outcome in outcomes.items()
            if name.endswith(f" {cell}")
        }
        same = ("torch_same_env", "torch_item_same_env")
        loaders = ("torch", "torch_item")
        found = {
            "last_vs_torch_ratio": _lowest(of, "ours", TORCH_PEERS, _SPEED),
            "last_vs_torch_same_env_ratio": _lowest(of, "ours", same, _SPEED),
            "last_vs_keras_ratio": _lowest(of, "ours", ("keras",), _SPEED),
            "dense_labels_ratio": _lowest(of, "dense", loaders, _CPU_SPEED),
            "rnn_share": _lowest(of, "ours", ("rnn",), _SPEED),
        }
        for key, value in found.items():
            by_cell[key][cell] = value
    worst = {key: _least(list(values.values())) for key, values in by_cell.items()}
    return {**worst, "by_cell": by_cell}


def _lowest(of: dict[str, Outcome], ours: str, peers: Any, measure: str) -> float | None:
    quotients = [frame.ratios(of[ours], of[name]) for name in peers]
    return _least([(found or {}).get(measure) for found in quotients])


def _least(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return min(there) if there else None


if __name__ == "__main__":
    main()
