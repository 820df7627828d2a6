"""Numbers as people read them: a unit on each, a true minus sign, "–" for what is not known."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

UNKNOWN = "–"
UNSECTORED = "without a sector"
# A number never parts from its unit at the end of a line.
NARROW = "\N{NO-BREAK SPACE}"


def decimal(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """Returns the number with a fixed count of digits; "–" for null, NaN and infinity."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    rounded = round(float(value), digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    sign = "−" if rounded < 0 else "+" if signed else ""
    return f"{sign}{abs(rounded):,.{digits}f}"


def percent(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """Returns a share (0.513) as "51.3 %"."""
    return _with_unit(value, 100.0, "%", digits, signed)


def times(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """Returns a multiple (41.2) as "41.2 ×"."""
    return _with_unit(value, 1.0, "×", digits, signed)


def money(value: float) -> str:
    """Returns an amount (2_500_000) in its round unit, as "2.5 M"."""
    unit, sign = next(
        (pair for pair in ((1e9, "bn"), (1e6, "M"), (1e3, "k")) if value >= pair[0]), (1.0, "")
    )
    return f"{value / unit:,.4g}{NARROW}{sign}".rstrip(NARROW)


def said(sentence: str) -> str:
    """Returns a sentence with a true minus sign before its numbers; dates keep their hyphens."""
    return re.sub(r"(?<![\w.-])-(?=[\d.])", "−", sentence)


def estimated(found: Any) -> Mapping[str, Any] | None:
    """Returns an interval as it is, and a bare number, as older evaluations have it, as one."""
    if found is None or isinstance(found, Mapping):
        return found
    return {"value": found, "low": None, "high": None}


def bounds(interval: Mapping[str, Any] | None, form: Callable[..., str], **options: Any) -> str:
    """Returns "[low, high]", or an empty text when either end is unknown."""
    ends = [None, None] if interval is None else [interval["low"], interval["high"]]
    texts = [form(end, **options) for end in ends]
    return "" if UNKNOWN in texts else f"[{texts[0]}, {texts[1]}]"


def estimate(interval: Mapping[str, Any] | None, form: Callable[..., str], **options: Any) -> str:
    """Returns "value [low, high]" of an interval; the bounds fall away when unknown."""
    value = form(None if interval is None else interval["value"], **options)
    return f"{value} {bounds(interval, form, **options)}".rstrip()


def _with_unit(value: float | None, scale: float, unit: str, digits: int, signed: bool) -> str:
    text = decimal(None if value is None else value * scale, digits, signed)
    return text if text == UNKNOWN else f"{text}{NARROW}{unit}"
