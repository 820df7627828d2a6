from itertools import pairwise

import numpy as np
import pytest

from models.errors import DataError
from tasks.windows.spec import SplitSpec
from tasks.windows.splits import walk_forward
from tests.lake.frames import weekdays

SPANS = ("fit", "stop", "calibrate", "test")


def random_case(seed):
    """Sessions, horizon and sizes that leave `spare` sessions too many."""
    draw = np.random.default_rng(seed)
    horizon = int(draw.integers(1, 8))
    sizes = {"fit": draw.integers(20, 40), **{n: draw.integers(8, 20) for n in SPANS[1:]}}
    spec = SplitSpec(
        scheme=["expanding", "rolling"][seed % 2],
        folds=int(draw.integers(1, 5)),
        **{name: int(size) for name, size in sizes.items()},
    )
    needed = spec.fit + spec.stop + spec.calibrate + spec.folds * spec.test
    spare = int(draw.integers(0, 15))
    return weekdays(needed + horizon + 1 + spare), horizon, spec, spare


@pytest.mark.parametrize("seed", range(20))
def test_the_spans_are_in_order_adjoin_and_have_their_lengths(seed):
    sessions, horizon, spec, spare = random_case(seed)
    place = {day: n for n, day in enumerate(sessions)}
    folds = walk_forward(sessions, horizon, spec)
    assert [f.number for f in folds] == list(range(spec.folds))
    for fold in folds:
        spans = [getattr(fold, name) for name in SPANS]
        for before, after in pairwise(spans):
            assert place[after.start] == place[before.end] + 1
        lengths = dict(zip(SPANS, (place[s.end] - place[s.start] + 1 for s in spans), strict=True))
        assert [lengths[n] for n in SPANS[1:]] == [spec.stop, spec.calibrate, spec.test]
        if spec.scheme == "rolling":
            assert lengths["fit"] == spec.fit
        else:
            assert fold.fit.start == sessions[0]
            assert lengths["fit"] == spec.fit + spare + fold.number * spec.test
    for before, after in pairwise(folds):
        assert place[after.test.start] == place[before.test.end] + 1
    # The last tested label is just known at the last session.
    assert place[folds[-1].test.end] + 1 + horizon == len(sessions) - 1


@pytest.mark.parametrize("seed", range(20))
def test_a_spans_labels_are_known_before_anything_of_the_next_span_is_forecast(seed):
    sessions, horizon, spec, _ = random_case(seed)
    for fold in walk_forward(sessions, horizon, spec):
        for name, following in pairwise(SPANS):
            assert getattr(fold, name).labels_by == getattr(fold, following).start
        assert fold.test.labels_by == sessions[-1]


def test_an_expanding_and_a_rolling_scheme_test_the_same_sessions():
    sessions, horizon, spec, _ = random_case(0)
    other = spec.model_copy(update={"scheme": "rolling"})
    tests = [[f.test for f in walk_forward(sessions, horizon, s)] for s in (spec, other)]
    assert tests[0] == tests[1]


def test_one_session_too_few_is_refused_with_the_sum():
    spec = SplitSpec(folds=2, fit=30, stop=10, calibrate=10, test=15)
    enough = 30 + 10 + 10 + 2 * 15 + 3
    assert len(walk_forward(weekdays(enough), 2, spec)) == 2
    with pytest.raises(DataError) as caught:
        walk_forward(weekdays(enough - 1), 2, spec)
    assert (
        "need 80 sessions with matured labels (30 fit + 10 stop + 10 calibrate + 2 × 15 test)"
        in (str(caught.value))
    )
    assert "there are 79; use a longer history, fewer folds" in str(caught.value)
    with pytest.raises(DataError, match="there are 0;"):
        walk_forward(weekdays(1), 2, spec)


@pytest.mark.parametrize("name", SPANS[1:])
def test_a_span_that_purging_would_empty_is_refused(name):
    sizes = {"fit": 30, "stop": 12, "calibrate": 12, "test": 12, name: 11}
    with pytest.raises(DataError, match=rf"The {name} span of 11 .* raise splits.{name} above 11"):
        walk_forward(weekdays(500), 11, SplitSpec(folds=1, **sizes))
