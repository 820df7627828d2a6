"""Combinatorial purged cross-validation (López de Prado 2018, Advances in Financial ML, ch. 12).

1. The sessions whose labels have matured are cut into N groups of nearly equal length. Every choice
   of k groups is tested by one fold: C(N, k) folds, C(N − 1, k − 1) of which test a given session.
2. These tests are told apart as paths: the p-th fold to test a group does so for path p. A path has
   one forecast a date over all sessions.
3. A test span is closed from its first session until its last label has ended, and `embargo`
   sessions more. A training row goes when a bar that its features hang on, or its label, falls in.
4. Of the sessions that stay, the last calibrate, those before them stop, all others fit. As in the
   walk-forward, a label of fit or stop is known by the first session of the span after it.

A fold trains on sessions after its test spans too: it measures how far a result hangs on the one
history that a walk-forward sees, and is no simulation of what could have been traded.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from models.errors import DataError
from tasks.windows.spec import SplitSpec
from tasks.windows.splits import Span


@dataclass(frozen=True)
class Tested:
    """A group that a fold tests, for which path, and the last session closed to training."""

    group: int
    path: int
    span: Span
    closed: date


@dataclass(frozen=True)
class CombinatorialFold:
    """Three spans in their order in time, with holes where test spans lie, and the tests."""

    number: int
    fit: Span
    stop: Span
    calibrate: Span
    tests: tuple[Tested, ...]

    @property
    def test(self) -> Span:
        """Returns the span from the first tested session to the last one."""
        first, last = self.tests[0].span, self.tests[-1].span
        return Span(first.start, last.end, last.labels_by)


def combinatorial(
    sessions: Sequence[date], horizon: int, reach: int, spec: SplitSpec, first_number: int = 0
) -> Iterator[CombinatorialFold]:
    """Yields a fold for each choice of groups, numbered from `first_number` on.

    Args:
        sessions: Consecutive sessions from the first usable row to the cutoff.
        horizon: Sessions that the target spans, h; its label ends h or h + 1 after its row.
        reach: Earlier bars that a row hangs on, the window and every warm-up included. Here they
            are taken for sessions; the rows are purged by the real dates (`purging.py`).
        spec: Groups, embargo, and the sizes of stop and calibrate; `fit` is the least to fit on.

    Raises:
        DataError: A group is not longer than the horizon, or too little stays to train on.
    """
    matured = len(sessions) - (horizon + 1)
    if matured // spec.groups <= horizon:
        raise DataError(
            f"splits.groups={spec.groups} cuts {max(matured, 0)} sessions with matured labels into "
            f"groups that are not longer than the horizon of {horizon}; lower splits.groups or "
            "use a longer history."
        )
    edges = [matured * group // spec.groups for group in range(spec.groups + 1)]
    paths: Counter[int] = Counter()
    choices = itertools.combinations(range(spec.groups), spec.test_groups)
    for number, groups in enumerate(choices, start=first_number):
        tests = []
        for group in groups:
            first, last = edges[group], edges[group + 1] - 1
            closed = min(last + horizon + 1 + spec.embargo, len(sessions) - 1)
            span = Span(sessions[first], sessions[last], sessions[-1])
            tests.append(Tested(group, paths[group], span, sessions[closed]))
            paths[group] += 1
        left = _open_sessions(sessions, tests, horizon, reach, matured)
        yield CombinatorialFold(number, *_spans(sessions, left, reach, groups, spec), tuple(tests))


def _open_sessions(
    sessions: Sequence[date], tests: Sequence[Tested], horizon: int, reach: int, matured: int
) -> np.ndarray:
    """Returns the numbers of the sessions at which a bar without holes behind it may train."""
    number = {day: n for n, day in enumerate(sessions)}
    at = np.arange(matured)
    stays = np.ones(matured, bool)
    for test in tests:
        before = at + horizon + 1 < number[test.span.start]
        stays &= before | (at - reach > number[test.closed])
    return np.flatnonzero(stays)


def _spans(
    sessions: Sequence[date],
    left: np.ndarray,
    reach: int,
    groups: tuple[int, ...],
    spec: SplitSpec,
) -> tuple[Span, Span, Span]:
    fit = len(left) - spec.stop - spec.calibrate
    if fit < spec.fit:
        raise DataError(
            f"With the groups {', '.join(map(str, groups))} tested, {len(left)} sessions stay to "
            f"train on, of which {max(fit, 0)} to fit, fewer than splits.fit={spec.fit}: a row "
            f"hangs on {reach} bars before it, and those behind a test span that see it go. Lower "
            "splits.test_groups, splits.fit, stop or calibrate, take features with a shorter "
            "memory, or use a longer history."
        )
    days = [sessions[n] for n in left]
    stop, calibrate = fit, fit + spec.stop
    return (
        Span(days[0], days[stop - 1], days[stop]),
        Span(days[stop], days[calibrate - 1], days[calibrate]),
        Span(days[calibrate], days[-1], sessions[-1]),
    )
