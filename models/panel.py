"""The feature panel on the device, and windows cut from it by the row they end on.

The panel lies on the device once; a window is only the number of its last row. `lookback` is the
number of rows in a window, its last row included. A window must not reach across the border of
two symbols: who makes the ends sees to that.

A panel larger than the device's memory stays with the CPU (`resident` is False): the fit and the
prediction then carry it over in blocks of dates, and say so.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError

Ends = NDArray[np.int64]


class Panel:
    """Features [rows, F], labels [rows, H], and what else is known of a row, on one device.

    A label is NaN where there is none; no end of a fit may point at a row without any.

    Args:
        values: features [rows, F], kept as float32; a writable float32 array is not copied.
        labels: [rows], or [rows, H] for several horizons.
        device: where the arithmetic runs.
        dates: session numbers [rows], for what happens per date; None where nothing does.
        symbols: codes [rows], 1 … N, 0 for a symbol that was unknown when the network was fitted.
        covariates: numbers known of a row's symbol beside its bars [rows, S].
        weights: what a label counts in the loss [rows], 1 on average.
        names: of the features, for messages.
        most_bytes: of the device's memory that all this may take; None takes what is asked for.
    """

    def __init__(
        self,
        values: NDArray,
        labels: NDArray,
        device: torch.device,
        dates: NDArray | None = None,
        symbols: NDArray | None = None,
        covariates: NDArray | None = None,
        weights: NDArray | None = None,
        names: Sequence[str] = (),
        most_bytes: int | None = None,
    ) -> None:
        if values.ndim != 2 or labels.shape[:1] != values.shape[:1] or labels.ndim > 2:
            raise ModelError(
                f"a panel needs values [rows, F] and labels [rows] or [rows, H], but got "
                f"{values.shape} and {labels.shape}; pass one label a row, NaN where there is none."
            )
        self.device = device
        self.names = tuple(names) or tuple(f"feature {i}" for i in range(values.shape[1]))
        numbers = values.shape[1] + labels.reshape(len(labels), -1).shape[1]
        numbers += 0 if covariates is None else covariates.shape[1]
        numbers += weights is not None
        a_row = 4 * numbers + 8 * ((dates is not None) + (symbols is not None))
        self.resident = most_bytes is None or len(values) * a_row <= most_bytes
        self.most_rows = len(values) if self.resident else int(most_bytes or 0) // a_row
        home = device if self.resident else torch.device("cpu")
        self.values = _tensor(values, np.float32).to(home)
        self.labels = _tensor(labels.reshape(len(labels), -1), np.float32).to(home)
        self.dates = None if dates is None else _tensor(dates, np.int64).to(home)
        self.symbols = None if symbols is None else _tensor(symbols, np.int64).to(home)
        self.covariates = None if covariates is None else _tensor(covariates, np.float32).to(home)
        self.weights = None if weights is None else _tensor(weights, np.float32).to(home)

    @property
    def rows(self) -> int:
        """How many rows the panel has, of all symbols together."""
        return self.values.shape[0]

    def part(self, rows: Ends) -> "Panel":
        """Returns the panel of some rows, on the device."""
        here = object.__new__(Panel)
        here.device, here.names, here.resident = self.device, self.names, True
        here.most_rows = len(rows)
        chosen = torch.tensor(rows)
        for field in ("values", "labels", "dates", "symbols", "covariates", "weights"):
            whole = getattr(self, field)
            setattr(here, field, None if whole is None else whole[chosen].to(self.device))
        return here


@dataclass(frozen=True)
class Batch:
    """What one step of a fit sees: B windows, or B chunks with K labels each, on the device.

    Attributes:
        windows: [B, L, F], or chunks [B, L + K − 1, F].
        labels: [B, H], or [B, K, H]; NaN where a label does not count.
        rows: the rows of the labels, [B] or [B, K].
        burn_in: L of a chunk; None for windows.
        weights: of the labels, shaped as `rows`; None counts all alike.
        dates: session numbers, shaped as `rows`; None where nothing happens per date.
        symbols: codes [B].
        covariates: [B, S], or [B, K, S].
    """

    windows: Tensor
    labels: Tensor
    rows: Tensor
    burn_in: int | None = None
    weights: Tensor | None = None
    dates: Tensor | None = None
    symbols: Tensor | None = None
    covariates: Tensor | None = None

    def seen_as(self, windows: Tensor, labels: Tensor) -> "Batch":
        """Returns the same batch with other windows and labels: the augmented one."""
        return replace(self, windows=windows, labels=labels)


def gather(panel: Panel, ends: Tensor, lookback: int) -> Tensor:
    """Returns the windows [B, L, F] that end on the rows `ends` [B] (on the panel's device)."""
    features = panel.values.shape[1]
    # Row r of this view is the whole window that starts on row r; the view takes no memory.
    starts = panel.values.as_strided(
        (panel.rows - lookback + 1, lookback * features), (features, 1)
    )
    return starts.index_select(0, ends - (lookback - 1)).view(ends.numel(), lookback, features)


def window_batch(panel: Panel, ends: Tensor, lookback: int) -> Batch:
    """Returns the batch of windows that end on the rows `ends` [B]."""
    return Batch(
        windows=gather(panel, ends, lookback),
        labels=panel.labels.index_select(0, ends),
        rows=ends,
        weights=_of(panel.weights, ends),
        dates=_of(panel.dates, ends),
        symbols=_of(panel.symbols, ends),
        covariates=_of(panel.covariates, ends),
    )


def chunk_batch(panel: Panel, rows: Tensor, counted: Tensor, lookback: int) -> Batch:
    """Returns the batch of chunks of the rows `rows` [B, L + K − 1], `counted` labels [B, K]."""
    chunks, steps = rows.shape
    labelled = rows[:, lookback - 1 :]
    flat = labelled.reshape(-1)
    labels = panel.labels.index_select(0, flat).view(*labelled.shape, -1)
    first = rows[:, 0]
    weights, dates = _of(panel.weights, flat), _of(panel.dates, flat)
    covariates = _of(panel.covariates, flat)
    return Batch(
        windows=panel.values.index_select(0, rows.reshape(-1)).view(chunks, steps, -1),
        labels=labels.masked_fill(~counted.unsqueeze(-1), torch.nan),
        rows=labelled,
        burn_in=lookback,
        weights=None if weights is None else weights.view_as(labelled),
        dates=None if dates is None else dates.view_as(labelled),
        symbols=_of(panel.symbols, first),
        covariates=None if covariates is None else covariates.view(*labelled.shape, -1),
    )


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
    lacking = np.count_nonzero(~np.isfinite(labels).any(axis=1) | np.isinf(labels).any(axis=1))
    if lacking:
        raise ModelError(
            f"{lacking} of {len(ends)} {span} windows have no finite label; leave them out."
        )
    finite = torch.isfinite(panel.values)
    if bool(finite.all()):
        return
    broken = (~finite).any(dim=1).cpu().numpy()
    before = np.concatenate([[0], np.cumsum(broken)])
    touched = np.count_nonzero(before[ends + 1] > before[ends + 1 - lookback])
    if touched:
        seen = covered_rows(panel.rows, ends, lookback)
        row = int(np.flatnonzero(broken & seen)[0])
        column = int(torch.nonzero(~finite[row])[0])
        raise ModelError(
            f"{touched} of {len(ends)} {span} windows see a feature that is NaN or infinite, the "
            f"first in row {row}: {panel.names[column]} is {panel.values[row, column].item()}; "
            "leave them out or impute the features."
        )


def covered_rows(rows: int, ends: Ends, lookback: int) -> NDArray[np.bool_]:
    """Returns which of the panel's rows any of the windows shows [rows]."""
    edges = np.zeros(rows + 1, dtype=np.int64)
    np.add.at(edges, ends - (lookback - 1), 1)
    np.add.at(edges, ends + 1, -1)
    return np.cumsum(edges)[:-1] > 0


def digest_windows(panel: Panel, ends: Ends, lookback: int) -> str:
    """Returns the SHA-256 of exactly what the windows and their labels show.

    Rows that no window sees do not count, nor does where the windows lie in the panel: with later
    rows added or replaced the digest stays.
    """
    seen = covered_rows(panel.rows, ends, lookback)
    places = np.cumsum(seen)[ends]
    digest = hashlib.sha256(f"{lookback} {panel.values.shape[1]}".encode())
    for part in (panel.values.cpu().numpy()[seen], panel.labels.cpu().numpy()[ends], places):
        digest.update(part.tobytes())
    for field in ("weights", "symbols", "covariates"):
        known = getattr(panel, field)
        if known is not None:
            digest.update(field.encode() + known.cpu().numpy()[ends].tobytes())
    return digest.hexdigest()


def _of(values: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if values is None else values.index_select(0, rows)


def _tensor(values: NDArray, kind: type) -> Tensor:
    """Returns a tensor that shares the array's memory where torch may, else of a copy of it."""
    ready: NDArray = np.ascontiguousarray(values, dtype=kind)
    # Arrays out of a frame are read-only, which torch does not know.
    return torch.from_numpy(ready if ready.flags.writeable else ready.copy())
