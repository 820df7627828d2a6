"""What whole runs make of the gate: a refresh, a challenger on noise, and a promotion by hand."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from flows.environment import data_root
from flows.gate import live_rows
from flows.show import promote, verdict_panel
from models.bundle import load_bundle
from tasks.lake.artifacts import Artifact
from tasks.lake.store import Lake
from tasks.publishing.registry import entries, manifest_of, newest_of
from tests.flows.tiny import DAYS, LAST, TRAINED_TO, forecasts, read, run

LATER = DAYS[-6]
# A few steps so large that it errs more than the champion: else luck could go either way.
ANOTHER = ("training.learning_rate=1.0", "training.epochs=1")


@dataclass(frozen=True)
class Judged:
    """A root with a first model, its refresh, and a challenger that came after it."""

    root: Path
    first: str
    refresh: object
    challenger: object

    def events(self):
        known = entries(Lake(self.root / "lake"), datetime.now(UTC))
        return [(e.model, e.event, e.gate) for e in known]


@pytest.fixture(scope="module")
def judged(trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("judged") / "root"
    shutil.copytree(trained.root, root)
    refresh = run("train", root, trained.config, LATER)
    challenger = run("train", root, trained.config, LATER, overrides=ANOTHER)
    return Judged(root, trained.train.outcome["model"], refresh, challenger)


def test_a_refresh_on_later_data_follows_the_first_model(judged):
    outcome, state = judged.refresh.outcome, judged.refresh.state
    assert outcome["promoted"], outcome
    assert "champion (refresh, " in state.message
    assert "not shown to be worse by more than the margin of 0.10%" in state.message
    model = outcome["model"]
    assert judged.events()[:5] == [
        (judged.first, "candidate", "first"),
        (judged.first, "champion", "first"),
        (model, "candidate", "refresh"),
        (model, "champion", "refresh"),
        (judged.first, "retired", "first"),
    ]


def test_procedures_are_compared_on_the_dates_that_both_have_tested(judged):
    lake = Lake(judged.root / "lake")
    refresh = newest_of(lake, judged.refresh.outcome["model"], datetime.now(UTC))
    figures = refresh.evidence["figures"]
    tested = []
    for model in (judged.first, refresh.model):
        manifest = manifest_of(judged.root, newest_of(lake, model, datetime.now(UTC)))
        evaluation = Artifact.model_validate(manifest["evaluation"])
        rows = evaluation.frame(judged.root, "predictions.parquet").filter(role="network")
        tested.append({day for day in rows["date"] if day <= TRAINED_TO})
    assert figures["champion"] == judged.first
    assert figures["dates"] == len(tested[0] & tested[1]) < len(tested[0])
    assert figures["live_nights"] == 0


def test_another_specification_is_rejected_on_noise_and_the_run_completes(judged):
    outcome, state = judged.challenger.outcome, judged.challenger.state
    assert state.is_completed()
    assert not outcome["promoted"]
    assert outcome["gate"].startswith("rejected: on ")
    assert outcome["gate"] in state.message
    assert "it is not shown to be better" in outcome["gate"]
    assert "after deflation by 2 counted trials" in outcome["gate"]
    assert judged.events()[5:7] == [
        (outcome["model"], "candidate", "challenger"),
        (outcome["model"], "rejected", "challenger"),
    ]
    page = Path(outcome["report"]).read_text()
    assert f"model {outcome['model']}, rejected" in page
    assert "ungated" not in page


def test_asked_again_a_rejected_candidate_is_rejected_without_another_word(judged, trained):
    before = judged.events()
    again = run("train", judged.root, trained.config, LATER, overrides=ANOTHER)
    assert again.outcome == judged.challenger.outcome
    assert judged.events() == before


@pytest.fixture
def copied(judged, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(judged.root, root)
    return root


def test_the_night_goes_on_with_the_champion_until_a_person_decides(judged, trained, copied):
    night = run("daily", copied, trained.config)
    assert night.outcome["model"] == judged.refresh.outcome["model"]
    gates = {gate.split(",")[0] for gate in forecasts(copied)["gate"]}
    assert gates == {"first", "refresh"}
    rejected = judged.challenger.outcome["model"]
    said = promote(data_root(copied), rejected, "smaller and as good", "ann")
    assert said.startswith(f"{rejected} is the champion of 'tiny' by hand, in place of ")
    by_hand = run("daily", copied, trained.config)
    assert by_hand.outcome["model"] == rejected
    own = forecasts(copied).filter(pl.col("model") == rejected)
    assert {gate.split(",")[0] for gate in own["gate"]} == {"manual"}
    page = Path(by_hand.outcome["report"]).read_text()
    assert "smaller and as good" in page


def test_the_panel_after_a_training_says_what_the_gate_decided(judged):
    rejected = judged.challenger.outcome["model"]
    panel = verdict_panel(data_root(judged.root), rejected)
    assert "Gate: rejected: on " in panel.renderable.plain


def test_forecasts_of_the_ledger_meet_their_truths(judged):
    lake = Lake(judged.root / "lake")
    first = newest_of(lake, judged.first, datetime.now(UTC))
    manifest = load_bundle(judged.root / first.bundle.uri).manifest
    truths = pl.DataFrame({"symbol": ["AAA"], "date": [LAST], "target": [0.25]})
    rows = live_rows(lake, manifest, truths, datetime.now(UTC)).sort("symbol")
    assert rows["target"].to_list() == [0.25, *[None] * 5]
    assert rows["date"].unique().to_list() == [LAST]
    scaled = manifest | {"target": manifest["target"] | {"scale": "volatility"}}
    assert live_rows(lake, scaled, truths, datetime.now(UTC)).is_empty()


def test_an_earlier_training_is_for_past_nights_alone(judged, trained, copied):
    past = run("train", copied, trained.config, DAYS[-20])
    assert past.outcome["promoted"]
    assert "champion (past, " in past.outcome["gate"]
    tonight = run("daily", copied, trained.config)
    assert tonight.outcome["model"] == judged.refresh.outcome["model"]
    earlier = run("daily", copied, trained.config, DAYS[-18])
    assert earlier.outcome["model"] == past.outcome["model"]
    assert len(read(copied, "registry").filter(event="champion")) == 3
