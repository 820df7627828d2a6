"""Lays predictions and bars out as matrices of dates by symbols, and refuses what does not fit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import DataError, UsageError, near
from tasks.evaluation.liquidity import VOLATILITY_SESSIONS, with_liquidity
from tasks.evaluation.metrics import FloatArray, IcKind
from tasks.evaluation.portfolio import Market
from tasks.evaluation.sectors import sector_grid
from tasks.lake.tables import QUANTILE_COLUMNS

_NUMBERS = ("score", "mean", *QUANTILE_COLUMNS)
REQUIRED = ("model", "role", "fold", "symbol", "date", *_NUMBERS, "target")


@dataclass(frozen=True)
class ModelForecasts:
    """One model's forecasts, NaN where there is none.

    Attributes:
        name: the model's.
        role: network or baseline.
        score: what orders the symbols and is traded [D, S].
        mean: in the target's unit [D, S], or None where the head has none.
        quantiles: [Q, D, S], or None without any.
        signed: whether the sign of the score forecasts that of the target.
    """

    name: str
    role: str
    score: FloatArray
    mean: FloatArray | None
    quantiles: FloatArray | None
    signed: bool = True


@dataclass(frozen=True)
class Scored:
    """Forecasts whose truth is known, all models on the same rows [D, S].

    `ic_kind` is "ic" if at least half the dates have `min_names` names, otherwise "ts_ic";
    `folds` holds the fold of each date [D].
    """

    dates: pl.Series
    symbols: list[str]
    folds: npt.NDArray[np.int64]
    target: FloatArray
    models: tuple[ModelForecasts, ...]
    ic_kind: IcKind
    min_names: int


def check_predictions(predictions: pl.DataFrame, network: str) -> None:
    """Refuses predictions that cannot be compared.

    Raises:
        UsageError: a column is missing, or no model is called `network`.
        DataError: a row is there twice, a score or a mean is not finite, or models cover
            different rows.
    """
    missing = [name for name in REQUIRED if name not in predictions.columns]
    if missing:
        raise UsageError(
            f"The predictions lack the columns {missing}; they have {predictions.columns}. "
            "Hand over the predictions of the training stage unchanged."
        )
    models = predictions["model"].unique().sort().to_list()
    if network not in models:
        raise UsageError(
            f"No predictions of a model '{network}'; there are those of {models}."
            f"{near(network, models)} Name one of them."
        )
    sound = pl.col("score").is_finite().fill_null(False)
    sound &= pl.col("mean").is_finite().fill_null(True)
    bad = predictions.filter(~sound)
    if bad.height:
        first = bad.row(0, named=True)
        raise DataError(
            f"{bad.height} forecasts are not finite, first {first['model']} {first['symbol']} "
            f"{first['date']}: score {first['score']}, mean {first['mean']}; look for the fold "
            "whose training failed."
        )
    covers = predictions.group_by("symbol", "date").agg(
        pl.len(), pl.col("model").n_unique().alias("models"), pl.col("target").n_unique()
    )
    odd = covers.filter(
        (pl.col("len") != len(models)) | (pl.col("models") != len(models)) | (pl.col("target") != 1)
    ).sort("symbol", "date")
    if odd.height:
        first = odd.row(0, named=True)
        raise DataError(
            f"{odd.height} (symbol, date) pairs are not forecast exactly once, with one target, by "
            f"each of the {len(models)} models; first {first['symbol']} {first['date']} with "
            f"{first['len']} rows. Evaluate all models on the same rows."
        )


def score_grid(
    predictions: pl.DataFrame, horizon: int, min_names: int, head: str = "mean"
) -> Scored:
    """Returns the rows with a known target as matrices; `head` is the kind of the network's.

    Raises:
        DataError: too few dates for the horizon, or a date in two folds.
    """
    known = predictions.filter(pl.col("target").is_finite())
    by_date = known.group_by("date").agg(pl.col("fold").min(), pl.col("fold").max().alias("last"))
    by_date = by_date.sort("date")
    if by_date.height < 2 * horizon + 1:
        raise DataError(
            f"{by_date.height} out-of-sample dates are too few to judge a horizon of {horizon}; "
            f"test on at least {2 * horizon + 1}."
        )
    torn = by_date.filter(pl.col("fold") != pl.col("last"))
    if torn.height:
        raise DataError(
            f"{torn.height} dates stand in more than one fold, first {torn['date'][0]}; "
            "let the folds' test spans follow each other."
        )
    dates, symbols = by_date["date"], known["symbol"].unique().sort().to_list()
    models = []
    # The network comes first, then the baselines as they stand.
    ordered = known.sort(pl.col("role") != "network", maintain_order=True)
    for (name,), rows in ordered.group_by("model", maintain_order=True):
        score, mean, *bands = (to_matrix(rows, c, dates, symbols) for c in _NUMBERS)
        role, quantiles = rows["role"][0], np.stack(bands)
        models.append(
            ModelForecasts(
                str(name),
                role,
                score,
                mean if np.isfinite(mean).any() else None,
                quantiles if np.isfinite(quantiles).any() else None,
                # A rank head orders; that a score is above 0 means nothing.
                signed=role != "network" or head != "rank",
            )
        )
    target = to_matrix(rows, "target", dates, symbols)
    kind: IcKind = "ic" if np.median(np.isfinite(target).sum(axis=1)) >= min_names else "ts_ic"
    folds = by_date["fold"].to_numpy().astype(np.int64)
    return Scored(dates, symbols, folds, target, tuple(models), kind, min_names)


def to_matrix(frame: pl.DataFrame, column: str, dates: pl.Series, symbols: list[str]) -> FloatArray:
    """Returns `column` as a matrix [D, S]; NaN where the frame has no row or a null."""
    row = np.searchsorted(dates.to_physical().to_numpy(), frame["date"].to_physical().to_numpy())
    place = frame["symbol"].cast(pl.Enum(symbols)).to_physical().to_numpy()
    matrix = np.full((dates.len(), len(symbols)), np.nan)
    matrix[row, place] = frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return matrix


def traded_market(
    panel: pl.DataFrame,
    forecasts: pl.DataFrame,
    horizon: int,
    spells: pl.DataFrame | None = None,
) -> tuple[FloatArray, Market]:
    """Returns the network's signal [D, S] and the bars it is traded on.

    The sessions run from the first forecast to `horizon` sessions after the last. There are
    forecasts on members only, so a symbol that leaves the universe is sold at the next rebalance.

    Args:
        panel: adjusted bars with `dividend_factor`; those before the first forecast tell volume
            and volatility.
        forecasts: symbol, date, score.
        horizon: bars ahead.
        spells: the membership that names the sectors; None where nothing does.

    Raises:
        DataError: a forecast stands on a date or symbol without a bar.
    """
    forecast_dates = forecasts["date"].unique().sort()
    strays = forecasts.join(panel, on=["symbol", "date"], how="anti").sort("symbol", "date")
    if strays.height:
        raise DataError(
            f"{strays.height} forecasts have no bar in the panel, first {strays['symbol'][0]} "
            f"{strays['date'][0]}; evaluate on the panel the forecasts were made from."
        )
    sessions = panel["date"].unique().sort()
    first, last = (sessions.search_sorted(forecast_dates[at]) for at in (0, -1))
    dates = sessions[first : last + horizon + 1]
    earlier = sessions[max(first - VOLATILITY_SESSIONS, 0) : first]
    symbols = forecasts["symbol"].unique().sort().to_list()
    known = with_liquidity(panel.filter(pl.col("symbol").is_in(symbols)))
    before, bars = (known.filter(pl.col("date").is_in(span.implode())) for span in (earlier, dates))
    opens, closes, volume, dollars, volatility = (
        to_matrix(bars, column, dates, symbols)
        for column in ("open", "close", "volume", "dollar_volume", "volatility")
    )
    sectors = None if spells is None else sector_grid(spells, dates, symbols)
    market = Market(
        dates.to_list(),
        opens,
        closes,
        np.isfinite(opens) & (volume > 0.0),
        dollar_volume=dollars,
        volatility=volatility,
        sector=None if sectors is None else sectors.codes,
        sector_names=() if sectors is None else sectors.names,
        earlier_close=to_matrix(before, "close", earlier, symbols),
    )
    return to_matrix(forecasts, "score", dates, symbols), market
