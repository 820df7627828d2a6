import math

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.predictions import assemble
from tasks.lake.panel import panel_arrays
from tasks.lake.tables import QUANTILE_COLUMNS, QUANTILES
from tasks.lake.target_spec import TargetSpec
from tests.lake.frames import feature_frame, names_of, weekdays

FRAME = feature_frame({"A": (0, 119), "B": (0, 119)}, weekdays(120))
PANEL = panel_arrays(FRAME, names_of(FRAME), 2, 1)
RETURN, RANK = TargetSpec(), TargetSpec(form="rank")
# Two folds of both symbols: 30 sessions calibrate, 20 test. B's rows begin at 120.
SPANS = [
    {"calibrate": [*range(10, 40), *range(130, 160)], "test": [*range(40, 60), *range(160, 180)]},
    {"calibrate": [*range(30, 60), *range(150, 180)], "test": [*range(60, 80), *range(180, 200)]},
]


def forecasts(fold, seed):
    draw = np.random.default_rng([fold, seed])
    rows = [(span, row, float(0.01 * draw.normal())) for span, ends in SPANS[fold].items()
            for row in ends]  # fmt: skip
    return pl.DataFrame(rows, schema=["span", "row", "mean"], orient="row")


def fits(seeds=(0, 1, 2)):
    return [(fold, forecasts(fold, seed)) for fold in range(2) for seed in seeds]


def baselines():
    return [
        (fold, forecasts(fold, 9).select(pl.lit("ridge").alias("model"), "span", "row", "mean"))
        for fold in range(2)
    ]


def network_rows(made):
    return made.frame.filter(pl.col("role") == "network")


def keyed(frame, column):
    return {(r["symbol"], r["date"]): r[column] for r in frame.iter_rows(named=True)}


def key_of(row):
    return (FRAME["symbol"][row], FRAME["date"][row])


def order_statistics(scores, level):
    """The offsets of `models/intervals.py` from its text: ranks rounded outwards."""
    ranked, rank = sorted(scores), round((len(scores) + 1) * level, 9)
    low = math.ceil(rank) if level > 0.5 else math.floor(rank)
    high = math.floor(rank) if level < 0.5 else math.ceil(rank)
    return (ranked[low - 1] + ranked[high - 1]) / 2


def test_the_networks_forecast_is_the_mean_of_its_seeds():
    found = keyed(network_rows(assemble(PANEL, RETURN, "gru", fits(), [])), "mean")
    assert len(found) == 80
    for fold in range(2):
        seeds = [forecasts(fold, seed).filter(pl.col("span") == "test") for seed in range(3)]
        for n, row in enumerate(seeds[0]["row"]):
            expected = sum(seed["mean"][n] for seed in seeds) / 3
            assert found[key_of(row)] == pytest.approx(expected, rel=1e-12)


def test_the_frame_holds_each_test_row_of_each_model_once_with_what_came_true():
    made = assemble(PANEL, RETURN, "gru", fits(), baselines()).frame
    assert made.columns == [
        "model", "role", "fold", "mean", *QUANTILE_COLUMNS,
        "symbol", "date", "target", "label_end", "volatility",
    ]  # fmt: skip
    assert made.select("model", "symbol", "date").equals(
        made.select("model", "symbol", "date").unique().sort("model", "symbol", "date")
    )
    for model in ("gru", "ridge"):
        mine = made.filter(pl.col("model") == model)
        for fold in range(2):
            found = mine.filter(pl.col("fold") == fold)
            assert keyed(found, "target").keys() == {key_of(row) for row in SPANS[fold]["test"]}
        truth = FRAME.join(mine, on=["symbol", "date"], suffix="_made", maintain_order="left")
        for column in ("target", "label_end", "volatility"):
            assert truth[column].equals(truth[f"{column}_made"].alias(column))


def test_baselines_have_no_intervals_and_keep_their_forecasts():
    made = assemble(PANEL, RETURN, "gru", fits(), baselines()).frame
    ridge = made.filter(pl.col("role") == "baseline")
    assert ridge.select(QUANTILE_COLUMNS).null_count().row(0) == (80,) * 5
    tested = pl.concat(f for _, f in baselines()).filter(pl.col("span") == "test")
    expected = {key_of(row): mean for row, mean in tested.select("row", "mean").rows()}
    assert keyed(ridge, "mean") == expected


def test_a_folds_intervals_come_from_its_own_calibrate_span():
    made = network_rows(assemble(PANEL, RETURN, "gru", fits(seeds=(0,)), []))
    target, volatility = FRAME["target"].to_list(), FRAME["volatility"].to_list()
    for fold in range(2):
        seen = forecasts(fold, 0).filter(pl.col("span") == "calibrate").select("row", "mean").rows()
        scores = [(target[row] - mean) / volatility[row] for row, mean in seen]
        mine = made.filter(pl.col("fold") == fold)
        for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
            offset = order_statistics(scores, level)
            expected = mine["mean"] + mine["volatility"] * offset
            np.testing.assert_allclose(mine[column], expected, rtol=1e-9)


def test_the_truth_of_the_test_spans_moves_no_interval():
    tested = [row for spans in SPANS for row in spans["test"] if row not in SPANS[1]["calibrate"]]
    other = FRAME.with_columns(
        target=pl.when(pl.int_range(pl.len()).is_in(tested)).then(5.0).otherwise("target")
    )
    panel = panel_arrays(other, names_of(other), 2, 1)
    columns = ["symbol", "date", "mean", *QUANTILE_COLUMNS]
    made = [network_rows(assemble(p, RETURN, "gru", fits(), [])) for p in (PANEL, panel)]
    assert made[0].select(columns).equals(made[1].select(columns))
    assert not made[0]["target"].equals(made[1]["target"])


def test_the_published_offsets_pool_the_residuals_of_all_test_spans():
    made = assemble(PANEL, RETURN, "gru", fits(), [])
    rows = network_rows(made).rows(named=True)
    scores = [(r["target"] - r["mean"]) / r["volatility"] for r in rows]
    assert list(made.offsets) == list(QUANTILE_COLUMNS)
    for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
        assert made.offsets[column] == pytest.approx(order_statistics(scores, level), rel=1e-9)


def test_intervals_of_another_unit_than_a_log_return_do_not_widen_with_the_volatility():
    made = assemble(PANEL, RANK, "gru", fits(seeds=(0,)), [])
    target, rows = FRAME["target"].to_list(), network_rows(made)
    for fold in range(2):
        seen = forecasts(fold, 0).filter(pl.col("span") == "calibrate").select("row", "mean").rows()
        residuals = [target[row] - mean for row, mean in seen]
        mine = rows.filter(pl.col("fold") == fold)
        for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
            expected = mine["mean"] + order_statistics(residuals, level)
            np.testing.assert_allclose(mine[column], expected, rtol=1e-9)
    pooled = (rows["target"] - rows["mean"]).to_list()
    for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
        assert made.offsets[column] == pytest.approx(order_statistics(pooled, level), rel=1e-9)
