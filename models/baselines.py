"""The null models beside every network: each is fitted on the fit rows and predicts from a row.

What a baseline predicts from holds no target, so it cannot see one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError, UsageError, near

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BaselineRows:
    """What baselines see of n rows, all known at the row's cutoff."""

    symbols: NDArray  # [n], names or codes
    momentum: Floats  # [n], log return of the last year without its last month; NaN in warm-up
    reversal: Floats  # [n], log return of the last 5 bars; NaN in warm-up
    features: NDArray  # [n, F], the scaled features of the last bar


@dataclass(frozen=True)
class BaselineSettings:
    """How to fit; the defaults live in the training stage's configuration."""

    ridge_alpha: float  # penalty on the squared weights, in rows of unit variance
    boosting_rounds: int  # trees, one after another
    boosting_learning_rate: float  # share of a tree that is added
    boosting_leaves: int  # most leaves of a tree
    boosting_leaf_rows: int  # fewest rows of a leaf


Predictor = Callable[[BaselineRows], Floats]
Fit = Callable[[BaselineRows, Floats, BaselineSettings], Predictor]


def _zero(rows: BaselineRows, targets: Floats, settings: BaselineSettings) -> Predictor:
    """Always 0: the return of a price that is a martingale."""
    return lambda asked: np.zeros(len(asked.symbols))


def _historical_mean(rows: BaselineRows, targets: Floats, settings: BaselineSettings) -> Predictor:
    """A symbol's own mean target; the mean over all rows for a symbol not met before."""
    symbols, codes = np.unique(rows.symbols, return_inverse=True)
    means = np.bincount(codes, weights=targets) / np.bincount(codes)
    pooled = targets.mean()

    def predict(asked: BaselineRows) -> Floats:
        places = np.searchsorted(symbols, asked.symbols).clip(max=len(symbols) - 1)
        return np.where(symbols[places] == asked.symbols, means[places], pooled)

    return predict


def _momentum(rows: BaselineRows, targets: Floats, settings: BaselineSettings) -> Predictor:
    """b × the last year's return without its last month.

    Source: Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers
    """
    slope = _slope(rows.momentum, targets)
    return lambda asked: slope * _known(asked.momentum)


def _reversal(rows: BaselineRows, targets: Floats, settings: BaselineSettings) -> Predictor:
    """b × the last 5 bars' return; below 0 where a week's losers win, as the source found.

    Source: Lehmann (1990), Fads, Martingales, and Market Efficiency
    """
    slope = _slope(rows.reversal, targets)
    return lambda asked: slope * _known(asked.reversal)


def _ridge(rows: BaselineRows, targets: Floats, settings: BaselineSettings) -> Predictor:
    """Ridge regression with an intercept: least sum of squared errors + alpha × squared weights."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=settings.ridge_alpha, solver="cholesky").fit(_finite(rows), targets)
    return lambda asked: model.predict(_finite(asked)) if len(asked.symbols) else np.empty(0)


def _gradient_boosting(
    rows: BaselineRows, targets: Floats, settings: BaselineSettings
) -> Predictor:
    """Trees on binned features, each fitted to what the earlier ones leave of the squared error.

    Nothing is drawn, except, beyond 200,000 rows and with a fixed seed, which rows make the bins.

    Source: Friedman (2001), Greedy Function Approximation; bins as in Ke et al. (2017), LightGBM
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingRegressor(
        max_iter=settings.boosting_rounds,
        learning_rate=settings.boosting_learning_rate,
        max_leaf_nodes=settings.boosting_leaves,
        min_samples_leaf=settings.boosting_leaf_rows,
        early_stopping=False,
        random_state=0,
    )
    # The bits would be the same on more threads, but where others want the cores too, these spend
    # their time waiting for each other after every node: 3 s in place of 0.2 s on 10,000 rows.
    with threadpool_limits(1, user_api="openmp"):
        model.fit(_finite(rows), targets)

    def predict(asked: BaselineRows) -> Floats:
        if not len(asked.symbols):
            return np.empty(0)
        with threadpool_limits(1, user_api="openmp"):
            return model.predict(_finite(asked))

    return predict


BASELINES: dict[str, Fit] = {
    "zero": _zero,
    "historical_mean": _historical_mean,
    "momentum": _momentum,
    "reversal": _reversal,
    "ridge": _ridge,
    "gradient_boosting": _gradient_boosting,
}


def fit_baseline(
    name: str, rows: BaselineRows, targets: Floats, settings: BaselineSettings
) -> Predictor:
    """Returns a function from rows to forecasts [n], in the unit of `targets`.

    Args:
        name: one of BASELINES.
        rows: the fit rows.
        targets: of the same rows [n], of one horizon.
        settings: see BaselineSettings; zero, the mean and the slopes have no use for them.

    Raises:
        UsageError: no baseline has this name.
        ModelError: no row, a target that is not finite, or targets of several horizons.
    """
    if name not in BASELINES:
        raise UsageError(
            f"baseline={name!r} is unknown.{near(name, BASELINES)} "
            f"Use one of {', '.join(BASELINES)}."
        )
    if targets.shape != rows.symbols.shape:
        raise ModelError(
            f"baseline {name} got targets of shape {targets.shape} for {len(rows.symbols)} rows; "
            "pass one target a row, and fit each horizon by itself."
        )
    if not len(targets) or not np.isfinite(targets).all():
        raise ModelError(
            f"baseline {name} got {len(targets)} fit rows, "
            f"{np.count_nonzero(~np.isfinite(targets))} of them without a finite target; "
            "pass one or more rows, each with a matured target."
        )
    return BASELINES[name](rows, targets, settings)


def _slope(seen: Floats, targets: Floats) -> float:
    """Returns b of targets = b × seen by least squares over the pooled rows, without intercept."""
    known = _known(seen)
    square = known @ known
    return float(known @ targets / square) if square > 0 else 0.0


def _known(seen: Floats) -> Floats:
    """Returns `seen` with 0 in its warm-up."""
    return np.nan_to_num(seen, nan=0.0)


def _finite(rows: BaselineRows) -> Floats:
    features = np.asarray(rows.features, dtype=np.float64)
    broken = np.count_nonzero(~np.isfinite(features).all(axis=1))
    if broken:
        raise ModelError(
            f"{broken} of {len(features)} rows have a feature that is NaN or infinite; "
            "leave them out or impute the features."
        )
    return features
