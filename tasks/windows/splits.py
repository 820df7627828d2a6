"""Purged walk-forward folds.

1. Test spans of equal length adjoin and end with the last session whose label has matured.
2. Before each test span lie, in this order, fit | stop | calibrate; all are counted in sessions.
3. A row of fit, stop or calibrate stays only if its label ends on or before the first session of
   the span after it (`Span.labels_by`): it is known when the first forecast of that span is made,
   after the close. Nothing is fitted on a test span: adjoining test spans need no purge between
   them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from models.errors import DataError
from tasks.windows.spec import SplitSpec


@dataclass(frozen=True)
class Span:
    """Sessions `start` … `end`, both inclusive; labels must be known by `labels_by`."""

    start: date
    end: date
    labels_by: date


@dataclass(frozen=True)
class Fold:
    """Four consecutive spans. Nothing is ever fitted on `test`."""

    number: int
    fit: Span
    stop: Span
    calibrate: Span
    test: Span


def walk_forward(sessions: Sequence[date], horizon: int, spec: SplitSpec) -> list[Fold]:
    """Returns the folds over `sessions`, oldest first.

    Args:
        sessions: Consecutive sessions from the first usable row to the cutoff.
        horizon: Sessions that the target spans, of several the most, h; a row's last label ends h
            or h + 1 after it.
        spec: Sizes in sessions.

    Raises:
        DataError: The sessions do not suffice, or a span would be purged away.
    """
    spans = {"stop": spec.stop, "calibrate": spec.calibrate, "test": spec.test, "fit": spec.fit}
    for name, length in spans.items():
        if length <= horizon:
            raise DataError(
                f"The {name} span of {length} sessions is not longer than the horizon of "
                f"{horizon}, so purging leaves none of it; raise splits.{name} above {horizon}."
            )
    # The last label that has surely matured at the cutoff starts at index len - 1 - (h + 1).
    matured = len(sessions) - (horizon + 1)
    needed = spec.fit + spec.stop + spec.calibrate + spec.folds * spec.test
    if matured < needed:
        raise DataError(
            f"The folds need {needed} sessions with matured labels "
            f"({spec.fit} fit + {spec.stop} stop + {spec.calibrate} calibrate + "
            f"{spec.folds} × {spec.test} test) but there are {max(matured, 0)}; "
            "use a longer history, fewer folds or shorter spans."
        )
    first_test = matured - spec.folds * spec.test
    folds = []
    for number in range(spec.folds):
        test = first_test + number * spec.test
        calibrate = test - spec.calibrate
        stop = calibrate - spec.stop
        fit = stop - spec.fit if spec.scheme == "rolling" else 0
        folds.append(
            Fold(
                number,
                fit=_span(sessions, fit, stop),
                stop=_span(sessions, stop, calibrate),
                calibrate=_span(sessions, calibrate, test),
                test=Span(sessions[test], sessions[test + spec.test - 1], sessions[-1]),
            )
        )
    return folds


def _span(sessions: Sequence[date], start: int, following: int) -> Span:
    return Span(sessions[start], sessions[following - 1], sessions[following])
