from datetime import date

import polars as pl
import pytest

from models.errors import DataError
from tasks.lake.store import Lake
from tasks.lake.tables import TRIALS
from tasks.lake.task import _identity
from tasks.lake.trials import other_trials, refer_to_trials
from tests.lake.frames import at

SPAN = {"first": date(2015, 1, 5), "last": date(2015, 6, 30)}
OWN = {"trial": "own", "universe": "u", **SPAN}


def enter(lake, minute, trial, status="started", **values):
    row = dict.fromkeys(TRIALS.columns) | OWN | {"trial": trial, "status": status} | values
    frame = pl.DataFrame({k: [v] for k, v in row.items()}, schema=dict(TRIALS.columns))
    return Lake(lake).append("trials", frame, at(minute))


@pytest.fixture
def lake(tmp_path):
    enter(str(tmp_path), 0, "other", "completed", returns=[0.01, -0.02])
    enter(str(tmp_path), 0, "killed")
    enter(str(tmp_path), 1, "own")
    return str(tmp_path)


def test_a_reference_names_all_trials_but_its_own(lake):
    reference = refer_to_trials(lake, OWN, at(1))
    assert reference.others == 2
    rows = other_trials(lake, reference)
    assert rows["trial"].to_list() == ["killed", "other"]
    assert rows["returns"].to_list() == [None, [0.01, -0.02]]
    assert (reference.first, reference.last, reference.universe) == (*SPAN.values(), "u")


def test_completing_the_own_trial_changes_no_key_and_another_trial_does(lake):
    before = _identity(refer_to_trials(lake, OWN, at(1)))
    enter(lake, 2, "own", "completed", returns=[0.5])
    assert _identity(refer_to_trials(lake, OWN, at(3))) == before
    enter(lake, 4, "later")
    assert _identity(refer_to_trials(lake, OWN, at(3))) == before
    assert _identity(refer_to_trials(lake, OWN, at(4))) != before
    assert _identity(refer_to_trials(lake, {**OWN, "last": date(2016, 1, 4)}, at(3))) != before


def test_the_completion_of_another_trial_changes_the_key_and_its_run_does_not(lake):
    before = _identity(refer_to_trials(lake, OWN, at(1)))
    enter(lake, 2, "other", "completed", returns=[0.01, -0.02], run="again")
    assert _identity(refer_to_trials(lake, OWN, at(2))) == before
    enter(lake, 3, "killed", "completed", returns=[0.0, 0.01])
    assert _identity(refer_to_trials(lake, OWN, at(3))) != before


def test_what_was_learned_later_is_not_seen_through_an_earlier_reference(lake):
    reference = refer_to_trials(lake, OWN, at(1))
    enter(lake, 2, "later")
    assert other_trials(lake, reference).height == 2


def test_other_rows_than_were_seen_are_refused(lake):
    reference = refer_to_trials(lake, OWN, at(1))
    with pytest.raises(DataError, match=r"other trials known by .* were changed or lost"):
        other_trials(lake, reference.model_copy(update={"digest": "0" * 64}))
