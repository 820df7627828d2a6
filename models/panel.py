"""The feature panel on the device, and windows cut from it by the row they end on.

The panel lies on the device once; a window is only the number of its last row. `lookback` is the
number of rows in a window, its last row included. A window must not reach across the border of
two symbols: who makes the ends sees to that, since the panel knows no symbols.
"""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError

Ends = NDArray[np.int64]


class Panel:
    """Features [rows, F] and labels [rows], both float32, on one device.

    A label is NaN where there is none; no end of a fit may point there.
    """

    def __init__(self, values: NDArray, labels: NDArray, device: torch.device) -> None:
        if values.ndim != 2 or labels.shape != values.shape[:1]:
            raise ModelError(
                f"a panel needs values [rows, F] and labels [rows], but got {values.shape} "
                f"and {labels.shape}; pass one label a row, NaN where there is none."
            )
        # torch.tensor copies: arrays out of a frame are read-only and column by column.
        self.values = torch.tensor(np.ascontiguousarray(values, dtype=np.float32), device=device)
        self.labels = torch.tensor(np.ascontiguousarray(labels, dtype=np.float32), device=device)
        self.device = self.values.device

    @property
    def rows(self) -> int:
        """How many rows the panel has, of all symbols together."""
        return self.values.shape[0]


def gather(panel: Panel, ends: Tensor, lookback: int) -> Tensor:
    """Returns the windows [B, L, F] that end on the rows `ends` [B] (on the panel's device)."""
    features = panel.values.shape[1]
    # Row r of this view is the whole window that starts on row r; the view takes no memory.
    starts = panel.values.as_strided(
        (panel.rows - lookback + 1, lookback * features), (features, 1)
    )
    return starts.index_select(0, ends - (lookback - 1)).view(ends.numel(), lookback, features)


def check_ends(panel: Panel, ends: Ends, lookback: int) -> None:
    """Raises ModelError unless every window lies inside the panel."""
    if lookback < 1:
        raise ModelError(f"lookback={lookback} holds no bar; use 1 or more.")
    if lookback > panel.rows:
        raise ModelError(
            f"lookback={lookback} is longer than the panel ({panel.rows} rows); "
            "shorten the lookback or bring more bars."
        )
    if len(ends) and (ends.min() < lookback - 1 or ends.max() >= panel.rows):
        raise ModelError(
            f"windows end on rows {ends.min()} to {ends.max()}, but with lookback={lookback} a "
            f"panel of {panel.rows} rows has ends {lookback - 1} to {panel.rows - 1}; "
            "leave the others out."
        )


def check_finite(panel: Panel, ends: Ends, lookback: int, span: str) -> None:
    """Raises ModelError if the windows of `span` see a label or feature that is not finite."""
    labels = panel.labels.cpu().numpy()[ends]
    if not np.isfinite(labels).all():
        raise ModelError(
            f"{np.count_nonzero(~np.isfinite(labels))} of {len(ends)} {span} windows have no "
            "finite label; leave them out."
        )
    broken = (~torch.isfinite(panel.values)).any(dim=1).cpu().numpy()
    before = np.concatenate([[0], np.cumsum(broken)])
    touched = np.count_nonzero(before[ends + 1] > before[ends + 1 - lookback])
    if touched:
        raise ModelError(
            f"{touched} of {len(ends)} {span} windows see a feature that is NaN or infinite; "
            "leave them out or impute the features."
        )


def digest_windows(panel: Panel, ends: Ends, lookback: int) -> str:
    """Returns the SHA-256 of exactly what the windows and their labels show.

    Rows that no window sees do not count, nor does where the windows lie in the panel: with later
    rows added or replaced the digest stays.
    """
    edges = np.zeros(panel.rows + 1, dtype=np.int64)
    np.add.at(edges, ends - (lookback - 1), 1)
    np.add.at(edges, ends + 1, -1)
    seen = np.cumsum(edges)[:-1] > 0
    places = np.cumsum(seen)[ends]
    digest = hashlib.sha256(f"{lookback} {panel.values.shape[1]}".encode())
    for part in (panel.values.cpu().numpy()[seen], panel.labels.cpu().numpy()[ends], places):
        digest.update(part.tobytes())
    return digest.hexdigest()
