"""Standardisation fitted on *fit* rows only."""

from dataclasses import asdict, dataclass

import numpy as np

from models.errors import DataError

# Beyond this many standard deviations a value says "extreme" and nothing more.
CLIP = 8.0


@dataclass(frozen=True)
class Scaler:
    """Means and standard deviations of the features; standard deviations of the targets.

    `target_scale` is that of the main horizon, `also_scales` those of the further ones.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    target_scale: float
    also_scales: tuple[float, ...] = ()

    @property
    def target_scales(self) -> np.ndarray:
        """Those of all horizons, the main one first [H]."""
        return np.array([self.target_scale, *self.also_scales])

    def transform(self, features: np.ndarray) -> np.ndarray:
        """Returns (x − mean) / scale as float32, clipped to ±8; masked values become 0.

        A masked value never lies inside a window that is used; 0 keeps the gather free of NaN.
        """
        mean, scale = (np.asarray(s, dtype=np.float32) for s in (self.mean, self.scale))
        scaled = (features - mean) / scale
        return np.nan_to_num(np.clip(scaled, -CLIP, CLIP), nan=0.0).astype(np.float32)

    def to_dict(self) -> dict[str, object]:
        """Returns the statistics as they are stored in a bundle."""
        return asdict(self)


def fit_scaler(features: np.ndarray, target: np.ndarray, rows: np.ndarray, lookback: int) -> Scaler:
    """Fits on every row that a window of `rows` covers, and the target on `rows` alone.

    Args:
        features: [N, F], NaN where masked.
        target: [N], or [N, H] of several horizons, in the unit of the target. A further horizon
            may have NaN: it is scaled by the rows that it has.
        rows: Ends of the fit windows.
        lookback: Length of a window in bars.

    Raises:
        DataError: There is no row, or a target does not vary.
    """
    if len(rows) == 0:
        raise DataError(
            "The fit span holds no complete labelled window; use a longer history, fewer folds "
            "or a shorter lookback."
        )
    # A difference array marks the rows that any window covers without listing the windows.
    steps = np.zeros(len(features) + 1, dtype=np.int64)
    np.add.at(steps, rows - lookback + 1, 1)
    np.add.at(steps, rows + 1, -1)
    covered = np.cumsum(steps[:-1]) > 0
    seen = features[covered].astype(np.float64)
    scale = seen.std(axis=0)
    # A feature that never varies on the fit rows tells nothing: it becomes 0, not infinity.
    flat = scale <= 1e-12 * np.maximum(1.0, np.abs(seen.mean(axis=0)))
    main, *further = np.atleast_2d(target.T)
    target_scale = _deviation(main[rows], "target")
    also_scales = tuple(
        _deviation(own[rows][np.isfinite(own[rows])], f"target of further horizon {number}")
        for number, own in enumerate(further, start=1)
    )
    mean = seen.mean(axis=0)
    scale = np.where(flat, 1e30, scale)
    return Scaler(tuple(mean.tolist()), tuple(scale.tolist()), target_scale, also_scales)


def _deviation(values: np.ndarray, name: str) -> float:
    """Returns the standard deviation; a DataError where there is none."""
    deviation = float(values.std()) if len(values) else np.nan
    if not np.isfinite(deviation) or deviation < 1e-12:
        raise DataError(
            f"The {name} does not vary over the {len(values)} fit rows (standard deviation "
            f"{deviation:g}); check the bars of this span."
        )
    return deviation
