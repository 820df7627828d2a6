"""Fixed weights, another future: what was known and decided up to a cutoff stays to the bit."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl

from models.errors import NightcastError
from tasks.evaluation.certificate.verdict import Check
from tasks.lake.bits import first_difference


@dataclass(frozen=True)
class Seen:
    """What a run makes of bars up to a cutoff: frames of symbol, date and any columns.

    Attributes:
        features: of every bar up to the cutoff.
        forecasts: of every complete window up to the cutoff, and what is published at it.
        orders: what the portfolios hold up to the cutoff, and after its orders.
    """

    features: pl.DataFrame
    forecasts: pl.DataFrame
    orders: pl.DataFrame


@dataclass(frozen=True)
class Trial:
    """A cutoff, what was done to the bars after it, and what is seen without and with that.

    `found` is the error where a run that saw nothing after the cutoff would not have failed.
    """

    cutoff: date
    told: str
    truth: Seen
    found: Seen | NightcastError


def inference_checks(trials: Iterable[Trial]) -> list[Check]:
    """Returns the checks `features`, `forecasts` and `orders` over all trials."""
    counts = dict.fromkeys(("features", "forecasts", "orders"), 0)
    leaks: dict[str, str | None] = dict.fromkeys(counts)
    for trial in trials:
        done = f"when the bars after {trial.cutoff} are {trial.told}"
        if isinstance(trial.found, NightcastError):
            counts["features"] += 1
            leaks["features"] = leaks["features"] or f"the run fails {done}: {trial.found}"
            continue
        for part in counts:
            truth, found = getattr(trial.truth, part), getattr(trial.found, part)
            if truth.is_empty() and found.is_empty():
                continue
            counts[part] += 1
            where = first_difference(truth, found)
            if where and leaks[part] is None:
                leaks[part] = f"{where.columns[0]} changes at {where.symbol} {where.date} {done}"
    return [Check(name=part, trials=counts[part], leak=leaks[part]) for part in counts]
