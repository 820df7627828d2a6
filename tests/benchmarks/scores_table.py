"""Scores out of a report as text, with the digits that they need; only the standard library."""

from collections.abc import Mapping
from typing import Any


def score_lines(report: Mapping[str, Any]) -> list[str]:
    """Returns a line for each `NAME.mean` with its interval among the measures of a report."""
    found = []
    for contender, result in report["results"].items():
        medians = result["medians"] or {}
        for path in medians:
            name, _, last = path.rpartition(".")
            if last == "mean":
                mean, low, high = (medians[f"{name}.{part}"] for part in ("mean", "low", "high"))
                found.append(f"{contender}: {name} {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    return found
