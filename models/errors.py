"""Errors that a user may meet.

Every message has three parts: what was wrong, the value met, what to do.

    NightcastError
    ├── UsageError   a configuration or an argument is wrong; the command exits with 2
    ├── DataError    bars, features or a table cannot be trusted; exits with 1
    ├── ModelError   a network, a bundle or a fit is wrong; exits with 1
    ├── RunError     a run cannot go on: no champion, a cutoff refused; exits with 1
    └── Stopped      a fit was asked to stop and has saved where it was; exits with 1
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class NightcastError(Exception):
    """Base of all errors that nightcast raises on purpose."""

    exit_code = 1


class UsageError(NightcastError):
    """A configuration or an argument is wrong."""

    exit_code = 2


class DataError(NightcastError):
    """Bars, features or a table cannot be trusted."""


class ModelError(NightcastError):
    """A network, a bundle or a fit is wrong."""


class RunError(NightcastError):
    """A run cannot go on."""


class Stopped(NightcastError):  # noqa: N818  (no error: it did what it was asked)
    """A fit was asked to stop, and has saved where it was."""


def some_of(names: Sequence[str]) -> str:
    """Returns the first five of `names` for a sentence, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def near(name: str, options: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the option closest to `name`, or an empty text."""
    found = get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f" Did you mean '{found[0]}'?" if found else ""
