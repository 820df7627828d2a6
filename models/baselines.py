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
    features: NDArray  # [n, F], the scaled features of the last bar


Predictor = Callable[[BaselineRows], Floats]


def _zero(rows: BaselineRows, targets: Floats, alpha: float) -> Predictor:
    """Always 0: the return of a price that is a martingale."""
    return lambda asked: np.zeros(len(asked.symbols))


def _historical_mean(rows: BaselineRows, targets: Floats, alpha: float) -> Predictor:
    """A symbol's own mean target; the mean over all rows for a symbol not met before."""
    symbols, codes = np.unique(rows.symbols, return_inverse=True)
    means = np.bincount(codes, weights=targets) / np.bincount(codes)
    pooled = targets.mean()

    def predict(asked: BaselineRows) -> Floats:
        places = np.searchsorted(symbols, asked.symbols).clip(max=len(symbols) - 1)
        return np.where(symbols[places] == asked.symbols, means[places], pooled)

    return predict


def _momentum(rows: BaselineRows, targets: Floats, alpha: float) -> Predictor:
    """b × momentum, b by least squares without intercept over the pooled rows; NaN counts as 0."""
    seen = np.nan_to_num(rows.momentum, nan=0.0)
    square = seen @ seen
    slope = seen @ targets / square if square > 0 else 0.0
    return lambda asked: slope * np.nan_to_num(asked.momentum, nan=0.0)


def _ridge(rows: BaselineRows, targets: Floats, alpha: float) -> Predictor:
    """Ridge regression with an intercept: least sum of squared errors + alpha × squared weights."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=alpha, solver="cholesky").fit(_finite(rows), targets)
    return lambda asked: model.predict(_finite(asked)) if len(asked.symbols) else np.empty(0)


BASELINES: dict[str, Callable[[BaselineRows, Floats, float], Predictor]] = {
    "zero": _zero,
    "historical_mean": _historical_mean,
    "momentum": _momentum,
    "ridge": _ridge,
}


def fit_baseline(name: str, rows: BaselineRows, targets: Floats, alpha: float) -> Predictor:
    """Returns a function from rows to forecasts [n], in the unit of `targets`.

    Args:
        name: one of BASELINES.
        rows: the fit rows.
        targets: of the same rows [n].
        alpha: ridge's penalty; the others have no use for it.
    """
    if name not in BASELINES:
        raise UsageError(
            f"baseline={name!r} is unknown.{near(name, BASELINES)} "
            f"Use one of {', '.join(BASELINES)}."
        )
    if not len(targets) or not np.isfinite(targets).all():
        raise ModelError(
            f"baseline {name} got {len(targets)} fit rows, "
            f"{np.count_nonzero(~np.isfinite(targets))} of them without a finite target; "
            "pass one or more rows, each with a matured target."
        )
    return BASELINES[name](rows, targets, alpha)


def _finite(rows: BaselineRows) -> Floats:
    features = np.asarray(rows.features, dtype=np.float64)
    broken = np.count_nonzero(~np.isfinite(features).all(axis=1))
    if broken:
        raise ModelError(
            f"{broken} of {len(features)} rows have a feature that is NaN or infinite; "
            "leave them out or impute the features."
        )
    return features
