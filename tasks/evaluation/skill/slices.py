"""Skill by calendar year and by how much the market moves."""

import numpy as np
import polars as pl

from tasks.evaluation.aligned import Scored
from tasks.evaluation.metrics import FloatArray, ratio_over_dates
from tasks.evaluation.scores import DateScores, ic_interval
from tasks.evaluation.significance import interval

# A slice of fewer dates says nothing and is left out.
LEAST_DATES = 20
REGIMES = ("calm", "middle", "rough")
# Sessions of the volatility that tells regimes apart, and how many of them must be there.
VOLATILITY_SESSIONS, LEAST_SESSIONS = 20, 10


def market_volatility(panel: pl.DataFrame, dates: pl.Series) -> FloatArray:
    """Returns the volatility of the equally weighted universe at the close of each date [D].

    The standard deviation of its last 20 mean log returns from close to close, NaN before there
    are 10. Nothing after the date's close is seen.
    """
    by_date = (
        panel.sort("symbol", "date")
        .with_columns(moved=pl.col("close").log().diff().over("symbol"))
        .group_by("date")
        .agg(pl.col("moved").mean())
        .sort("date")
        .with_columns(pl.col("moved").rolling_std(VOLATILITY_SESSIONS, min_samples=LEAST_SESSIONS))
    )
    found = dates.to_frame("date").join(by_date, on="date", how="left", maintain_order="left")
    return found["moved"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def slices(dates: pl.Series, volatility: FloatArray) -> list[tuple[str, str, np.ndarray]]:
    """Returns kind, name and dates [D] of every slice: the years, then the thirds by volatility.

    The thirds are those of the whole span: they describe what happened, nobody could have traded
    by them.
    """
    years = dates.dt.year().to_numpy()
    found = [("year", str(year), years == year) for year in np.unique(years)]
    known = volatility[np.isfinite(volatility)]
    if known.size:
        borders = np.quantile(known, [1 / 3, 2 / 3])
        third = np.where(np.isfinite(volatility), np.searchsorted(borders, volatility), -1)
        found += [("volatility", name, third == n) for n, name in enumerate(REGIMES)]
    return [(kind, name, mine) for kind, name, mine in found if mine.sum() >= LEAST_DATES]


def slice_rows(
    scores: DateScores,
    scored: Scored,
    panel: pl.DataFrame,
    weights: FloatArray,
    horizon: int,
    confidence: float,
) -> list[dict[str, object]]:
    """Returns kind, name, dates, IC and error ratio of every slice.

    A resample of all dates counts for a slice by those of its dates that were drawn.
    """
    rows: list[dict[str, object]] = []
    for kind, name, mine in slices(scored.dates, market_volatility(panel, scored.dates)):
        drawn = weights * mine
        errors = ratio_over_dates(scores.squared_error, scores.squared_error_zero, drawn)
        rows.append(
            {
                "kind": kind,
                "name": name,
                "dates": int(mine.sum()),
                "ic": ic_interval(scores, scored, drawn, horizon, confidence),
                "mse_ratio": interval(errors, confidence),
            }
        )
    return rows
