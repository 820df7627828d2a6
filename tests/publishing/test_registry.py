from datetime import UTC, date, datetime, timedelta

import pytest

from models.errors import ModelError, RunError
from tasks.lake.store import Lake
from tasks.publishing.registry import champion, entries, manifest_of, register
from tests.lake.frames import at
from tests.publishing.nights import bundle_of, manifest

# `at(0)` lies in January 2021: all of it was registered long after these nights.
NIGHT = date(2013, 12, 2)


def enter(lake, model, label_end="2013-11-20", minute=0, name="sample"):
    made = manifest(model, label_end)
    return register(lake, name, made, bundle_of(model), at(minute))


def chosen(lake, cutoff=NIGHT, known_by=None, name="sample"):
    return champion(lake, name, cutoff, known_by or at(99), "XNYS").model


def test_the_newest_model_whose_labels_had_matured_is_champion(tmp_path):
    lake = Lake(tmp_path)
    enter(lake, "old", "2013-11-01", 0)
    enter(lake, "new", "2013-12-02", 1)
    enter(lake, "later", "2013-12-03", 2)
    assert chosen(lake) == "new"
    assert chosen(lake, date(2013, 12, 3)) == "later"
    assert chosen(lake, date(2013, 11, 29)) == "old"


def test_the_newest_is_the_last_one_entered_not_the_one_trained_furthest(tmp_path):
    lake = Lake(tmp_path)
    enter(lake, "further", "2013-11-20", 0)
    enter(lake, "shorter", "2013-11-01", 1)
    assert chosen(lake) == "shorter"


def test_a_night_before_every_training_end_is_refused_by_model_and_day(tmp_path):
    lake = Lake(tmp_path)
    enter(lake, "far", "2013-12-20", 0)
    enter(lake, "near", "2013-12-10", 1)
    with pytest.raises(RunError) as caught:
        chosen(lake)
    assert str(caught.value) == (
        "The night of 2013-12-02 lies before the training end of every model: near has seen "
        "labels up to 2013-12-10. Train one with `nightcast train --as-of 2013-12-02` first, or "
        "forecast a later night."
    )


def test_without_a_model_of_that_name_the_command_to_run_is_named(tmp_path):
    lake = Lake(tmp_path)
    with pytest.raises(RunError, match="no model named 'sample' yet; run `nightcast train`"):
        chosen(lake)
    enter(lake, "other", name="other")
    with pytest.raises(RunError, match="no model named 'sample'"):
        chosen(lake)


def test_registering_the_champion_again_adds_nothing(tmp_path):
    lake = Lake(tmp_path)
    assert [enter(lake, "a", minute=m) for m in (0, 0, 5)] == [1, 0, 0]
    assert len(entries(lake, at(99))) == 1


def test_going_back_to_an_earlier_model_makes_it_champion_again(tmp_path):
    lake = Lake(tmp_path)
    assert [enter(lake, m, minute=n) for n, m in enumerate("aba")] == [1, 1, 1]
    assert chosen(lake) == "a"
    assert [e.model for e in entries(lake, at(99))] == ["a", "b", "a"]


def test_a_model_is_champion_from_its_registration_on(tmp_path):
    lake = Lake(tmp_path)
    enter(lake, "a", minute=0)
    enter(lake, "b", minute=5)
    assert chosen(lake, known_by=at(4)) == "a"
    assert chosen(lake, known_by=at(5)) == "b"
    with pytest.raises(RunError, match="no model"):
        chosen(lake, known_by=at(-1))


def test_a_past_night_keeps_the_model_that_was_champion_then(tmp_path):
    lake = Lake(tmp_path)
    # The session after NIGHT opens on 3 December at 14:30 UTC.
    opening = datetime(2013, 12, 3, 14, 30, tzinfo=UTC)
    for model, instant in (
        ("that night's", opening - timedelta(microseconds=1)),
        ("too late", opening),
        ("today's", at(0)),
    ):
        register(lake, "sample", manifest(model), bundle_of(model), instant)
    assert chosen(lake) == "that night's"
    assert chosen(lake, date(2013, 12, 3)) == "too late"
    assert chosen(lake, date(2021, 1, 4)) == "today's"


def test_models_of_different_names_do_not_follow_one_another(tmp_path):
    lake = Lake(tmp_path)
    enter(lake, "a", name="sample", minute=0)
    enter(lake, "b", name="other", minute=1)
    assert (chosen(lake), chosen(lake, name="other")) == ("a", "b")


def test_an_entry_holds_what_was_registered(tmp_path):
    lake = Lake(tmp_path)
    enter(lake, "a", "2013-11-20")
    entry = champion(lake, "sample", NIGHT, at(9), "XNYS")
    assert (entry.name, entry.event, entry.gate) == ("sample", "champion", "ungated")
    assert (entry.cutoff, entry.label_end) == (date(2013, 11, 20), date(2013, 11, 20))
    assert entry.bundle == bundle_of("a")
    assert entry.evidence == {"verdict": {"label": "no edge"}}
    assert entries(lake, at(9)) == [entry]
    with pytest.raises(ModelError, match="cannot be read"):
        manifest_of(tmp_path, entry)
