"""A model of three horizons through both flows: what a night publishes and what is shown."""

from pathlib import Path

import polars as pl
import pytest

from flows.environment import data_root
from flows.show import forecast_table
from flows.show import forecasts as shown
from tasks.lake.artifacts import Artifact
from tasks.lake.store import Lake
from tasks.publishing.registry import entries, manifest_of
from tests.flows.tiny import LAST, SYMBOLS, TRAINED_TO, forecasts, read, run

# The main horizon is neither the first nor the last of them.
ALSO = ("target.horizon=2", "target.also=[5, 1]", "target.scale=volatility", "training.epochs=1")


@pytest.fixture(scope="module")
def night(prefect_api, world, tmp_path_factory):
    """A data root with a model of three horizons and one published night, and the night's run."""
    root = tmp_path_factory.mktemp("horizons")
    train = run("train", root, world, TRAINED_TO, overrides=ALSO)
    assert train.state.is_completed(), train.state.message
    daily = run("daily", root, world, overrides=ALSO)
    assert daily.state.is_completed(), daily.state.message
    return root, daily


def test_a_night_publishes_every_symbol_at_every_horizon_with_ranks_of_its_own(night):
    root, daily = night
    rows = forecasts(root)
    assert daily.outcome["published"] == rows.height == 3 * len(SYMBOLS)
    assert set(rows.select("target", "unit").rows()) == {("open_to_open", "log_return")}
    for _, own in rows.group_by("horizon"):
        assert sorted(own["symbol"]) == list(SYMBOLS)
        assert own.sort("rank")["score"].is_sorted(descending=True)
        assert own["rank"].sort().to_list() == [1, 2, 3, 4, 5, 6]
        quantiles = own.select("q05", "q25", "q50", "q75", "q95").to_numpy()
        assert (quantiles[:, 1:] > quantiles[:, :-1]).all()
    # The further ahead, the wider.
    width = rows.group_by("horizon").agg((pl.col("q95") - pl.col("q05")).mean()).sort("horizon")
    assert width["horizon"].to_list() == [1, 2, 5]
    assert width["q95"].is_sorted()


def test_the_same_night_again_adds_nothing(night, world):
    root, _ = night
    before = read(root, "forecasts")
    assert run("daily", root, world, overrides=ALSO).outcome["published"] == 0
    assert read(root, "forecasts").equals(before)


def test_the_main_horizon_is_shown_first_and_the_others_are_named(night):
    root, daily = night
    rows = shown(data_root(root), LAST, None, audit=False)
    assert [row["horizon"] for row in rows] == [2] * 6 + [1] * 6 + [5] * 6
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6] * 3
    assert "also forecast: 1, 5 session(s)" in str(forecast_table(rows).renderables[1])
    alone = shown(data_root(root), LAST, "CCC", audit=False)
    assert [row["horizon"] for row in alone] == [2, 1, 5]
    report = Path(daily.outcome["report"]).read_text()
    assert "6 forecasts, made with bars up to" in report
    assert "The same network also forecasts 5, 1 sessions ahead" in report


def test_each_further_horizon_is_judged_and_calibrated_by_itself(night):
    root, daily = night
    known_by = read(root, "forecasts")["known_by"].max()
    entry = next(e for e in entries(Lake(root / "lake"), known_by))
    manifest = manifest_of(root, entry)
    assert manifest["target"]["also"] == [5, 1]
    assert len(manifest["scaler"]["also_scales"]) == 2
    assert list(manifest["calibration"]["further"]) == ["5", "1"]
    assert "-h2-" in daily.outcome["model"]
    evaluation = Artifact.model_validate(manifest["evaluation"])
    summary = evaluation.read_json(root)
    assert [row["horizon"] for row in summary["horizons"]] == [5, 1]
    main = evaluation.frame(root, "predictions.parquet").filter(pl.col("role") == "network")
    for horizon in (5, 1):
        own = evaluation.frame(root, f"predictions_{horizon}.parquet")
        assert own.select("symbol", "date", "fold").equals(main.select("symbol", "date", "fold"))
        assert not own["target"].equals(main["target"])
    assert (
        "Further horizons, by the same network: 5, 1 sessions"
        in (root / entry.bundle.uri / "card.md").read_text()
    )
