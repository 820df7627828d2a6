"""What a registered function's docstring states under `Formula:` and `Source:`."""

from collections.abc import Callable
from inspect import getdoc
from typing import Any


class Stated:
    """A registry entry whose `function` states its formula and who defined it."""

    function: Callable[..., Any]

    @property
    def formula(self) -> str:
        """Returns the formula that the function's docstring states; "" where it is missing."""
        return self._stated("Formula: ")

    @property
    def source(self) -> str:
        """Returns who defined it, as the function's docstring states it; "" where it is missing."""
        return self._stated("Source: ")

    def _stated(self, heading: str) -> str:
        _, _, rest = (getdoc(self.function) or "").partition(heading)
        first, *others = rest.splitlines() or [""]
        # A long formula goes on in indented lines.
        more = []
        for line in others:
            if not line.startswith("    "):
                break
            more.append(line.strip())
        return " ".join([first, *more])
