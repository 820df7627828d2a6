"""Triple barriers, each case small enough to be seen through."""

import polars as pl
import pytest

from tasks.lake.target_spec import TargetSpec
from tests.features.target_worlds import SESSIONS, flat_bars, made

# The entry is 100, the volatility 0.01, the horizon 4: the barriers lie at 102.02 and 98.02.
CALM = (100, 101, 99)


@pytest.mark.parametrize(
    ("later", "answer"),
    [
        ([CALM] * 4, 0),
        ([CALM, (100, 103, 99), (97, 98, 90), CALM], 1),
        ([CALM, (100, 101, 98), (103, 110, 103), CALM], -1),
        ([(100, 102.1, 99), CALM, CALM, CALM], 1),  # the bar of the entry counts
        ([CALM, CALM, CALM, (100, 102.1, 99)], 1),  # so does the last
        ([CALM, CALM, CALM, CALM, (110, 120, 110)], 0),  # and the one after it does not
        ([CALM, (100, 103, 97), CALM, CALM], -1),  # both within one bar: the worse
        ([CALM, (103, 103, 97), CALM, CALM], 1),  # opened beyond the upper: that came first
        ([CALM, (97, 103, 97), CALM, CALM], -1),
        ([CALM, None, (103, 104, 103), CALM], 1),  # no bar, no trade, no touch
        ([CALM, None, CALM, CALM], 0),
        ([CALM, (None, 103, 99), CALM, CALM], 0),
        ([(100, None, 99), CALM, CALM, CALM], 0),
        ([None, CALM, CALM, CALM], None),
        ([(None, 101, 99), CALM, CALM, CALM], None),
        ([CALM, (100, 103, 99), CALM, None], None),  # whatever happened before
        ([CALM, (100, 103, 99), CALM, (100, None, 99)], None),
        ([CALM, (100, 103, 99), CALM], None),
    ],
)
def test_triple_barrier_is_the_barrier_touched_first(later, answer):
    # The forecast's own bar reaches far beyond both barriers and has no say.
    rows = [(SESSIONS[0], 100.0, 200.0, 1.0)]
    rows += [(SESSIONS[n], *bar) for n, bar in enumerate(later, start=1) if bar]
    panel = pl.DataFrame(rows, ["date", "open", "high", "low"], orient="row")
    panel = panel.select(pl.lit("AAA").alias("symbol"), "date", pl.exclude("date").cast(pl.Float64))
    spec = TargetSpec(kind="triple_barrier", horizon=4)
    first = made(panel, spec).row(0, named=True)
    assert first["target"] == answer
    assert first["label_end"] == (None if answer is None else SESSIONS[4])


@pytest.mark.parametrize(
    ("volatility", "answer"),
    [(0.01, 1), (0.02, 0), (None, None), (float("nan"), None), (9e-5, None)],
)
def test_the_barriers_hang_on_the_volatility_known_at_t(volatility, answer):
    panel = flat_bars("AAA", {8: 100, 9: 100, 10: 103, 11: 100})
    spec = TargetSpec(kind="triple_barrier", horizon=2, barrier_up=2)
    assert made(panel, spec, volatility=volatility)["target"][0] == answer


def test_the_two_barriers_have_distances_of_their_own():
    panel = flat_bars("AAA", {8: 100, 9: 100, 10: 103, 11: 95})
    for up, down, answer in ((1.5, 1, 1), (4, 1, -1), (4, 6, 0)):
        spec = TargetSpec(kind="triple_barrier", horizon=3, barrier_up=up, barrier_down=down)
        assert made(panel, spec)["target"][0] == answer
