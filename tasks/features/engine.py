"""Computes feature columns over a panel.

1. The panel is checked: sorted by symbol and date, so that each symbol is one slice.
2. A thread takes a chunk of symbols, lays their bars one after the other with a NaN bar between
   them, and gives the whole to each indicator that begins anew after a NaN; the others get the
   symbols one by one. The kernels run without the GIL; chunks are small enough for the caches.
3. The values, float64 inside, become scale-free and go into float32 columns that exist beforehand.
   The first `lookback` rows of a symbol, and what is not finite, are NaN there: masked.

The columns of the result are those arrays, not copies: 12 million rows of 28 features are 1.4 GB.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from tasks.features.contracts import check_panel
from tasks.features.indicators.calendar.days import CALENDAR_COLUMNS, calendar_columns
from tasks.features.indicators.columns import BAR_COLUMNS, Columns
from tasks.features.indicators.entry import Array, Feature

# Rows of a chunk: a column takes 160 kB, and the few of an indicator stay in a core's own cache.
_CHUNK = 20_200


@dataclass(frozen=True)
class _Chunk:
    """Some symbols: where each begins in the panel, where among the joined bars, how long it is."""

    starts: NDArray[np.int64]
    places: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return int(self.places[-1] + self.lengths[-1]) if len(self.lengths) else 0


def compute(
    panel: pl.DataFrame, features: Sequence[Feature], sessions: Sequence[date] | None = None
) -> pl.DataFrame:
    """Returns symbol, date and the features' columns, float32, NaN where masked; row t sees t.

    Args:
        panel: adjusted bars, sorted by symbol and date.
        features: which; they need not be in the registry.
        sessions: the exchange's sessions, past the panel's end; calendar features need them.

    Raises:
        DataError: the panel breaks its contract.
        UsageError: a calendar feature without sessions.
    """
    out = np.empty((len(features), panel.height), dtype=np.float32)
    fill(panel, features, out, sessions)
    names = [feature.name for feature in features]
    made = [pl.Series(name, column) for name, column in zip(names, out, strict=True)]
    return panel.select("symbol", "date").hstack(made)


def fill(
    panel: pl.DataFrame,
    features: Sequence[Feature],
    out: NDArray[np.floating],
    sessions: Sequence[date] | None = None,
) -> None:
    """Writes the features' columns into `out`, [F, N] float32 or float64; see `compute`."""
    lengths = check_panel(panel)
    bars = {name: _array(panel.get_column(name)) for name in BAR_COLUMNS}
    needed = {c for f in features for c in f.indicator.columns if c in CALENDAR_COLUMNS}
    if needed:
        bars |= calendar_columns(panel.get_column("date"), sessions)
    plain = [feature.plain for feature in features]
    needs = [feature.lookback for feature in plain]
    shared = frozenset(part.key for feature in features for part in _parts(feature))

    def work(chunk: _Chunk) -> None:
        # Overflow and invalid operations end as infinity or NaN, and are masked.
        with np.errstate(all="ignore"):
            joined = Columns(_joined(bars, chunk), shared)
            for row, feature in enumerate(plain):
                divisor, shift = joined.scale(feature)
                if feature.indicator.joined:
                    values = joined.textbook(feature)
                else:
                    values = _one_by_one(joined, chunk, feature)
                places = chunk.starts, chunk.places, chunk.lengths
                if divisor is None:
                    _deliver(values, *places, needs[row], out[row])
                else:
                    _deliver_scaled(values, divisor, shift, *places, needs[row], out[row])

    with ThreadPoolExecutor(_threads()) as threads:
        # The list raises what a thread raised.
        list(threads.map(work, _chunks(lengths)))


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _array(column: pl.Series) -> Array:
    # Without nulls this is the column itself, not a copy.
    return column.fill_null(np.nan).to_numpy() if column.null_count() else column.to_numpy()


def _parts(feature: Feature) -> list[Feature]:
    """Returns the indicators that a feature stands on, theirs included."""
    return [inner for part in feature.parts for inner in (part, *_parts(part))]


def _chunks(lengths: NDArray[np.int64]) -> list[_Chunk]:
    """Returns the symbols in groups of about _CHUNK rows, whole symbols each."""
    ends = np.cumsum(lengths)
    groups = np.searchsorted(np.arange(0, ends[-1] if len(ends) else 0, _CHUNK), ends, "left")
    borders = np.flatnonzero(np.diff(groups, prepend=-1))
    chunks = []
    for first, last in zip(borders, [*borders[1:], len(lengths)], strict=True):
        mine = lengths[first:last]
        # One more row a symbol, for the NaN bar after it.
        places = np.cumsum(mine + 1) - (mine + 1)
        chunks.append(_Chunk(ends[first:last] - mine, places, mine))
    return chunks


def _joined(bars: Mapping[str, Array], chunk: _Chunk) -> dict[str, Array]:
    joined = {}
    for name, column in bars.items():
        laid = np.full(chunk.rows, np.nan)
        for start, place, length in zip(chunk.starts, chunk.places, chunk.lengths, strict=True):
            laid[place : place + length] = column[start : start + length]
        joined[name] = laid
    return joined


def _one_by_one(joined: Columns, chunk: _Chunk, feature: Feature) -> Array:
    """Returns the textbook values of an indicator that takes one symbol at a time."""
    values = np.full(chunk.rows, np.nan)
    own = {name: joined[name] for name in joined if name in BAR_COLUMNS + CALENDAR_COLUMNS}
    for place, length in zip(chunk.places, chunk.lengths, strict=True):
        here = slice(place, place + length)
        # Copies: a function of one's own may write into what it is given.
        alone = Columns({name: column[here].copy() for name, column in own.items()})
        values[here] = alone.textbook(feature)
    return values


_compiled = njit(nogil=True, cache=True, error_model="numpy")
_ENDLESS = np.float32(np.inf)
_MASKED = np.float32(np.nan)


@_compiled
def _deliver(values, starts, places, lengths, lookback, out):  # type: ignore[no-untyped-def]
    """Writes each symbol's rows into their place, masked in warm-up and where not finite.

    What float32 cannot hold is infinite there: float64 results are bound by it too.
    """
    for s in range(starts.size):
        warm = min(lookback, lengths[s])
        out[starts[s] : starts[s] + warm] = np.nan
        mine = out[starts[s] + warm : starts[s] + lengths[s]]
        made = values[places[s] + warm : places[s] + lengths[s]]
        for i in range(mine.size):
            mine[i] = made[i] if abs(np.float32(made[i])) < _ENDLESS else _MASKED


@_compiled
def _deliver_scaled(  # type: ignore[no-untyped-def]
    values, divisor, shift, starts, places, lengths, lookback, out
):
    """Does what `_deliver` does with values / divisor - shift."""
    for s in range(starts.size):
        warm = min(lookback, lengths[s])
        out[starts[s] : starts[s] + warm] = np.nan
        mine = out[starts[s] + warm : starts[s] + lengths[s]]
        made = values[places[s] + warm : places[s] + lengths[s]]
        unit = divisor[places[s] + warm : places[s] + lengths[s]]
        for i in range(mine.size):
            value = made[i] / unit[i] - shift
            mine[i] = value if abs(np.float32(value)) < _ENDLESS else _MASKED
