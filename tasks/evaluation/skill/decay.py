"""How long a forecast is worth something: its IC with returns over other horizons."""

import numpy as np
import polars as pl

from tasks.evaluation.aligned import Scored, to_matrix
from tasks.evaluation.metrics import (
    FloatArray,
    IcKind,
    ic_per_date,
    mean_over_dates,
    ts_ic_over_dates,
)
from tasks.evaluation.significance import dependence_length, resample_dates, t_interval
from tasks.evaluation.spec import EvaluationSpec

# Sessions; the target's own horizon stands among them.
HORIZONS = (1, 2, 3, 5, 10, 21)


def realised(opens: FloatArray, horizon: int) -> FloatArray:
    """Returns the log return from the open of t+1 to that of t+1+horizon [D, S].

    NaN where there is no bar at either end, or the sessions end before.

    Args:
        opens: logarithms of the opens [D, S].
        horizon: in sessions.
    """
    after = np.full(opens.shape, np.nan)
    after[: -horizon - 1] = opens[horizon + 1 :] - opens[1:-horizon]
    return after


def decay_rows(
    score: FloatArray, scored: Scored, panel: pl.DataFrame, horizon: int, spec: EvaluationSpec
) -> list[dict[str, object]]:
    """Returns by horizon the IC (or ts_ic) of a model's score [D, S] with the returns over it.

    The blocks of each bootstrap are as long as its horizon asks for. A horizon over which fewer
    than twice as many dates have a return is left out.
    """
    rows = []
    # Short horizons ask for equal blocks.
    drawn: dict[int, FloatArray] = {}
    dates = scored.dates.len()
    sessions = panel["date"].unique().sort()
    bars = panel.filter(pl.col("symbol").is_in(scored.symbols))
    opens = np.log(to_matrix(bars, "open", sessions, scored.symbols))
    mine = sessions.search_sorted(scored.dates).to_numpy()
    for ahead in sorted({*HORIZONS, horizon}):
        if sessions.len() <= ahead + 1:
            continue
        returns = realised(opens, ahead)[mine]
        known = int(np.isfinite(returns).any(axis=1).sum())
        if known < 2 * ahead + 1:
            continue
        block = dependence_length(dates, ahead)
        if block not in drawn:
            drawn[block] = resample_dates(dates, ahead, spec.bootstrap_samples, spec.seed)
        draws = _draws(score, returns, scored.ic_kind, scored.min_names, drawn[block])
        ic = t_interval(draws, block / known, spec.confidence)
        rows.append({"horizon": ahead, "dates": known, "ic": ic})
    return rows


def _draws(
    score: FloatArray, returns: FloatArray, kind: IcKind, min_names: int, weights: FloatArray
) -> FloatArray:
    if kind == "ts_ic":
        return ts_ic_over_dates(score, returns, weights)
    thin = (np.isfinite(score) & np.isfinite(returns)).sum(axis=1) < min_names
    return mean_over_dates(np.where(thin, np.nan, ic_per_date(score, returns)), weights)
