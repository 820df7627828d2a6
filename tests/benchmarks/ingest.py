"""Seconds and peak memory of ingestion: one warm night, reads by both clocks, nightly appends.

`night` asks a replay of Yahoo, in a process of its own, for one more session of a universe that the
lake holds already; its first load is measured on the way. `read` reads one universe back as known
today and a year ago, beside the same rows in one sorted Parquet file, which is what one has without
a lake. `append` adds nights to a lake of many years, with and without upkeep.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, Outcome
from tests.benchmarks.table import render

PARTS = ("night", "read", "append")
SIZES = {
    "symbols": (8_000, "symbols of the night"),
    "sessions": (80, "sessions of them that the lake holds before the night"),
    "tapes": (50, "price paths that they share, so that the server costs little"),
    "read-symbols": (500, "symbols that are read back"),
    "append-symbols": (5_000, "symbols that bars are appended of"),
    "years": (10, "years of bars that are read back, or appended to; 2 or more"),
    "nights": (30, "nights that are appended"),
    "batch": (150, "symbols fetched and written together; as in flows/prices.py"),
    "threads": (4, "batches at the same time; as in flows/prices.py"),
}
_COMPARED = {
    "read": [("parquet", "lake"), ("parquet", "reference")],
    "append": [("append untidied", "append tidied")],
}


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    arguments = frame.parser("ingest", __doc__ or "", SIZES)
    said = f"the parts to run (default: {', '.join(PARTS)})"
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help=said)
    chosen = arguments.parse_args(given)
    if chosen.years < 2:
        arguments.error(f"--years {chosen.years} leaves nothing known a year ago; give 2 or more")
    sizes = {name.replace("-", "_"): getattr(chosen, name.replace("-", "_")) for name in SIZES}
    outcomes: dict[str, Outcome] = {}
    for part in chosen.parts:
        # Its lakes are gone before the next part fills the disk with its own.
        with tempfile.TemporaryDirectory(prefix=f"ingest-{part}-") as folder:
            try:
                outcomes |= _run(part, Path(folder), chosen)
            except RunError as error:
                sys.exit(str(error))
    compared = [pair for part in chosen.parts for pair in _COMPARED.get(part, [])]
    report = frame.report("ingest", sizes, outcomes, compared)
    print(json.dumps(report, indent=1) if chosen.json else render(report))


def _run(part: str, work: Path, chosen: Namespace) -> dict[str, Outcome]:
    """Prepares a part once, then runs its contenders in rounds."""
    if part == "night":
        with _server(work, chosen) as url:
            load, night = (_child(kind, work, chosen, url) for kind in ("load", "night"))
            return frame.run_rounds([load], 1) | frame.run_rounds([night], chosen.repeats)
    kinds = {
        "read": ("lake", "reference", "parquet"),
        "append": ("append untidied", "append tidied"),
    }[part]
    contenders = [_child(kind, work, chosen) for kind in kinds]
    made = frame.run_rounds([_child(f"prepare {part}", work, chosen)], 1)
    return made | frame.run_rounds(contenders, chosen.repeats)


@contextmanager
def _server(work: Path, chosen: Namespace) -> Iterator[str]:
    """A replay of Yahoo while the block runs; yields its address."""
    with subprocess.Popen(
        _child("serve", work, chosen).command,
        # The server ends when its input does, however this process ends.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=frame.HOME,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        if not url:
            raise RunError("The replay server ended before it gave its address; see above for why.")
        yield url


def _child(kind: str, work: Path, chosen: Namespace, url: str = "") -> Contender:
    return Contender(kind, (*_module(kind), "--work", str(work), "--url", url, *_told(chosen)))


def _module(kind: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.benchmarks.ingest_stages", kind)


def _told(chosen: Namespace) -> Sequence[str]:
    sizes = ((name, getattr(chosen, name.replace("-", "_"))) for name in SIZES)
    return [f"--{name}={size}" for name, size in sizes]


if __name__ == "__main__":
    main()
