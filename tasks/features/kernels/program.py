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
    """Returns the program that makes the outputs; each is stored as soon as it is there.

    A result's memory is given back after its last use, so that few rows are warm at a time.
    """
    order = list(graph.steps)
    stored = defaultdict(list)
    for output in outputs:
        stored[max(node.place[0] for node in output.needs)].append(output)
    needed, ends = _last_uses(order, stored)
    memory = _Memory()
    places: dict[int, int] = {}
    rows, reals = [], []
    for index, step in enumerate(order):
        if index not in needed:
            continue
        places[index] = memory.take(step.parts)
        row = [0] * 9
        row[OP], row[OUT] = Op[step.name.upper()], places[index]
        for i, (source, part) in enumerate(step.inputs):
            row[A + i] = places[source] + part
        if len(step.inputs) == 1:
            # A window's second column is its first where it has one only.
            row[B] = row[A]
        row[N : N + len(step.whole)] = step.whole
        row[PARTS] = step.parts
        rows.append(row)
        reals.append([*step.real, 0.0, 0.0][:2])
        for output in stored[index]:
            rows.append(_store(output, places))
            reals.append([output.shift, 0.0])
        for source in ends[index]:
            memory.give_back(places[source], order[source].parts)
    table = np.array(rows, dtype=np.int64).reshape(-1, 9)
    return Program(table, np.array(reals, dtype=np.float64).reshape(-1, 2), memory.size)


def _last_uses(
    order: Sequence[Step], stored: Mapping[int, Sequence[Output]]
) -> tuple[set[int], dict[int, list[int]]]:
    """Returns the steps that anything hangs on, and which ones are used for the last time when."""
    last: dict[int, int] = {}
    for index in reversed(range(len(order))):
        for output in stored[index]:
            for source, _ in (node.place for node in output.needs):
                last.setdefault(source, index)
        if index in last:
            for source, _ in order[index].inputs:
                last.setdefault(source, index)
    ends = defaultdict(list)
    for source, index in last.items():
        ends[index].append(source)
    return set(last), ends


def _store(output: Output, places: Mapping[int, int]) -> list[int]:
    row = [0] * 9
    value, *scale = (places[node.place[0]] + node.place[1] for node in output.needs)
    row[OP], row[OUT], row[A] = Op.STORE, output.row, value
    row[B] = scale[0] if scale else -1
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
