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
    made = pl.DataFrame(rows, schema=["span", "row", "mean"], orient="row")
    blank = {q: pl.lit(None, pl.Float64) for q in QUANTILE_COLUMNS}
    return made.select("span", "row", score="mean", mean="mean", **blank)


def quantile_forecasts(fold, seed):
    """Of a head of quantiles: five ascending numbers a row, the middle one its score."""
    made = forecasts(fold, seed).drop(QUANTILE_COLUMNS)
    steps = np.random.default_rng([fold, seed, 1]).uniform(0.0, 0.02, (made.height, 4))
    low = (made["mean"].to_numpy() - 0.02)[:, None]
    own = np.hstack([low, low + np.cumsum(steps, axis=1)])
    return made.with_columns(
        pl.Series("score", own[:, 2]),
        pl.lit(None, pl.Float64).alias("mean"),
        *(pl.Series(q, own[:, i]) for i, q in enumerate(QUANTILE_COLUMNS)),
    )


def score_forecasts(fold, seed):
    return forecasts(fold, seed).with_columns(mean=pl.lit(None, pl.Float64))


def fits(seeds=(0, 1, 2), of=forecasts):
    return [(fold, of(fold, seed)) for fold in range(2) for seed in seeds]


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
        "model", "role", "fold", "score", "mean", *QUANTILE_COLUMNS,
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
    assert keyed(ridge, "mean") == keyed(ridge, "score") == expected


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


@pytest.mark.parametrize("sessions", [None, 20])
def test_a_further_horizon_is_assembled_as_if_it_were_the_only_one(sessions):
    further = FRAME.with_columns(target_5=2 * pl.col("target") + 1e-3 * pl.col("volatility"))
    panel = panel_arrays(further, names_of(FRAME), 2, 1).at(5)
    alone = FRAME.with_columns(target=further["target_5"])
    expected = assemble(
        panel_arrays(alone, names_of(FRAME), 2, 1), RETURN, "gru", fits(), [], "mean", sessions
    )
    made = assemble(panel, TargetSpec(horizon=5), "gru", fits(), [], "mean", sessions)
    assert made.frame.equals(expected.frame)
    assert made.offsets == expected.offsets


@pytest.mark.parametrize("sessions", [None, 20])
def test_a_row_without_a_truth_is_forecast_and_moves_no_interval(sessions):
    # As at a further horizon whose label is missing for ever; every fourth row, in both spans.
    lacking = pl.int_range(pl.len()) % 4 == 0
    holed = FRAME.with_columns(target=pl.when(~lacking).then("target"))
    panel = panel_arrays(holed, names_of(FRAME), 2, 1)
    made = assemble(panel, RETURN, "gru", fits(seeds=(0,)), [], "mean", sessions)
    rows = made.frame.rows(named=True)
    assert len(rows) == 80
    target = holed["target"].to_list()
    missing = [row for row in rows if row["target"] != row["target"]]
    assert len(missing) == 20
    assert all(row["q05"] < row["mean"] < row["q95"] for row in missing)
    scores = [(r["target"] - r["mean"]) / r["volatility"] for r in rows if r not in missing]
    for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
        assert made.offsets[column] == pytest.approx(order_statistics(scores, level), rel=1e-9)
    if sessions is None:
        for fold in range(2):
            said = forecasts(fold, 0).filter(pl.col("span") == "calibrate")
            seen = [
                (target[row] - mean) / FRAME["volatility"][row]
                for row, mean in said.select("row", "mean").rows()
                if target[row] is not None
            ]
            mine = made.frame.filter(pl.col("fold") == fold)
            expected = mine["mean"] + mine["volatility"] * order_statistics(seen, 0.95)
            np.testing.assert_allclose(mine["q95"], expected, rtol=1e-9)


def offsets_known_on(day, fold, centres, sessions):
    """Of a fold, in a plain loop: offsets of the newest sessions known by the close of `day`."""
    rows = [row for ends in SPANS[fold].values() for row in ends]
    ripe = [row for row in rows if FRAME["label_end"][row] <= day]
    newest = sorted({FRAME["date"][row] for row in ripe})[-sessions:]
    chosen = [row for row in ripe if FRAME["date"][row] in newest]
    target, volatility = FRAME["target"], FRAME["volatility"]
    return [
        order_statistics([(target[row] - centres[row][n]) / volatility[row] for row in chosen], p)
        for n, p in enumerate(QUANTILES)
    ]


def test_intervals_roll_on_over_a_test_span_with_what_is_known_by_each_date():
    made = network_rows(assemble(PANEL, RETURN, "gru", fits(seeds=(0,)), [], sessions=20))
    for fold in range(2):
        said = forecasts(fold, 0)
        centres = {row: [mean] * 5 for row, mean in said.select("row", "mean").rows()}
        for row in made.filter(pl.col("fold") == fold).iter_rows(named=True):
            offsets = offsets_known_on(row["date"], fold, centres, 20)
            for column, offset in zip(QUANTILE_COLUMNS, offsets, strict=True):
                expected = row["mean"] + row["volatility"] * offset
                assert row[column] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("of", "head"), [(forecasts, "mean"), (quantile_forecasts, "quantiles")])
def test_truths_that_are_not_known_by_a_date_move_none_of_its_rolling_intervals(of, head):
    def bands(frame):
        panel = panel_arrays(frame, names_of(frame), 2, 1)
        made = network_rows(assemble(panel, RETURN, "gru", fits(of=of), [], head, 20))
        return made.select("symbol", "date", "fold", *QUANTILE_COLUMNS)

    plain = bands(FRAME)
    for fold, session in ((0, 40), (0, 48), (0, 59), (1, 66)):
        day = FRAME["date"][session]
        later = pl.col("label_end") > day
        other = bands(FRAME.with_columns(target=pl.when(later).then(7.0).otherwise("target")))
        seen = (pl.col("date") <= day) & (pl.col("fold") <= fold)
        assert plain.filter(seen).equals(other.filter(seen))
        assert not plain.equals(other)


def test_quantiles_of_a_head_are_averaged_and_moved_level_by_level():
    made = network_rows(
        assemble(PANEL, RETURN, "gru", fits(of=quantile_forecasts), [], "quantiles", 20)
    )
    assert made["mean"].null_count() == made.height == 80
    for fold in range(2):
        seeds = [quantile_forecasts(fold, seed) for seed in range(3)]
        own = np.mean([seed.select(QUANTILE_COLUMNS).to_numpy() for seed in seeds], axis=0)
        centres = dict(zip(seeds[0]["row"], own, strict=True))
        places = {key_of(row): row for row in SPANS[fold]["test"]}
        for row in made.filter(pl.col("fold") == fold).iter_rows(named=True):
            centre = centres[places[row["symbol"], row["date"]]]
            assert row["score"] == pytest.approx(centre[2], rel=1e-12)
            offsets = offsets_known_on(row["date"], fold, centres, 20)
            expected = sorted(centre + row["volatility"] * np.array(offsets))
            np.testing.assert_allclose([row[q] for q in QUANTILE_COLUMNS], expected, rtol=1e-9)


def test_the_published_offsets_of_a_head_of_quantiles_pool_what_it_missed_level_by_level():
    given = fits(seeds=(0,), of=quantile_forecasts)
    made = assemble(PANEL, RETURN, "gru", given, [], "quantiles", 20)
    target, volatility = FRAME["target"].to_list(), FRAME["volatility"].to_list()
    tested = pl.concat(f for _, f in given).filter(pl.col("span") == "test")
    for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
        scores = [(target[row] - own) / volatility[row] for row, own in
                  tested.select("row", column).rows()]  # fmt: skip
        assert made.offsets[column] == pytest.approx(order_statistics(scores, level), rel=1e-9)


@pytest.mark.parametrize(
    ("head", "target"), [("rank", RANK), ("rank", RETURN), ("direction", RETURN)]
)
def test_a_head_that_only_orders_has_a_score_and_nothing_else(head, target):
    made = assemble(PANEL, target, "gru", fits(of=score_forecasts), baselines(), head, 20)
    mine = network_rows(made)
    assert mine.select("mean", *QUANTILE_COLUMNS).null_count().row(0) == (80,) * 6
    assert made.offsets == {}
    plain = network_rows(assemble(PANEL, target, "gru", fits(), []))
    assert keyed(mine, "score") == keyed(plain, "mean")


def test_a_head_of_a_direction_has_a_mean_and_clipped_intervals_where_the_target_is_one():
    signs = FRAME.with_columns(target=pl.col("target").sign())
    panel = panel_arrays(signs, names_of(signs), 2, 1)
    target = TargetSpec(form="direction")
    made = network_rows(
        assemble(panel, target, "gru", fits(of=score_forecasts), [], "direction", 20)
    )
    assert made["mean"].equals(made["score"].alias("mean"))
    low, high = made["q05"], made["q95"]
    assert (low.min(), high.max()) == (-1.0, 1.0)
    assert ((made["target"] >= low) & (made["target"] <= high)).mean() > 0.85
