"""The frame of all benchmarks: how contenders run, and what is made of what they measured.

1. A contender is a command. In every round each contender runs once, in turn (A B A B), in a
   process of its own: a busy moment of the machine meets all of them alike.
2. The last line it prints is one JSON object. Its numbers, at any depth, are measures named by
   their path, such as `features.seconds`; null is a measure that could not be taken; texts are
   facts.
3. The frame adds the process's `wall_seconds` and its `peak_mb`.
4. The report has the median of each measure over the rounds, its range, and ratios to ours.

A peer that is missing, or fails, is null with the reason; one of ours that fails stops the run.
Only the standard library is imported: see `_run`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import RunError
from tests.benchmarks.machine import machine

HOME = Path(__file__).parents[2]

Measures = dict[str, float | None]


@dataclass(frozen=True)
class Contender:
    """A command to measure; `{round}` in it becomes the round's number, counted from 0.

    Attributes:
        name: Its name in the report.
        command: Program and arguments; run in the repository's root.
        missing: Why it cannot run; None where it can.
        peer: Whether it may be missing or fail.
        once: Run it in the first round only.
        silent: It prints no JSON; only its process is measured.
    """

    name: str
    command: tuple[str, ...] = ()
    missing: str | None = None
    peer: bool = False
    once: bool = False
    silent: bool = False


@dataclass
class Outcome:
    """What a contender measured, round by round, and what it said about itself."""

    missing: str | None = None
    rounds: list[Measures] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def medians(self) -> Measures:
        """Returns the median of every measure; null where a round could not take it."""
        return {name: None if None in v else statistics.median(v) for name, v in self._columns()}

    def ranges(self) -> dict[str, list[float] | None]:
        """Returns the lowest and the highest of every measure."""
        return {name: None if None in v else [min(v), max(v)] for name, v in self._columns()}

    def _columns(self) -> list[tuple[str, list[Any]]]:
        names = dict.fromkeys(name for measures in self.rounds for name in measures)
        return [(name, [m.get(name) for m in self.rounds]) for name in names]


def parser(
    module: str, about: str, sizes: Mapping[str, tuple[int, str]]
) -> argparse.ArgumentParser:
    """Returns the arguments that all benchmarks share, and the sizes of this one.

    Args:
        module: The benchmark's module name below `tests.benchmarks`.
        about: Its description in `--help`.
        sizes: For each size its default and its meaning.
    """
    made = argparse.ArgumentParser(f"python -m tests.benchmarks.{module}", description=about)
    made.add_argument("--json", action="store_true", help="print one JSON object, not a table")
    made.add_argument("--repeats", type=_positive, default=3, help="rounds (default 3)")
    made.add_argument(
        "--peer-python",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a Python whose environment has a peer; may be repeated",
    )
    for name, (default, meaning) in sizes.items():
        about_size = f"{meaning} (default {default})"
        made.add_argument(f"--{name}", type=_positive, default=default, help=about_size)
    return made


def find_peer(
    name: str, module: str, arguments: Sequence[str], pythons: Sequence[Path]
) -> Contender:
    """Returns a peer that runs under the first Python that has its module, or a missing one.

    Args:
        name: The peer's name in the report.
        module: What it must be able to import.
        arguments: What follows the interpreter: a script and its arguments.
        pythons: The interpreters given by `--peer-python`; this one is asked last.
    """
    probe = "import sys, importlib.util as u; sys.exit(u.find_spec(sys.argv[1]) is None)"
    for python in (*map(str, pythons), sys.executable):
        try:
            asked = subprocess.run([python, "-c", probe, module], capture_output=True, check=False)
        except OSError as error:
            return Contender(name, missing=f"{python} does not run: {error.strerror}", peer=True)
        if asked.returncode == 0:
            return Contender(name, (python, *arguments), peer=True)
    tried = f"none of {len(pythons) + 1} interpreters has the module {module!r}"
    return Contender(name, missing=f"{tried}; give one by --peer-python PATH", peer=True)


def run_rounds(contenders: Sequence[Contender], repeats: int) -> dict[str, Outcome]:
    """Runs all contenders in turn, `repeats` times, and returns what each measured.

    Raises:
        RunError: One of ours failed.
    """
    outcomes = {c.name: Outcome(c.missing) for c in contenders}
    for number in range(repeats):
        for contender in contenders:
            outcome = outcomes[contender.name]
            if outcome.missing or (contender.once and number):
                continue
            try:
                measures, facts = _run(contender, number)
            except RunError as error:
                if not contender.peer:
                    raise
                outcomes[contender.name] = Outcome(str(error))
                continue
            outcome.rounds.append(measures)
            outcome.facts.update(facts)
            said = f"round {number + 1}/{repeats}  {contender.name}  {measures['wall_seconds']} s"
            print(said, file=sys.stderr, flush=True)
    return outcomes


def ratios(theirs: Outcome, ours: Outcome) -> Measures | None:
    """Returns, for each measure that both took, the median over the rounds of theirs / ours.

    Rounds are paired, so that a machine which slows down halfway slows both sides of a quotient.
    """
    if theirs.missing or ours.missing:
        return None
    quotients: dict[str, list[float]] = {}
    for a, b in zip(theirs.rounds, ours.rounds, strict=False):
        for name in a:
            above, below = a[name], b.get(name)
            if above is not None and below:
                quotients.setdefault(name, []).append(above / below)
    return {name: round(statistics.median(q), 4) for name, q in quotients.items()}


def report(
    benchmark: str,
    sizes: Mapping[str, Any],
    outcomes: Mapping[str, Outcome],
    compared: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Returns the report, ready for JSON.

    Args:
        benchmark: The benchmark's name.
        sizes: What it was run with.
        outcomes: What `run_rounds` returned.
        compared: Pairs (theirs, ours) of contenders to give ratios for.
    """
    return {
        "benchmark": benchmark,
        "sizes": dict(sizes),
        "machine": machine(),
        "results": {
            name: {
                "rounds": len(o.rounds),
                "medians": None if o.missing else o.medians(),
                "ranges": None if o.missing else o.ranges(),
                "facts": o.facts,
                "reason": o.missing,
            }
            for name, o in outcomes.items()
        },
        "ratios": {f"{a} / {b}": ratios(outcomes[a], outcomes[b]) for a, b in compared},
    }


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1; give 1 or more")
    return number


def _run(contender: Contender, number: int) -> tuple[Measures, dict[str, str]]:
    command = [part.replace("{round}", str(number)) for part in contender.command]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, cwd=HOME)
        # Not RUSAGE_CHILDREN, which knows one peak for all children. A child's peak starts at
        # its parent's size, so this process stays small: nothing heavy is imported here.
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        printed, complaint = out.read().strip(), err.read().strip()
    if child.returncode != 0:
        raise RunError(f"{contender.name} ended with {child.returncode}: {_last(complaint)}")
    measures, facts = ({}, {}) if contender.silent else _flatten(_parse(contender.name, printed))
    unit = 1024**2 if sys.platform == "darwin" else 1024
    # A child that resets its peak between stages says itself how high the highest was.
    peak = max(usage.ru_maxrss / unit, measures.get("peak_mb") or 0.0)
    return {**measures, "wall_seconds": round(seconds, 3), "peak_mb": round(peak, 1)}, facts


def _parse(name: str, printed: str) -> dict[str, Any]:
    try:
        answer = json.loads(_last(printed))
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RunError(f"{name} printed {_last(printed)!r} where one JSON object is due")
    return answer


def _flatten(answer: Mapping[str, Any], above: str = "") -> tuple[Measures, dict[str, str]]:
    measures: Measures = {}
    facts: dict[str, str] = {}
    for key, value in answer.items():
        if isinstance(value, Mapping):
            inner, said = _flatten(value, f"{above}{key}.")
            measures |= inner
            facts |= said
        elif isinstance(value, str):
            facts[above + key] = value
        else:
            measures[above + key] = value
    return measures, facts


def _last(text: str) -> str:
    return text.splitlines()[-1] if text else "nothing"
