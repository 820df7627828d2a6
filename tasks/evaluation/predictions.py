"""Out-of-sample forecasts of all folds as one frame, and the intervals made from residuals.

1. A network's score, mean and quantiles are the means of those of its seeds.
2. Intervals lie around the mean, or around the head's own quantiles; a head with neither, whose
   score only orders, has none. A residual is divided by the spread that the target's unit has at
   the cutoff (of log returns the volatility known there).
3. A fold's intervals begin with the residuals of its *calibrate* span and roll on over its *test*
   span: a date takes the newest sessions whose truth is known by its close.
4. The published bundle takes its intervals from the pooled residuals of all *test* spans.

A further horizon's forecasts are assembled by themselves, with that horizon's target in the panel.
With several, a row's truths count as known, at each of them, once the longest label is.

All this is in the target's own unit; what is published may be in another (TargetSpec.published).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from models.intervals import Floats, apply, conformal_offsets, rolling_offsets
from tasks.lake.panel import PanelArrays
from tasks.lake.tables import QUANTILE_COLUMNS, QUANTILES
from tasks.lake.target_spec import TargetSpec

_NUMBERS = ("score", "mean", *QUANTILE_COLUMNS)
_COLUMNS = ("model", "role", "fold", "row", *_NUMBERS)


@dataclass(frozen=True)
class Predictions:
    """The predictions frame, and the offsets of the published intervals by level, if any."""

    frame: pl.DataFrame
    offsets: dict[str, float]


def assemble(
    panel: PanelArrays,
    target: TargetSpec,
    network: str,
    fits: list[tuple[int, pl.DataFrame]],
    baselines: list[tuple[int, pl.DataFrame]],
    head: str = "mean",
    sessions: int | None = None,
) -> Predictions:
    """Joins forecasts with what came true.

    Args:
        panel: The panel the row numbers count in.
        target: What the panel's rows are labelled with.
        network: Name of the network in the frame.
        fits: For every fold and seed, the fold's number and a frame span, row, score, mean,
            q05 … q95; null where the head has none.
        baselines: For every fold, its number and a frame model, span, row, mean.
        head: Kind of the network's head.
        sessions: Newest sessions whose residuals make a test date's intervals; None keeps those of
            the calibrate span.

    Returns:
        A frame model, role, fold, score, mean, q05 … q95 (mean and quantiles null where a model
        has none), symbol, date, target, label_end, volatility.
    """
    found = _over_seeds(fits).with_columns(
        mean="score" if target.has_mean(head) else pl.lit(None, pl.Float64)
    )
    tested = found.filter(pl.col("span") == "test")
    has_centre = target.has_mean(head) or head == "quantiles"
    pieces = [_baseline_piece(number, frame) for number, frame in baselines]
    for number in found["fold"].unique().sort():
        mine = pl.col("fold") == number
        rows = tested.filter(mine)
        if has_centre:
            rows = _with_intervals(panel, target, found.filter(mine), rows, sessions)
        names = {"model": pl.lit(network), "role": pl.lit("network")}
        pieces.append(rows.with_columns(**names).select(_COLUMNS))
    frame = _with_outcomes(panel, pl.concat(pieces)).sort("model", "symbol", "date")
    if not has_centre:
        return Predictions(frame, {})
    known = _with_truth(panel, tested)
    spread = target.spread(panel.volatility[known["row"].to_numpy()])
    offsets = conformal_offsets(_residuals(panel, known), spread, QUANTILES)
    return Predictions(frame, dict(zip(QUANTILE_COLUMNS, map(float, offsets), strict=True)))


def _over_seeds(fits: list[tuple[int, pl.DataFrame]]) -> pl.DataFrame:
    """Returns fold, span, row and the means over the seeds."""
    numbered = [frame.with_columns(fold=pl.lit(fold, pl.Int64)) for fold, frame in fits]
    return (
        pl.concat(numbered)
        .group_by("fold", "span", "row")
        .agg(pl.col(_NUMBERS).mean())
        .sort("fold", "span", "row")
    )


def _baseline_piece(fold: int, frame: pl.DataFrame) -> pl.DataFrame:
    blank = {q: pl.lit(None, pl.Float64) for q in QUANTILE_COLUMNS}
    names = {"role": pl.lit("baseline"), "fold": pl.lit(fold, pl.Int64)}
    tested = frame.filter(pl.col("span") == "test")
    return tested.with_columns(score="mean", **names, **blank).select(_COLUMNS)


def _with_intervals(
    panel: PanelArrays,
    target: TargetSpec,
    fold: pl.DataFrame,
    tested: pl.DataFrame,
    sessions: int | None,
) -> pl.DataFrame:
    """Returns the test rows with their quantiles; `fold` holds those of calibrate beside them."""
    spread = target.spread(panel.volatility)
    rows = tested["row"].to_numpy()
    calibrate = _with_truth(panel, fold.filter(pl.col("span") == "calibrate"))
    if sessions is None:
        seen = calibrate["row"].to_numpy()
        offsets = conformal_offsets(_residuals(panel, calibrate), spread[seen], QUANTILES)
    else:
        past = pl.concat([calibrate, _with_truth(panel, tested)])
        seen = past["row"].to_numpy()
        asked, place = np.unique(panel.dates[rows], return_inverse=True)
        offsets = rolling_offsets(
            _residuals(panel, past),
            spread[seen],
            panel.dates[seen],
            panel.label_end[seen],
            asked,
            QUANTILES,
            sessions,
        )[place]
    bands = apply(_centre(tested), spread[rows], offsets, target.limits)
    return tested.with_columns(pl.Series(q, bands[:, i]) for i, q in enumerate(QUANTILE_COLUMNS))


def _with_truth(panel: PanelArrays, frame: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows that have a target; at a further horizon some may lack one for ever."""
    return frame.filter(pl.Series(np.isfinite(panel.target[frame["row"].to_numpy()])))


def _centre(frame: pl.DataFrame) -> Floats:
    """Returns what intervals lie around: the means [n], or the head's own quantiles [n, Q]."""
    if frame["mean"].null_count() == 0:
        return frame["mean"].to_numpy()
    return frame.select(QUANTILE_COLUMNS).to_numpy()


def _residuals(panel: PanelArrays, frame: pl.DataFrame) -> Floats:
    """Returns target minus centre, [n] or [n, Q]."""
    centre, truth = _centre(frame), panel.target[frame["row"].to_numpy()]
    return (truth - centre.T).T


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
