"""What a registered function's docstring states under `Formula:` and `Source:`."""

from collections.abc import Callable
from inspect import getdoc
from typing import Any


def stated(function: Callable[..., Any], heading: str) -> str:
    """Returns what follows `heading`, such as `Formula`, in a docstring; "" where it is missing."""
    _, _, rest = (getdoc(function) or "").partition(f"{heading}: ")
    first, *others = rest.splitlines() or [""]
    # A long formula goes on in indented lines.
    more = []
    for line in others:
        if not line.startswith("    "):
            break
        more.append(line.strip())
    return " ".join([first, *more])
