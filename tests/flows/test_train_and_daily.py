import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.environment import data_root
from flows.show import forecasts as shown
from tasks.lake.artifacts import folder_digest
from tasks.lake.store import Lake
from tests.flows.tiny import (
    CLOCKS,
    DAYS,
    LAST,
    SYMBOLS,
    TRAINED_TO,
    forecasts,
    random_walks,
    read,
    run,
    with_negative_closes,
    write_world,
)


@pytest.fixture
def copied(trained, tmp_path):
    """The trained root again, to be written to."""
    root = tmp_path / "root"
    shutil.copytree(trained.root, root)
    return root


def test_a_night_ranks_every_symbol_once_with_ordered_quantiles(trained):
    night = forecasts(trained.root)
    assert sorted(night["symbol"]) == list(SYMBOLS)
    assert sorted(night["rank"]) == [1, 2, 3, 4, 5, 6]
    assert night.sort("rank")["score"].is_sorted(descending=True)
    quantiles = night.select("q05", "q25", "q50", "q75", "q95").to_numpy()
    assert (quantiles[:, 1:] > quantiles[:, :-1]).all()
    assert set(night["cutoff"]) == {LAST}


def test_run_names_carry_the_session(trained):
    with get_client(sync_client=True) as client:
        names = [
            client.read_flow_run(r.state.state_details.flow_run_id).name
            for r in (trained.train, trained.daily)
        ]
    assert names == [f"train-tiny-{TRAINED_TO}", f"daily-tiny-{LAST}"]


def test_a_run_leaves_its_card_and_its_ranking_in_prefect(trained):
    run_id = UUID(str(trained.daily.state.state_details.flow_run_id))
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        found = {a.key: a for a in client.read_artifacts(artifact_filter=chosen)}
    assert {k: a.type for k, a in found.items()} == {
        "nightcast-ingestion": "table",
        "nightcast-model": "markdown",
        "nightcast-forecasts": "table",
    }
    states = json.loads(found["nightcast-ingestion"].data)
    assert [row["symbol"] for row in states] == list(SYMBOLS)
    assert {row["outcome"] for row in states} == {"ok"}
    assert trained.train.outcome["model"] in found["nightcast-model"].data
    table = json.loads(found["nightcast-forecasts"].data)
    ranked = forecasts(trained.root).sort("rank")["symbol"].to_list()
    assert [row["symbol"] for row in table] == ranked


def test_the_same_night_again_adds_nothing_to_the_ledger(trained):
    before = read(trained.root, "forecasts")
    again = run("daily", trained.root, trained.config)
    assert again.outcome["published"] == 0
    assert read(trained.root, "forecasts").equals(before)


def test_a_night_made_again_after_a_restatement_stays_as_it_was(copied, trained, tmp_path):
    restated = random_walks().with_columns(
        close=pl.when(pl.col("date") == DAYS[-2]).then(pl.col("low")).otherwise("close")
    )
    before = read(copied, "forecasts")
    again = run("daily", copied, write_world(tmp_path / "restated", restated))
    assert again.outcome["published"] == 0
    assert read(copied, "forecasts").equals(before)
    assert read(copied, "bars")["known_at"].n_unique() == 3, "the restated bars are not kept"


def test_the_same_training_again_takes_every_finished_stage(trained):
    again = run("train", trained.root, trained.config, TRAINED_TO)
    stages = again.stages()
    assert set(stages) == set(trained.train.stages())
    assert len(stages) == 11, stages
    assert all(stages.values()), stages
    assert not any(trained.train.stages().values()), "the first run took finished stages"
    assert again.outcome["model"] == trained.train.outcome["model"]
    assert len(read(trained.root, "trials")) == 1, "the run was counted twice"
    assert sorted(read(trained.root, "registry")["event"]) == ["candidate", "champion"]


def test_a_trial_counted_meanwhile_deflates_a_repeated_training_and_fits_nothing(copied, trained):
    first = _evaluation(copied)
    assert first["significance"]["trials"]["count"] == 1
    own = read(copied, "trials").drop("known_at", "commit")
    other = own.with_columns(trial=pl.lit("other"), status=pl.lit("started"), returns=None)
    Lake(copied / "lake").append("trials", other.cast(own.schema), datetime.now(UTC))
    again = run("train", copied, trained.config, TRAINED_TO)
    made = sorted(name.split()[0] for name, cached in again.stages().items() if not cached)
    assert made == ["bundle", "certify", "evaluate"]
    second = _evaluation(copied)
    assert second["significance"]["trials"]["count"] == 2
    for before, after in zip(
        *(summary["significance"]["sharpe"] for summary in (first, second)), strict=True
    ):
        assert after["deflated"] < before["deflated"] == before["probabilistic"]
    left_out = ("significance",)
    assert {k: v for k, v in first.items() if k not in left_out} == {
        k: v for k, v in second.items() if k not in left_out
    }
    assert "2 trials are counted" in Path(again.outcome["report"]).read_text()


def test_another_portfolio_is_another_trial_of_the_same_fits_and_a_refresh(copied, trained):
    chosen = ("evaluation.portfolio.top_share=0.4", "evaluation.portfolio.rebalance_every=5")
    before = read(copied, "trials")
    again = run("train", copied, trained.config, TRAINED_TO, overrides=chosen)
    assert again.state.is_completed(), again.state.message
    made = sorted(name.split()[0] for name, cached in again.stages().items() if not cached)
    assert made == ["bundle", "certify", "evaluate"]
    assert "refresh" in again.state.message
    assert _evaluation(copied)["significance"]["trials"]["count"] == 2
    after = read(copied, "trials")
    assert after.join(before, on="trial", how="semi").equals(before)
    other = Lake(copied / "lake").every_row("trials").join(before, on="trial", how="anti")
    assert other.sort("commit")["status"].to_list() == ["started", "completed"]
    assert other["spec"].unique().to_list() == before["spec"].to_list()
    assert other.sort("commit")["returns"][1].to_list() != before["returns"][0].to_list()


def _evaluation(root):
    """The summary of the newest evaluation."""
    made = root.glob("artifacts/evaluation/*/summary.json")
    return json.loads(max(made, key=lambda path: path.stat().st_mtime_ns).read_text())


def test_a_lost_file_is_made_again_with_the_same_content(copied, trained):
    windows, fold = (next(copied.glob(f"artifacts/{kind}/*")) for kind in ("windows", "fold"))
    digests = folder_digest(windows), folder_digest(fold)
    shutil.rmtree(windows)
    (fold / "weights.safetensors").unlink()
    repaired, after = (run("train", copied, trained.config, TRAINED_TO) for _ in range(2))
    made = sorted(name for name, cached in repaired.stages().items() if not cached)
    number = json.loads((fold / "summary.json").read_text())["fold"]
    assert made == [f"fit fold {number} seed 0", f"windows to {TRAINED_TO}"]
    assert (folder_digest(windows), folder_digest(fold)) == digests
    assert all(after.stages().values()), after.stages()


def test_a_night_that_comes_before_the_training_end_is_refused_by_the_models_name(trained):
    refused = run("daily", trained.root, trained.config, date(2019, 7, 1))
    assert refused.state.is_failed()
    assert trained.train.outcome["model"] in refused.state.message
    assert str(TRAINED_TO) in refused.state.message


def test_a_holiday_is_skipped(trained):
    skipped = run("daily", trained.root, trained.config, date(2019, 7, 4))
    assert skipped.state.name == "Skipped"
    assert skipped.state.is_completed()
    assert "XNYS held no session on 2019-07-04" in skipped.state.message
    assert not skipped.tasks


def test_another_root_on_the_evening_itself_gives_the_same_forecasts_to_the_bit(trained, tmp_path):
    root = tmp_path / "other"
    friday, monday = datetime(2019, 7, 19, 23, tzinfo=UTC), datetime(2019, 8, 5, 23, tzinfo=UTC)
    run("train", root, trained.config, now=friday)
    run("daily", root, trained.config, now=monday)
    nights = [
        json.dumps([{k: v for k, v in row.items() if k not in CLOCKS} for row in rows], default=str)
        for rows in (shown(data_root(r), LAST, None, audit=True) for r in (trained.root, root))
    ]
    assert nights[0] == nights[1]
    stamps = read(root, "forecasts").select("origin", "tradable").unique().rows()
    assert stamps == [("live", True)]
    late = read(trained.root, "forecasts").select("origin", "tradable").unique().rows()
    assert late == [("replay", False)]


def test_refused_bars_are_counted_by_rule_and_named_in_the_card(dirty):
    counts = dict(read(dirty.root, "quarantine").group_by("rule").len().iter_rows())
    assert counts == {"non_positive_price": 3, "duplicate_key": 2 + 4}
    served = len(SYMBOLS) * sum(day <= TRAINED_TO for day in DAYS)
    assert len(read(dirty.root, "bars")) == served - 3 - 2
    assert "duplicate_key" in dirty.report


def test_too_many_refused_bars_stop_the_run_before_any_feature(prefect_api, tmp_path):
    config = write_world(tmp_path / "bad", with_negative_closes(random_walks(), "BBB", 40))
    root = tmp_path / "root"
    stopped = run("train", root, config, TRAINED_TO)
    assert stopped.state.is_failed()
    assert "BBB" in stopped.state.message
    assert not (root / "artifacts").exists()
    assert read(root, "registry").is_empty()
    assert read(root, "trials").is_empty()
    assert len(read(root, "quarantine")) == 40
