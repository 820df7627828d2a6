"""Exactly what enters a fit: the scaled panel, the rows to learn from and to stop by.

A fit and the digests of what it saw are made of the same value, so that the certificate judges what
was really fitted on.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from models.device import memory_for_panel
from models.panel import Ends, Panel, digest_windows
from models.scaler import Scaler
from models.weights import time_decay, uniqueness
from tasks.lake.artifacts import digest_text
from tasks.lake.covariates import Levels, levels_of, one_hot
from tasks.lake.panel import PanelArrays
from tasks.training.spec import TrainingSpec


@dataclass(frozen=True)
class FoldRows:
    """Row numbers of one fold by span, and the scaler fitted on its *fit* rows."""

    spans: dict[str, np.ndarray]
    scaler: Scaler

    @classmethod
    def read(cls, plan: pl.DataFrame, entry: dict[str, Any]) -> "FoldRows":
        """Reads one fold out of a windows artifact.

        Args:
            plan: Columns fold, span, row.
            entry: The fold's entry in the artifact's summary.
        """
        mine = plan.filter(pl.col("fold") == entry["fold"])
        spans = {
            name: mine.filter(pl.col("span") == name)["row"].to_numpy() for name in entry["spans"]
        }
        return cls(spans, Scaler(**entry["scaler"]))


@dataclass(frozen=True)
class FitInputs:
    """What a fit is given.

    Attributes:
        panel: scaled, with labels, weights, symbols and covariates.
        fit_ends: last rows of the windows to learn from.
        stop_ends: of those to stop by; None for a refit, which looks at no stop span.
        known: symbols of the fit rows, in the order of their codes 1, 2, …
        levels: words of each covariate on the fit rows, in the order of their places.
        scaler: fitted on the fit rows.
    """

    panel: Panel
    fit_ends: Ends
    stop_ends: Ends | None
    known: tuple[str, ...]
    levels: Levels
    scaler: Scaler

    def digests(self, lookback: int) -> dict[str, str]:
        """Returns a digest of each part: windows with labels, masks and weights, scaler, words.

        Rows that no window of a part sees do not count.
        """
        found = {
            "fit rows": self._of(self.fit_ends, lookback),
            "scaler statistics": digest_text(self.scaler.to_dict()),
            "known symbols": digest_text([self.known, self.levels]),
        }
        if self.stop_ends is not None:
            found["stop rows"] = self._of(self.stop_ends, lookback)
        return found

    def _of(self, ends: Ends, lookback: int) -> str:
        digest = hashlib.sha256(digest_windows(self.panel, ends, lookback).encode())
        if self.panel.dates is not None:
            digest.update(self.panel.dates.cpu().numpy()[ends].tobytes())
        return digest.hexdigest()


def fit_inputs(
    panel: PanelArrays,
    rows: FoldRows,
    training: TrainingSpec,
    covariates: Sequence[str],
    device: torch.device,
    refit: bool = False,
) -> FitInputs:
    """Returns what a fit on the rows of a fold, or of the refit, is given.

    Raises:
        DataError: A covariate is asked for that no fit row has a word of.
    """
    fit_rows = rows.spans["fit"]
    known = tuple(panel.symbols[code] for code in np.unique(panel.symbol[fit_rows]))
    levels = levels_of(panel, covariates, fit_rows)
    scaled = _panel(panel, rows, training, known, levels, device)
    stop = None if refit else rows.spans["stop"]
    return FitInputs(scaled, fit_rows, stop, known, levels, rows.scaler)


def _panel(
    panel: PanelArrays,
    rows: FoldRows,
    training: TrainingSpec,
    known: tuple[str, ...],
    levels: Levels,
    device: torch.device,
) -> Panel:
    """Returns the scaled panel on the device, its labels weighted as the user chose."""
    dates = np.unique(panel.dates, return_inverse=True)[1]
    return Panel(
        rows.scaler.transform(panel.features),
        (panel.labels / rows.scaler.target_scales).astype(np.float32),
        device,
        dates=dates,
        symbols=panel.codes(known),
        covariates=one_hot(panel, levels),
        weights=_weights(panel, rows.spans["fit"], training),
        names=panel.names,
        most_bytes=memory_for_panel(device),
    )


def _weights(panel: PanelArrays, ends: np.ndarray, training: TrainingSpec) -> np.ndarray | None:
    """Returns what each row's labels count, 1 on average over the fit rows; None if all alike.

    A row of several horizons is as unique as its longest label.
    """
    if training.half_life is None and not training.uniqueness:
        return None
    sessions = np.unique(panel.dates)
    first = np.searchsorted(sessions, panel.dates[ends])
    weights = np.ones(len(ends))
    if training.half_life is not None:
        weights *= time_decay(first, training.half_life)
    if training.uniqueness:
        last = np.searchsorted(sessions, panel.label_end[ends])
        # A return begins the session after its row.
        weights *= uniqueness(first + 1, last, panel.symbol[ends])
    every = np.ones(len(panel.dates))
    every[ends] = weights / weights.mean()
    return every
