"""From a graph to the tables that the machine runs: steps in order, results in rows of memory."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.features.kernels.graph import Graph, Node, Step
from tasks.features.kernels.machine import OP, OUT, PARTS, A, B, M, N, Op


class Output(NamedTuple):
    """A finished column: value / scale - shift, masked in the first `lookback` rows of a symbol.

    It goes to row `row` of the float64 results if `wide`, else of the float32 ones.
    """

    value: Node
    scale: Node | None
    shift: float
    lookback: int
    row: int
    wide: bool = False

    @property
    def needs(self) -> list[Node]:
        """Returns the columns that it is made of."""
        return [self.value] if self.scale is None else [self.value, self.scale]


@dataclass(frozen=True)
class Program:
    """The steps as tables (see `machine.py`), and the rows of working memory that they take."""

    steps: NDArray[np.int64]
    reals: NDArray[np.float64]
    rows: int


def assemble(graph: Graph, outputs: Sequence[Output]) -> Program:
    """Returns the program that makes the outputs one after the other, each stored when it is there.

    A result's memory is given back after its last use, so that few rows are warm at a time.
    """
    order = list(graph.steps)
    found = [_found_in(graph, step) for step in order]
    sequence = _sequence(order, found, outputs)
    ends = _last_uses(order, found, sequence)
    memory = _Memory()
    places: dict[int, int] = {}
    rows, reals = [], []
    for when, item in enumerate(sequence):
        if isinstance(item, Output):
            rows.append(_store(item, [_row(places, found, node.place) for node in item.needs]))
            reals.append([item.shift, 0.0])
        else:
            step = order[item]
            places[item] = memory.take(step.parts)
            inputs = [_row(places, found, place) for place in step.inputs]
            rows.append(_step(step, places[item], inputs))
            reals.append([*step.real, 0.0, 0.0][:2])
        for index in ends[when]:
            memory.give_back(places[index], order[index].parts)
    table = np.array(rows, dtype=np.int64).reshape(-1, 9)
    return Program(table, np.array(reals, dtype=np.float64).reshape(-1, 2), memory.size)


# Windows whose first results are all the results of another one.
_MORE = {"mean": ("squares", "trend", "moments"), "squares": ("trend", "moments")}
_PARTS = {"squares": 2, "trend": 3, "moments": 4}


def _found_in(graph: Graph, step: Step) -> int:
    """Returns the step that gives what `step` gives: itself, or one that gives more besides."""
    for name in _MORE.get(step.name, ()):
        more = step._replace(name=name, parts=_PARTS[name])
        if more in graph.steps:
            return graph.steps[more]
    return graph.steps[step]


def _sequence(
    order: Sequence[Step], found: Sequence[int], outputs: Sequence[Output]
) -> list[int | Output]:
    """Returns the steps that the outputs hang on, each after those it needs, and the outputs."""
    sequence: list[int | Output] = []
    done: set[int] = set()

    def visit(index: int) -> None:
        if found[index] in done:
            return
        for source, _ in order[found[index]].inputs:
            visit(source)
        done.add(found[index])
        sequence.append(found[index])

    for output in outputs:
        for node in output.needs:
            visit(node.place[0])
        sequence.append(output)
    return sequence


def _last_uses(
    order: Sequence[Step], found: Sequence[int], sequence: Sequence[int | Output]
) -> dict[int, list[int]]:
    """Returns for each place in the sequence the steps whose results nobody needs after it."""
    seen: set[int] = set()
    ends = defaultdict(list)
    for when in reversed(range(len(sequence))):
        item = sequence[when]
        if isinstance(item, Output):
            used = [node.place[0] for node in item.needs]
        else:
            used = [item, *(source for source, _ in order[item].inputs)]
        for index in used:
            if found[index] not in seen:
                seen.add(found[index])
                ends[when].append(found[index])
    return ends


def _row(places: Mapping[int, int], found: Sequence[int], place: tuple[int, int]) -> int:
    return places[found[place[0]]] + place[1]


def _step(step: Step, place: int, inputs: Sequence[int]) -> list[int]:
    row = [0] * 9
    row[OP], row[OUT], row[PARTS] = Op[step.name.upper()], place, step.parts
    # A window's second column is its first where it has one only.
    row[A : A + len(inputs)] = inputs
    if len(inputs) == 1:
        row[B] = row[A]
    row[N : N + len(step.whole)] = step.whole
    return row


def _store(output: Output, inputs: Sequence[int]) -> list[int]:
    row = [0] * 9
    row[OP], row[OUT], row[A] = Op.STORE, output.row, inputs[0]
    row[B] = inputs[1] if len(inputs) > 1 else -1
    row[N], row[M] = output.lookback, output.wide
    return row


class _Memory:
    """Rows of working memory, by the length of their runs."""

    def __init__(self) -> None:
        self.size = 0
        self._free: dict[int, list[int]] = defaultdict(list)

    def take(self, parts: int) -> int:
        if self._free[parts]:
            return self._free[parts].pop()
        self.size += parts
        return self.size - parts

    def give_back(self, place: int, parts: int) -> None:
        self._free[parts].append(place)
