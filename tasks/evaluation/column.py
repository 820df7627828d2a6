"""What a registry entry says of the column that it adds to the report."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

# How a page writes it: a bare number, a share in per cent, or a number in the target's unit.
Form = Literal["decimal", "percent", "target"]


@dataclass(frozen=True)
class Column:
    """A column of the report.

    Attributes:
        title: its heading.
        under: what stands beneath the heading; may be empty.
        form: how its numbers are written.
        digits: of a bare number or a share.
        signed: whether a plus sign is written.
    """

    title: str
    under: str
    form: Form
    digits: int
    signed: bool


def columns(registry: Mapping[str, Column]) -> list[dict[str, object]]:
    """Returns what a summary says of the columns of a registry, in its order."""
    names = [field.name for field in fields(Column)]
    return [
        {"name": name, **{field: getattr(entry, field) for field in names}}
        for name, entry in registry.items()
    ]
