"""How far a row of features lies from everything a network was fitted on.

The distance is Mahalanobis' (1936) under the covariance of probabilistic principal components
(Tipping and Bishop 1999): the leading axes of the fit rows with their own variances, and one
variance for all directions beside them. That regularises the covariance, so that features which
almost repeat one another do not blow it up, and it is compact: some 30 axes stand for hundreds of
features. The threshold is the 99.9 % quantile of the fit rows' own distances: no normal
distribution is assumed. A row beyond it looks unlike all but one in a thousand of the rows that
the weights are made of, and the forecast for it is an extrapolation. The flag sees the window's
last bar only: neither an odd order of ordinary bars nor a changed link between features and target.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Rows = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]

AXES = 32
QUANTILE = 0.999
# Of the scaled features' variance, about 1: below it a direction is rounding, not information.
LEAST_VARIANCE = 1e-3
_DIGITS = 6
_BLOCK = 65_536


@dataclass(frozen=True)
class Novelty:
    """Statistics of the fit rows, ready for JSON, in six significant digits.

    Attributes:
        mean: of the scaled features [F].
        axes: the leading principal axes [K][F], unit vectors.
        variances: along them [K].
        rest: variance along every direction beside them.
        threshold: 99.9 % quantile of the fit rows' distances.
    """

    mean: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    rest: float
    threshold: float

    def distances(self, scaled: Rows) -> Floats:
        """Returns how far rows of scaled features [n, F] lie, in multiples of the threshold [n].

        Above 1 a row is novel.
        """
        if scaled.ndim != 2 or scaled.shape[1] != len(self.mean):
            raise ModelError(
                f"novelty was fitted on {len(self.mean)} features, but got rows of shape "
                f"{scaled.shape}; pass the features of the bundle, scaled by its scaler."
            )
        return _distances(self, scaled) / self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Returns the statistics as they are stored in a bundle."""
        lists = {"mean": list(self.mean), "axes": [list(axis) for axis in self.axes]}
        return {**asdict(self), **lists, "variances": list(self.variances)}


def fit_novelty(scaled: Rows) -> Novelty:
    """Returns the statistics of the fit rows.

    Args:
        scaled: scaled features of the last bars of the fit windows [n, F], finite.

    Raises:
        ModelError: there is no row, or a feature is not finite.
    """
    if scaled.ndim != 2 or 0 in scaled.shape or not np.isfinite(scaled).all():
        raise ModelError(
            f"novelty cannot be fitted on features of shape {scaled.shape}, or some are NaN or "
            "infinite; pass the last bars of complete fit windows."
        )
    n, width = scaled.shape
    mean = scaled.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for start in range(0, n, _BLOCK):
        centred = scaled[start : start + _BLOCK].astype(np.float64) - mean
        covariance += centred.T @ centred / n
    variances, axes = np.linalg.eigh(covariance)
    kept = min(AXES, width)
    beside = variances[: width - kept]
    rest = max(float(beside.mean()) if len(beside) else 0.0, LEAST_VARIANCE)
    # Largest first; an axis may not vary less than what lies beside the axes.
    leading = np.maximum(variances[::-1][:kept], rest)
    made = Novelty(
        tuple(_short(mean)),
        tuple(tuple(_short(axis)) for axis in axes.T[::-1][:kept]),
        tuple(_short(leading)),
        _short(np.array([rest]))[0],
        threshold=1.0,
    )
    threshold = float(np.quantile(_distances(made, scaled), QUANTILE, method="higher"))
    # Rows that are all alike have no distances; then any other row is novel.
    return replace(made, threshold=max(threshold, LEAST_VARIANCE))


def _distances(novelty: Novelty, scaled: Rows) -> Floats:
    """Returns plain Mahalanobis distances [n]."""
    axes, variances = np.array(novelty.axes), np.array(novelty.variances)
    found = np.empty(len(scaled))
    for start in range(0, len(scaled), _BLOCK):
        centred = scaled[start : start + _BLOCK].astype(np.float64) - np.array(novelty.mean)
        # A matrix product's last bits hang on its shape: a row would move with its neighbours.
        along = np.einsum("nf,kf->nk", centred, axes)
        beside = centred - np.einsum("nk,kf->nf", along, axes)
        squared = (along**2 / variances).sum(axis=1) + (beside**2).sum(axis=1) / novelty.rest
        found[start : start + _BLOCK] = np.sqrt(squared)
    return found


def _short(values: Floats) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]
