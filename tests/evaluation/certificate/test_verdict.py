from datetime import date

import polars as pl
import pytest

from models.errors import DataError
from tasks.evaluation.certificate.inference import Seen, Trial, inference_checks
from tasks.evaluation.certificate.verdict import Certificate, Check, first_leak, require_clean
from tests.lake.frames import weekdays

DAYS = weekdays(6)


def certificate(*checks):
    return Certificate(seed=0, cutoffs=(DAYS[3],), checks=checks)


def test_a_clean_certificate_says_how_much_was_tried_and_what_could_not_be():
    found = certificate(Check(name="features", trials=1_200), Check(name="orders", trials=0))
    assert found.holds
    assert found.sentence.startswith("1 checks, 1,200 trials, nothing of features")
    assert found.sentence.endswith("; could not be tried: orders.")
    require_clean(found.record(), "gru")


def test_an_unclean_certificate_names_its_first_leak():
    found = certificate(
        Check(name="features", trials=3), Check(name="purging", trials=2, leak="2 fit rows reach")
    )
    assert not found.holds
    assert found.record()["holds"] is False
    with pytest.raises(DataError, match=r"of gru is not clean: .*1 failed\. purging: 2 fit rows"):
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
