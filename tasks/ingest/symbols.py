"""Which texts may name a symbol.

A symbol becomes part of an address, of a query, of a report and, on a user's machine, of a file's
name, so it is checked where it enters: in the configuration, a membership file or a file of bars.
"""

import re

LONGEST = 32

_STRANGE = re.compile(r"[^A-Za-z0-9.^=&_-]")
_FIRST = re.compile(r"[A-Za-z0-9^]")
# Windows opens a device by these names. Old versions did so whatever follows a dot, but CON.DE is a
# share, and nothing here is written to a file of a symbol's name.
_DEVICES = {
    *("CON", "PRN", "AUX", "NUL"),
    *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)),
}


def fault_of(symbol: str) -> str | None:
    """Returns what keeps `symbol` from being one, said of "it", or None where nothing does."""
    if not symbol:
        return "it is empty"
    if len(symbol) > LONGEST:
        return f"it has {len(symbol)} characters, and {LONGEST} are the most"
    if strange := _STRANGE.search(symbol):
        return f"it holds {strange.group()!a}"
    if not _FIRST.match(symbol):
        return f"it begins with {symbol[0]!r}"
    if symbol.endswith("."):
        return "it ends with '.', which Windows drops from a file's name"
    if (name := symbol.upper()) in _DEVICES:
        return f"Windows keeps the name {name} for a device"
    return None


def described_fault(symbol: str) -> str | None:
    """Returns a sentence in three parts on a text that can be no symbol, or None."""
    fault = fault_of(symbol)
    if fault is None:
        return None
    shown = symbol if len(symbol) <= LONGEST else symbol[:LONGEST] + "…"
    return (
        f"{shown!a} is no symbol: {fault}; write letters, digits and . ^ = & _ -, the first a "
        "letter, a digit or ^."
    )
