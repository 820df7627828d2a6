from datetime import date

import polars as pl
import pytest

from models.errors import DataError
from tasks.evaluation.certificate.inference import Seen, Trial, inference_checks
from tasks.evaluation.certificate.verdict import (
    CHECKS,
    Certificate,
    Check,
    first_leak,
    require_clean,
)
from tests.lake.frames import weekdays

DAYS = weekdays(6)


def certificate(*changed):
    """One whose checks were all tried once and held, but for those that are changed."""
    checks = {name: Check(name=name, trials=1) for name in CHECKS}
    checks |= {check.name: check for check in changed}
    return Certificate(seed=0, cutoffs=(DAYS[3],), checks=checks.values())


def test_a_clean_certificate_says_how_much_was_tried():
    found = certificate(Check(name="features", trials=1_200))
    assert found.holds
    assert found.sentence == (
        "10 checks, 1,209 trials, nothing of features, forecasts, orders or fits came from the "
        "future."
    )
    require_clean(found.record(), "gru")


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_that_could_not_be_tried_makes_a_certificate_unclean(name):
    found = certificate(Check(name=name, trials=0))
    assert found.record()["holds"] is False
    assert "came from the future" not in found.sentence
    assert found.sentence.endswith(f"; could not be tried: {name}.")
    with pytest.raises(DataError, match=rf"not clean: .*could not be tried: {name}\. Loosen what"):
        require_clean(found.record(), "gru")


def test_a_check_that_was_not_even_made_was_not_tried():
    found = Certificate(seed=0, cutoffs=(), checks=())
    assert not found.holds
    assert found.sentence.endswith(f"; could not be tried: {', '.join(CHECKS)}.")


def test_a_record_that_said_it_holds_although_a_check_was_not_tried_is_not_clean():
    old = certificate(Check(name="fill times", trials=0)).record() | {"holds": True}
    with pytest.raises(DataError, match=r"not clean: .*could not be tried: fill times"):
        require_clean(old, "gru")


def test_an_unclean_certificate_names_its_first_leak():
    found = certificate(
        Check(name="features", trials=3), Check(name="purging", trials=2, leak="2 fit rows reach")
    )
    assert not found.holds
    assert found.record()["holds"] is False
    said = r"of gru is not clean: .*1 failed\. purging: 2 fit rows reach\. Mend the leak, and"
    with pytest.raises(DataError, match=said):
        require_clean(found.record(), "gru")


def test_a_check_ends_at_its_first_leak():
    found = first_leak("x", iter([None, "this", "that"]))
    assert (found.trials, found.leak) == (2, "this")
    assert first_leak("x", iter([])) == Check(name="x", trials=0)


def seen(score, orders=True):
    frame = pl.DataFrame({"symbol": ["A"] * 6, "date": DAYS, "x": score})
    return Seen(frame, frame, frame if orders else frame.clear())


def test_each_part_is_compared_to_the_bit_and_the_cutoff_and_the_deed_are_named():
    true, other = [1.0] * 6, [1.0, 1.0, 1.0 + 2**-52, 1.0, 1.0, 1.0]
    trial = Trial(DAYS[3], "masked", seen(true), seen(other))
    features, forecasts, orders = inference_checks([trial])
    said = f"x changes at A {DAYS[2]} when the bars after {DAYS[3]} are masked"
    assert [features.leak, forecasts.leak, orders.leak] == [said] * 3
    same = Trial(DAYS[3], "masked", seen(true, orders=False), seen(true, orders=False))
    assert [check.trials for check in inference_checks([same])] == [1, 1, 0]


def test_a_run_that_fails_on_another_future_leaks():
    fault = DataError("no window")
    features, *_ = inference_checks([Trial(date(2020, 1, 2), "cut off", seen([1.0] * 6), fault)])
    assert features.leak == "the run fails when the bars after 2020-01-02 are cut off: no window"
