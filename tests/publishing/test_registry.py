import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
import torch

from models.bundle import save_bundle
from models.errors import ModelError, RunError, UsageError
from tasks.lake.decision import Decision
from tasks.lake.store import Lake
from tasks.publishing.registry import (
    champion,
    enter,
    entries,
    manifest_of,
    newest_of,
    promote,
    standing_champion,
)
from tests.lake.frames import at
from tests.publishing.nights import FIRST, bundle_of, manifest

# `at(0)` lies in January 2021: all of it was registered long after these nights.
NIGHT = date(2013, 12, 2)
CLEAN = {"holds": True, "sentence": "10 checks."}


def crown(lake, model, label_end="2013-11-20", minute=0, name="sample", kind="refresh"):
    """Lets the gate promote a model."""
    decision = Decision(True, kind, f"{model} was let through.")
    return enter(
        lake, manifest(model, label_end, name=name), bundle_of(model), decision, at(minute)
    )


def turn_away(lake, model, minute=0, reason="it is worse."):
    decision = Decision(False, "challenger", reason, {"gain": -0.125})
    return enter(lake, manifest(model), bundle_of(model), decision, at(minute))


def chosen(lake, cutoff=NIGHT, known_by=None, name="sample"):
    return champion(lake, name, cutoff, known_by or at(99), "XNYS").model


def events(lake):
    return [(e.model, e.event, e.gate) for e in entries(lake, at(99))]


def test_the_newest_model_whose_labels_had_matured_is_champion(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "old", "2013-11-01", 0)
    crown(lake, "new", "2013-12-02", 1)
    crown(lake, "later", "2013-12-03", 2)
    assert chosen(lake) == "new"
    assert chosen(lake, date(2013, 12, 3)) == "later"
    assert chosen(lake, date(2013, 11, 29)) == "old"


def test_the_newest_is_the_last_one_entered_not_the_one_trained_furthest(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "further", "2013-11-20", 0)
    crown(lake, "shorter", "2013-11-01", 1)
    assert chosen(lake) == "shorter"


def test_a_night_before_every_training_end_is_refused_by_model_and_day(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "far", "2013-12-20", 0)
    crown(lake, "near", "2013-12-10", 1)
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
    crown(lake, "other", name="other")
    with pytest.raises(RunError, match="no model named 'sample'"):
        chosen(lake)


def test_the_champion_judged_again_adds_nothing(tmp_path):
    lake = Lake(tmp_path)
    assert [crown(lake, "a", minute=m, kind="first") for m in (0, 0, 5)] == [2, 0, 0]
    assert events(lake) == [("a", "candidate", "first"), ("a", "champion", "first")]


def test_a_promotion_retires_the_champion_before(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", minute=0, kind="first")
    assert crown(lake, "b", minute=1) == 3
    assert events(lake)[2:] == [
        ("b", "candidate", "refresh"), ("b", "champion", "refresh"), ("a", "retired", "first"),
    ]  # fmt: skip
    assert entries(lake, at(99))[-1].reason == "b has taken its place."
    assert standing_champion(lake, "sample", at(99)).model == "b"
    assert standing_champion(lake, "sample", at(0.5)).model == "a"


def test_a_rejected_model_changes_nothing_and_is_kept_with_its_figures(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", minute=0, kind="first")
    assert turn_away(lake, "b", minute=1) == 2
    assert chosen(lake) == standing_champion(lake, "sample", at(99)).model == "a"
    kept = newest_of(lake, "b", at(99))
    assert (kept.event, kept.gate, kept.state) == ("rejected", "challenger", "rejected")
    assert kept.reason == "it is worse."
    assert kept.evidence["figures"] == {"gain": -0.125}
    # Evidence is kept as JSON for other programs.
    raw = lake.read("registry", cutoff=None, known_by=at(99)).filter(event="rejected")
    assert json.loads(raw["evidence"][0])["promoted"] is False


def test_a_rejection_counts_anew_only_for_another_reason(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", kind="first")
    asked = [turn_away(lake, "b", n, why) for n, why in enumerate(("x.", "x.", "y."), start=1)]
    assert asked == [2, 0, 2]
    assert newest_of(lake, "b", at(99)).reason == "y."


def test_nothing_was_decided_about_a_model_that_is_not_there(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "gru-1", kind="first")
    with pytest.raises(UsageError, match=r"model 'gru-2'\. Did you mean 'gru-1'\?"):
        newest_of(lake, "gru-2", at(99))


def test_going_back_to_an_earlier_model_makes_it_champion_again(tmp_path):
    lake = Lake(tmp_path)
    assert [crown(lake, m, minute=n) for n, m in enumerate("aba")] == [2, 3, 3]
    assert chosen(lake) == "a"


def test_a_model_for_past_nights_serves_those_that_no_champion_can(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", "2013-11-20", minute=0, kind="first")
    crown(lake, "past", "2013-11-01", minute=1, kind="past")
    assert standing_champion(lake, "sample", at(99)).model == "a"
    assert chosen(lake, date(2013, 11, 4)) == "past"
    assert chosen(lake) == "a"
    assert crown(lake, "past", "2013-11-01", minute=2, kind="past") == 0
    assert ("a", "retired", "first") not in events(lake)


def test_a_past_night_takes_the_model_trained_to_the_later_cutoff(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "long ago", "2010-06-01", minute=0, kind="first")
    crown(lake, "today's", "2020-12-01", minute=1)
    crown(lake, "closer", "2013-11-01", minute=2, kind="past")
    assert chosen(lake) == "closer"
    # Tonight's is the champion of the registry, whatever lies before it.
    assert chosen(lake, date(2021, 1, 5)) == "today's"


def test_a_model_for_past_nights_never_takes_a_night_that_had_a_champion(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "rolled back to", "2010-06-01", minute=0, kind="first")
    crown(lake, "closer", "2013-11-01", minute=1, kind="past")
    assert chosen(lake, date(2021, 1, 5)) == "rolled back to"


def test_a_model_is_champion_from_its_registration_on(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", minute=0)
    crown(lake, "b", minute=5)
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
        enter(lake, manifest(model), bundle_of(model), FIRST, instant)
    assert chosen(lake) == "that night's"
    assert chosen(lake, date(2013, 12, 3)) == "too late"
    assert chosen(lake, date(2021, 1, 4)) == "today's"


def test_models_of_different_names_do_not_follow_one_another(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", name="sample", minute=0)
    crown(lake, "b", name="other", minute=1)
    assert (chosen(lake), chosen(lake, name="other")) == ("a", "b")


def test_an_entry_holds_what_was_registered(tmp_path):
    lake = Lake(tmp_path)
    crown(lake, "a", "2013-11-20", kind="first")
    entry = champion(lake, "sample", NIGHT, at(9), "XNYS")
    assert (entry.name, entry.event, entry.gate) == ("sample", "champion", "first")
    assert (entry.cutoff, entry.label_end) == (date(2013, 11, 20), date(2013, 11, 20))
    assert entry.bundle == bundle_of("a")
    assert (entry.label, entry.state) == ("first, no edge", "champion (first, no edge)")
    assert entry.reason == "a was let through."
    assert entries(lake, at(9))[1] == entry
    with pytest.raises(ModelError, match="cannot be read"):
        manifest_of(tmp_path, entry)


def test_a_registry_from_before_the_gate_is_read_and_goes_on(tmp_path):
    lake = Lake(tmp_path)
    row = {
        "name": "sample", "model": "old", "event": "champion", "sequence": 0, "gate": "ungated",
        "bundle": bundle_of("old").model_dump_json(), "cutoff": date(2013, 11, 20),
        "label_end": date(2013, 11, 20), "evidence": json.dumps({"verdict": {"label": "edge"}}),
    }  # fmt: skip
    lake.append("registry", pl.DataFrame([row]), at(0))
    old = champion(lake, "sample", NIGHT, at(9), "XNYS")
    assert (old.label, old.state) == ("ungated", "champion (ungated)")
    assert "before there was a gate" in old.reason
    crown(lake, "new", minute=1)
    assert chosen(lake) == "new"
    assert events(lake)[-1] == ("old", "retired", "ungated")


@pytest.fixture
def kept(tmp_path):
    """A root with a champion `a`, a rejected `b`, and `leaky` and `old` without a certificate."""
    lake = Lake(tmp_path / "lake")
    crown(lake, "a", kind="first")
    for n, (model, certificate) in enumerate(
        {"b": CLEAN, "leaky": CLEAN | {"holds": False}, "old": None, "a": CLEAN}.items(), start=1
    ):
        values = manifest(model) | ({"certificate": certificate} if certificate else {})
        weights = [{"w": torch.zeros(1)}]
        save_bundle(tmp_path / bundle_of(model).uri, weights, values, "card")
        if model != "a":
            turn_away(lake, model, n)
    return tmp_path


def by_hand(root, model, reason="the board wants it", minute=50):
    return promote(root, Lake(root / "lake"), model, reason, "ann", at(minute))


def test_a_rejected_model_is_promoted_by_hand_with_reason_person_and_evidence(kept):
    entry, before = by_hand(kept, "b", "  the board wants it ")
    lake = Lake(kept / "lake")
    assert (entry.event, entry.gate, entry.label) == ("manual", "manual", "manual, no edge")
    assert entry.reason == "the board wants it"
    assert (entry.evidence["person"], entry.evidence["against"]) == ("ann", "a")
    assert entry.evidence["judged"]["reason"] == "it is worse."
    assert entry.evidence["judged"]["figures"] == {"gain": -0.125}
    assert before.model == "a"
    assert events(lake)[-2:] == [("b", "manual", "manual"), ("a", "retired", "first")]
    assert chosen(lake) == standing_champion(lake, "sample", at(99)).model == "b"
    assert newest_of(lake, "b", at(99)) == entry


def test_going_back_by_hand_is_possible_too(kept):
    by_hand(kept, "b", minute=50)
    by_hand(kept, "a", minute=51)
    assert chosen(Lake(kept / "lake")) == "a"


@pytest.mark.parametrize(
    ("model", "reason", "error", "said"),
    [
        ("b", " ", UsageError, "Promoting b needs a reason; say why with --reason."),
        ("leeky", "x", UsageError, "There is no model 'leeky'. Did you mean 'leaky'?"),
        ("a", "x", RunError, "a is the champion of 'sample' already (first, no edge)."),
        ("leaky", "x", RunError, "leaky cannot become champion, by hand neither: its causality"),
        ("old", "x", RunError, "old carries no causality certificate"),
    ],
)
def test_a_promotion_by_hand_that_may_not_be_is_refused_and_writes_nothing(
    kept, model, reason, error, said
):
    before = events(Lake(kept / "lake"))
    with pytest.raises(error) as caught:
        by_hand(kept, model, reason)
    assert said in str(caught.value)
    assert events(Lake(kept / "lake")) == before
