from collections.abc import Callable
from datetime import date

import polars as pl

from tasks.features.causality import changes
from tasks.features.causality.case import moved


def first_causal_violation(
    build: Callable[[pl.DataFrame], pl.DataFrame], panel: pl.DataFrame, cutoff: date
) -> str | None:
    """Returns what moved, where and why, or None; goes with its call in tests/features."""
    until = pl.col("date") <= cutoff
    whole = build(panel).filter(until)
    for told, other in {
        "cut off": panel.filter(until),
        "masked": changes.with_future(panel, changes.constant_bars(panel, float("nan")), cutoff),
        "set to 1e9": changes.with_future(panel, changes.constant_bars(panel, 1e9), cutoff),
    }.items():
        found = moved(whole, build(other).filter(until), f"what follows {cutoff} is {told}")
        if found:
            return found.sentence
    return None
