"""Out-of-sample forecasts of all folds as one frame, and the intervals made from residuals.

1. A network's forecast is the mean over its seeds.
2. A fold's intervals come from that fold's *calibrate* span: residuals divided by the spread that
   the target's unit has at the cutoff (of log returns the volatility known there), their quantiles
   multiplied back on the *test* span.
3. The published bundle takes its intervals from the pooled residuals of all *test* spans.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from models.intervals import apply, conformal_offsets
from tasks.lake.panel import PanelArrays
from tasks.lake.tables import QUANTILE_COLUMNS, QUANTILES
from tasks.lake.target_spec import TargetSpec


@dataclass(frozen=True)
class Predictions:
    """The predictions frame, and the offsets of the published intervals by level."""

    frame: pl.DataFrame
    offsets: dict[str, float]


def assemble(
    panel: PanelArrays,
    target: TargetSpec,
    network: str,
    fits: list[tuple[int, pl.DataFrame]],
    baselines: list[tuple[int, pl.DataFrame]],
) -> Predictions:
    """Joins forecasts with what came true.

    Args:
        panel: The panel the row numbers count in.
        target: What the panel's rows are labelled with.
        network: Name of the network in the frame.
        fits: For every fold and seed, the fold's number and a frame span, row, mean.
        baselines: For every fold, its number and a frame model, span, row, mean.
    """
    means = (
        pl.concat([f.with_columns(fold=pl.lit(n, pl.Int64)) for n, f in fits])
        .group_by("fold", "span", "row")
        .agg(pl.col("mean").mean())
        .sort("fold", "span", "row")
    )
    pieces = [
        _with_intervals(panel, target, means.filter(pl.col("fold") == n), network)
        for n in means["fold"].unique().sort()
    ]
    for number, frame in baselines:
        tested = frame.filter(pl.col("span") == "test")
        blank = [pl.lit(None, pl.Float64).alias(q) for q in QUANTILE_COLUMNS]
        pieces.append(
            tested.select(
                "model",
                pl.lit("baseline").alias("role"),
                pl.lit(number, pl.Int64).alias("fold"),
                "row",
                "mean",
                *blank,
            )
        )
    frame = _with_outcomes(panel, pl.concat(pieces)).sort("model", "symbol", "date")
    mine = frame.filter(pl.col("role") == "network")
    residuals = (mine["target"] - mine["mean"]).to_numpy()
    spread = target.spread(mine["volatility"].to_numpy())
    offsets = conformal_offsets(residuals, spread, QUANTILES)
    named = dict(zip(QUANTILE_COLUMNS, map(float, offsets), strict=True))
    return Predictions(frame, named)


def _with_intervals(
    panel: PanelArrays, target: TargetSpec, means: pl.DataFrame, network: str
) -> pl.DataFrame:
    spread = target.spread(panel.volatility)
    calibrate = means.filter(pl.col("span") == "calibrate")
    rows = calibrate["row"].to_numpy()
    residuals = panel.target[rows] - calibrate["mean"].to_numpy()
    offsets = conformal_offsets(residuals, spread[rows], QUANTILES)
    test = means.filter(pl.col("span") == "test")
    bands = apply(test["mean"].to_numpy(), spread[test["row"].to_numpy()], offsets)
    return test.select(
        pl.lit(network).alias("model"),
        pl.lit("network").alias("role"),
        "fold",
        "row",
        "mean",
        *(pl.Series(q, bands[:, i]) for i, q in enumerate(QUANTILE_COLUMNS)),
    )


def _with_outcomes(panel: PanelArrays, frame: pl.DataFrame) -> pl.DataFrame:
    rows = frame["row"].to_numpy()
    symbols = np.asarray(panel.symbols, dtype=object)[panel.symbol[rows]]
    return frame.with_columns(
        pl.Series("symbol", symbols, dtype=pl.String),
        pl.Series("date", panel.dates[rows]).cast(pl.Date),
        pl.Series("target", panel.target[rows]),
        pl.Series("label_end", panel.label_end[rows]).cast(pl.Date),
        pl.Series("volatility", panel.volatility[rows]),
    ).drop("row")
