"""The panel as arrays, and the rows a window may end on. Windows themselves are never made here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import polars.selectors as cs

from models.errors import DataError
from tasks.lake.target_spec import TARGET_COLUMNS

# What a spell says of a symbol, by the column of the feature frame.
_SAID = ("sector", "exchange")


@dataclass(frozen=True)
class Said:
    """One word a row: codes [N] int32 into `words`, sorted; -1 where nothing is said."""

    codes: np.ndarray
    words: tuple[str, ...]


@dataclass(frozen=True)
class PanelArrays:
    """A feature frame as arrays of N rows, sorted by symbol and date.

    Attributes:
        features: [N, F] float32, NaN where masked.
        target: [N] float64, NaN where the label has not matured or is masked.
        also: [N, A] float64, the targets of the further horizons; NaN wherever `target` is.
        further: [A] these horizons, in sessions.
        volatility: [N] float64, one-bar standard deviation known at each row.
        momentum: [N] float64, log return of a year without its last month; NaN in its warm-up.
        reversal: [N] float64, log return of the last 5 bars; NaN in its warm-up.
        symbol: [N] int32 codes into `symbols`.
        dates: [N] datetime64[D].
        label_end: [N] datetime64[D], session by whose close the row's labels, of all horizons, are
            known; NaT where there are none.
        window_ends: [N] bool, whether a full window of unmasked rows of one symbol ends here, at
            a row whose volatility is known and on which the symbol is a member of the universe.
        said: what the symbol's spell says on each row, by name: sector, exchange.
    """

    features: np.ndarray
    target: np.ndarray
    also: np.ndarray
    volatility: np.ndarray
    momentum: np.ndarray
    reversal: np.ndarray
    symbol: np.ndarray
    dates: np.ndarray
    label_end: np.ndarray
    window_ends: np.ndarray
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    said: Mapping[str, Said]
    further: tuple[int, ...] = ()

    @property
    def labels(self) -> np.ndarray:
        """The targets of all horizons, the main one first [N, 1 + A]."""
        return np.column_stack([self.target, self.also])

    def at(self, horizon: int) -> "PanelArrays":
        """Returns the panel with the target of one of the further horizons in place of the main."""
        own = self.also[:, self.further.index(horizon)]
        return replace(self, target=own, also=self.also[:, :0], further=())

    def rows(self, start: date, end: date, labels_known_by: date | None = None) -> np.ndarray:
        """Returns the rows dated `start` … `end` on which a window ends, ascending.

        With `labels_known_by`, only those whose label is known on or before that session.
        """
        chosen = self.window_ends & (self.dates >= np.datetime64(start))
        chosen &= self.dates <= np.datetime64(end)
        if labels_known_by is not None:
            # NaT compares false: a label that is missing is never known.
            chosen &= np.isfinite(self.target) & (self.label_end <= np.datetime64(labels_known_by))
        return np.flatnonzero(chosen)

    def codes(self, known: Sequence[str]) -> np.ndarray:
        """Returns the place of each row's symbol in `known`, counted from 1, and 0 outside [N]."""
        places = {symbol: place for place, symbol in enumerate(known, start=1)}
        mine = np.array([places.get(symbol, 0) for symbol in self.symbols], dtype=np.int64)
        return mine[self.symbol]


def panel_arrays(
    frame: pl.DataFrame, features: tuple[str, ...], lookback: int, earlier_bars: int
) -> PanelArrays:
    """Returns the arrays of a feature frame and marks where windows may end.

    Args:
        frame: A feature frame (see `tasks/features/contracts.py`), sorted by symbol and date; its
            columns tell the further horizons.
        features: Feature columns in the order the network sees them.
        lookback: Length of a window in bars.
        earlier_bars: Bars a symbol must have before a row for the row to be used.

    Raises:
        DataError: The frame lacks a feature, or no window is complete.
    """
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise DataError(
            f"The feature frame lacks {', '.join(missing)}; build it by the specification "
            "of the model that reads it."
        )
    values = frame.select(features).to_numpy().astype(np.float32, order="C")
    codes = frame["symbol"].rle_id().to_numpy().astype(np.int32)
    usable = np.isfinite(values).all(axis=1) & (frame["bars_seen"].to_numpy() >= earlier_bars)
    volatility = frame["volatility"].to_numpy().astype(np.float64)
    # An interval is scaled by the volatility at the window's end, so it must be known there.
    ends = (_run_lengths(usable, codes) >= lookback) & np.isfinite(volatility)
    ends &= frame["member"].to_numpy()
    if not ends.any():
        raise DataError(
            f"No symbol has {lookback} unmasked rows in a row after {earlier_bars} earlier bars "
            f"(longest history: {int(frame['bars_seen'].max() or 0) + 1} bars); "  # type: ignore[arg-type]
            "use a longer history or a shorter lookback."
        )
    further = frame.select(cs.matches(TARGET_COLUMNS) - cs.by_name("target"))
    return PanelArrays(
        features=values,
        target=frame["target"].to_numpy().astype(np.float64),
        also=further.to_numpy().astype(np.float64).reshape(frame.height, further.width),
        volatility=volatility,
        momentum=frame["momentum"].to_numpy().astype(np.float64),
        reversal=frame["reversal"].to_numpy().astype(np.float64),
        symbol=codes,
        dates=frame["date"].to_numpy().astype("datetime64[D]"),
        label_end=frame["label_end"].to_numpy().astype("datetime64[D]"),
        window_ends=ends,
        symbols=tuple(frame["symbol"].unique(maintain_order=True).to_list()),
        names=features,
        said={name: _said(frame[name]) for name in _SAID},
        further=tuple(int(name.removeprefix("target_")) for name in further.columns),
    )


def _said(column: pl.Series) -> Said:
    words = column.drop_nulls().unique().sort()
    codes = column.cast(pl.Enum(words)).to_physical().cast(pl.Int32).fill_null(-1)
    return Said(codes.to_numpy(), tuple(words))


def _run_lengths(usable: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Returns, for every row, how many usable rows of its symbol end with it."""
    position = np.arange(len(usable))
    broken = ~usable
    # A run starts after the last unusable row or at the symbol's first row, whichever is later.
    last_broken = np.maximum.accumulate(np.where(broken, position, -1))
    first_of_symbol = np.maximum.accumulate(
        np.where(np.r_[True, codes[1:] != codes[:-1]], position, 0)
    )
    start = np.maximum(last_broken + 1, first_of_symbol)
    return np.where(usable, position - start + 1, 0)
