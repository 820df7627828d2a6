"""Skill by calendar year, by how much the market moves, and by sector."""

from dataclasses import replace

import numpy as np
import polars as pl

from tasks.evaluation.aligned import Scored
from tasks.evaluation.metrics import FloatArray, mean_over_dates, ratio_over_dates
from tasks.evaluation.scores import DateScores, ic_interval, rank_ic_interval, score_dates
from tasks.evaluation.sectors import Sectors
from tasks.evaluation.significance import Interval, interval

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
    """Returns kind, name, dates and scores of every slice.

    A resample of all dates counts for a slice by those of its dates that were drawn.
    """
    return [
        {
            "kind": kind,
            "name": name,
            "dates": int(mine.sum()),
            **_figures(scores, scored, weights * mine, horizon, confidence),
        }
        for kind, name, mine in slices(scored.dates, market_volatility(panel, scored.dates))
    ]


def sector_slices(
    scores: DateScores,
    scored: Scored,
    sectors: Sectors | None,
    weights: FloatArray,
    horizon: int,
    confidence: float,
) -> list[dict[str, object]] | None:
    """Returns name, dates, forecasts, names and scores within every sector; None without sectors.

    `names` is the median of the dates. `lacks` says of what there is too little: of "dates" for
    any score, or of "names" for an IC, which takes on at least half the sector's dates as many as
    it does over all symbols.
    """
    if sectors is None:
        return None
    rows: list[dict[str, object]] = []
    for name, cells in sectors.groups():
        target = np.where(cells, scored.target, np.nan)
        count = np.isfinite(target).sum(axis=1)
        seen = count > 0
        if not seen.any():
            continue
        own = replace(scored, target=target)
        # Ranks are those within the sector.
        score = np.where(cells, scores.model.score, np.nan)
        model = replace(scores.model, score=score, quantiles=None)
        figures = _figures(score_dates(model, own), own, weights * seen, horizon, confidence)
        names = float(np.median(count[seen]))
        lacks = None
        if seen.sum() < LEAST_DATES:
            lacks, figures = "dates", dict.fromkeys(figures)
        elif scored.ic_kind == "ic" and names < scored.min_names:
            lacks, figures = "names", figures | {"ic": None, "rank_ic": None}
        rows.append(
            {
                "name": name,
                "dates": int(seen.sum()),
                "forecasts": int(count.sum()),
                "names": names,
                "lacks": lacks,
                **figures,
            }
        )
    return rows


def _figures(
    scores: DateScores, scored: Scored, weights: FloatArray, horizon: int, confidence: float
) -> dict[str, Interval | None]:
    errors = ratio_over_dates(scores.squared_error, scores.squared_error_zero, weights)
    return {
        "ic": ic_interval(scores, scored, weights, horizon, confidence),
        "rank_ic": rank_ic_interval(scores, scored, weights, horizon, confidence),
        "mse_ratio": interval(errors, confidence),
        "directional_accuracy": interval(mean_over_dates(scores.hits, weights), confidence),
    }
