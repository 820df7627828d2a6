"""All features as rows, for the command `nightcast features` and the README."""

from typing import NamedTuple

from tasks.features.indicators import INDICATORS
from tasks.features.names import parse
from tasks.features.transforms import TRANSFORMS


class Row(NamedTuple):
    """One registry entry with its default periods, in words.

    `lookback` counts the earlier bars that the first value needs, scaling included; `warm_up` the
    further ones in which the start of the series still shows by over a ten-millionth.
    """

    name: str
    kind: str
    formula: str
    lookback: int
    warm_up: int
    source: str


def indicators() -> list[Row]:
    """Returns the indicators in the order of the registry."""
    rows = []
    for name, entry in INDICATORS.items():
        feature = parse(name)
        rows.append(
            Row(
                feature.name,
                entry.kind,
                entry.formula,
                feature.lookback,
                feature.warm_up,
                entry.source,
            )
        )
    return rows


def transforms() -> list[Row]:
    """Returns the transforms that may follow a feature's name; the kind is what they look at."""
    rows = []
    for name, entry in TRANSFORMS.items():
        numbers = ",".join(map(str, entry.arguments))
        written = f"{name}({numbers})" if numbers else name
        kind = "members of the date" if entry.scope == "date" else "the symbol's own past"
        need = entry.lookback(*entry.arguments)
        rows.append(Row(written, kind, entry.formula, need, 0, entry.source))
    return rows
