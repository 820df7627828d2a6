"""A feature's name: an indicator, its periods, and what is done to its values.

`rsi(14)` is an indicator; `rsi(14)|rank` is its rank among the members of each date; transforms
follow one another from left to right, as in `roc(10)|winsor(1)|sector|zscore`.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from models.errors import near
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature, Step
from tasks.features.transforms import TRANSFORMS

LONGEST_PERIOD = 504

# More names than these are not told in an error.
_FEW = 40

_Entry = TypeVar("_Entry")


def parse(text: str) -> Feature:
    """Returns the feature that `name(period,...)|transform(argument,...)` names.

    Without periods or arguments the default ones are taken.

    Raises:
        ValueError: unknown indicator or transform, wrong number of periods, or one out of bounds.
    """
    first, *others = text.split("|")
    name, indicator, given = _call(first, INDICATORS, "indicator", "a feature", "rsi(14)")
    periods = indicator.periods if given is None else given
    _require_count(first, name, "periods", periods, indicator.periods)
    for period in periods:
        if not indicator.shortest <= period <= LONGEST_PERIOD:
            raise ValueError(
                f"{first.strip()} has a period of {period} bars; "
                f"choose {indicator.shortest} to {LONGEST_PERIOD}."
            )
    steps = tuple(map(_step, others))
    written = "|".join([_written(name, periods), *(step.name for step in steps)])
    return Feature(written, indicator, periods, steps)


def _step(text: str) -> Step:
    name, transform, given = _call(text, TRANSFORMS, "transform", "a transform", "winsor(1)")
    arguments = transform.arguments if given is None else given
    _require_count(text, name, "arguments", arguments, transform.arguments)
    for value, least, most in zip(arguments, transform.shortest, transform.longest, strict=True):
        if not least <= value <= most:
            raise ValueError(f"{text.strip()} has {value}; choose {least} to {most}.")
    return Step(_written(name, arguments), transform, arguments)


def _call(
    text: str, known: Mapping[str, _Entry], what: str, article: str, example: str
) -> tuple[str, _Entry, tuple[int, ...] | None]:
    """Returns name, entry and the numbers in brackets, None without brackets."""
    found = re.fullmatch(r"\s*(\w+)\s*(?:\(([\d\s,]+)\))?\s*", text)
    if not found:
        raise ValueError(f"{text!r} is not {article}; write a name and numbers, such as {example}.")
    name, inside = found.groups()
    if name not in known:
        listed = f"Choose among: {', '.join(known)}."
        if len(known) > _FEW:
            listed = f"`nightcast features` lists all {len(known)}."
        raise ValueError(f"No {what} is called {name!r}.{near(name, known)} {listed}")
    try:
        numbers = tuple(int(n) for n in inside.split(",")) if inside else None
    except ValueError:
        raise ValueError(f"{text!r} has an empty number; write such as {example}.") from None
    return name, known[name], numbers


def _require_count(
    text: str, name: str, what: str, given: tuple[int, ...], default: tuple[int, ...]
) -> None:
    if len(given) != len(default):
        raise ValueError(
            f"{text.strip()} has {len(given)} {what} where {name} takes {len(default)}; "
            f"write {_written(name, default)}."
        )


def _written(name: str, numbers: tuple[int, ...]) -> str:
    return f"{name}({','.join(map(str, numbers))})" if numbers else name
