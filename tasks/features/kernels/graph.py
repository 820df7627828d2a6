"""Indicators as graphs: the same functions, given nodes instead of arrays, say what is to be done.

1. A column of a `Graph` is a node. numpy's arithmetic and the primitives of this folder, applied to
   nodes, give nodes; so an indicator's own code, run once, lists its steps.
2. Equal steps are one step: what several indicators need is computed once.
3. `machine.py` runs the steps over the bars, compiled and outside the GIL.

Given arrays, the same functions compute at once, with numpy. Both give the same bits.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from models.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Elementwise steps of two columns, by numpy's name.
_BINARY = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
    "maximum": "maximum",
    "minimum": "minimum",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "equal": "equal",
    "power": "power",
    # Truth is 1 or 0 here.
    "bitwise_and": "multiply",
}
_MIRRORED = {"less": "greater", "less_equal": "greater_equal"}
# The steps of a column and a number: with the number right of the operator, and left of it.
_NUMBER_RIGHT = {
    "add": "add_number",
    "multiply": "multiply_number",
    "divide": "divide_number",
    "maximum": "maximum_number",
    "minimum": "minimum_number",
    "greater": "greater_number",
    "equal": "equal_number",
    "power": "power_number",
}
_NUMBER_LEFT = {
    "add": "add_number",
    "multiply": "multiply_number",
    "subtract": "number_subtract",
    "divide": "number_divide",
    "maximum": "maximum_number",
    "minimum": "minimum_number",
    "greater": "less_number",
    "equal": "equal_number",
}
_UNARY = ("sqrt", "absolute", "sign", "negative", "sin", "cos")


class Step(NamedTuple):
    """One step: what it does, to which results of earlier steps, with which numbers."""

    name: str
    inputs: tuple[tuple[int, int], ...]  # the step and its part
    whole: tuple[int, ...] = ()
    real: tuple[float, ...] = ()
    parts: int = 1


class Graph:
    """The steps, each once, in an order in which they can be done."""

    def __init__(self) -> None:
        self.steps: dict[Step, int] = {}

    def add(self, step: Step) -> "tuple[Node, ...]":
        """Returns the step's results; one that is there already is not added again."""
        index = self.steps.setdefault(step, len(self.steps))
        return tuple(Node(self, index, part) for part in range(step.parts))

    def column(self, number: int) -> "Node":
        """Returns a column of the bars."""
        return self.add(Step("column", (), (number,)))[0]

    def node(self, value: Any) -> "Node":
        """Returns a number as a column, and a node as it is."""
        if isinstance(value, Node):
            return value
        return self.add(Step("constant", (), (), (float(value),)))[0]

    def apply(self, name: str, *inputs: Any) -> "Node":
        """Returns the result of an elementwise step."""
        if len(inputs) == 2:
            left, right = inputs
            if name == "subtract" and not isinstance(right, Node):
                return self.apply("add", left, -right)
            if name == "power" and right == 2:
                return self.apply("multiply", left, left)
            if not isinstance(right, Node) and name in _NUMBER_RIGHT:
                return self.add(Step(_NUMBER_RIGHT[name], (left.place,), (), (float(right),)))[0]
            if not isinstance(left, Node) and name in _NUMBER_LEFT:
                return self.add(Step(_NUMBER_LEFT[name], (right.place,), (), (float(left),)))[0]
        return self.add(Step(name, tuple(self.node(value).place for value in inputs)))[0]


class Node(NDArrayOperatorsMixin):
    """A column that is not there yet: one part of what a step of a graph gives."""

    def __init__(self, graph: Graph, index: int, part: int) -> None:
        self.graph = graph
        self.place = (index, part)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = function.__name__
        if method == "__call__" and not options:
            if name in _BINARY:
                return self.graph.apply(_BINARY[name], *inputs)
            if name in _MIRRORED:
                return self.graph.apply(_MIRRORED[name], *reversed(inputs))
            if name in _UNARY:
                return self.graph.apply(name, *inputs)
        raise _foreign(f"np.{name}")

    def __array_function__(self, function: Any, _: Any, inputs: Any, options: Any) -> Any:
        if function is np.where and len(inputs) == 3 and not options:
            return self.graph.apply("select", *inputs)
        raise _foreign(f"np.{function.__name__}")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _foreign("a conversion to an array")

    def __bool__(self) -> bool:
        raise _foreign("the truth of a whole column")


def _foreign(what: str) -> UsageError:
    return UsageError(
        f"An indicator that is `joined` uses {what}, which the compiled machine does not know; use "
        "arithmetic, np.where, np.maximum and the kernels, or set joined=False."
    )


def primitive(name: str, parts: int = 1) -> Callable[[_Function], _Function]:
    """Lets a function of arrays take nodes too, and then add a step `name` to their graph.

    Args:
        name: the step's name in `machine.py`.
        parts: how many columns the function returns.
    """

    def decorate(function: _Function) -> _Function:
        kinds = [p.annotation for p in inspect.signature(function).parameters.values()]

        @functools.wraps(function)
        def call(*given: Any) -> Any:
            graph = next((value.graph for value in given if isinstance(value, Node)), None)
            if graph is None:
                return function(*given)
            typed = list(zip(given, kinds, strict=True))
            columns = [value for value, kind in typed if kind not in (int, float)]
            if not all(isinstance(column, Node) for column in columns):
                raise _foreign(f"{function.__name__} of a column that is not made of the bars'")
            step = Step(
                name,
                tuple(column.place for column in columns),
                tuple(int(value) for value, kind in typed if kind is int),
                tuple(float(value) for value, kind in typed if kind is float),
                parts,
            )
            made = graph.add(step)
            return made if parts > 1 else made[0]

        return cast(_Function, call)

    return decorate
