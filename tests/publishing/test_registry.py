from datetime import UTC, date, datetime

import pytest

from models.errors import RunError
from tasks.lake.artifacts import Artifact
from tasks.lake.store import Lake
from tasks.publishing.registry import champion, entries, register

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 5, 12, tzinfo=UTC)


def manifest(model: str, label_end: str, cutoff: str = "2013-03-01") -> dict[str, object]:
    verdict = {"label": "no edge", "sentence": "No edge."}
    return {"id": model, "cutoff": cutoff, "label_end": label_end, "verdict": verdict}


def bundle(model: str) -> Artifact:
    return Artifact(kind="bundle", key=model, uri=f"artifacts/bundle/{model}", sha256="s", rows=1)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def enter(lake, model, label_end, now=NOW, name="mine"):
    return register(lake, name, manifest(model, label_end), bundle(model), now)


def of(lake, cutoff, now=LATER, name="mine"):
    return champion(lake, name, cutoff, now, "XNYS").model


def test_the_newest_model_is_champion_and_ungated(lake):
    enter(lake, "a", "2013-03-01")
    enter(lake, "b", "2013-03-01", LATER)
    entry = champion(lake, "mine", date(2026, 2, 5), LATER, "XNYS")
    assert (entry.model, entry.gate, entry.bundle) == ("b", "ungated", bundle("b"))


def test_entering_the_champion_again_adds_nothing(lake):
    assert enter(lake, "a", "2013-03-01") == 1
    assert enter(lake, "a", "2013-03-01", LATER) == 0


def test_an_earlier_model_becomes_champion_again(lake):
    for model in ("a", "b", "a"):
        enter(lake, model, "2013-03-01")
    assert of(lake, date(2013, 3, 1)) == "a"
    assert [e.model for e in entries(lake, LATER)] == ["a", "b", "a"]


def test_a_night_before_the_last_label_takes_an_earlier_model(lake):
    enter(lake, "old", "2013-01-15")
    enter(lake, "new", "2013-03-01")
    assert of(lake, date(2013, 2, 28)) == "old"
    assert of(lake, date(2013, 3, 1)) == "new"


def test_a_night_that_no_model_may_see_is_refused_by_name(lake):
    enter(lake, "gru-x", "2013-03-01")
    with pytest.raises(RunError, match=r"2013-02-28.*gru-x has seen labels up to 2013-03-01"):
        of(lake, date(2013, 2, 28))


def test_a_past_night_keeps_the_champion_it_had(lake):
    enter(lake, "then", "2025-12-31", NOW)
    enter(lake, "since", "2025-12-31", LATER)
    assert of(lake, date(2026, 1, 6)) == "then"
    assert of(lake, date(2026, 2, 6)) == "since"


def test_a_night_without_a_champion_of_its_own_takes_todays(lake):
    enter(lake, "a", "2013-03-01")
    enter(lake, "b", "2013-03-01", LATER)
    assert of(lake, date(2013, 3, 4)) == "b"


def test_names_do_not_mix_and_an_empty_registry_says_what_to_do(lake):
    enter(lake, "a", "2013-03-01", name="other")
    with pytest.raises(RunError, match=r"no model named 'mine'.*nightcast train"):
        of(lake, date(2013, 3, 4))


def test_a_model_is_unseen_before_it_was_entered(lake):
    enter(lake, "a", "2013-03-01", LATER)
    with pytest.raises(RunError, match="no model"):
        of(lake, date(2013, 3, 4), now=NOW)
