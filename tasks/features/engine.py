"""Computes feature columns over a panel.

1. The panel is checked: sorted by symbol and date, so that each symbol is one slice.
2. The indicators that are made of kernels and arithmetic alone (`joined`) are run on nodes, once,
   which gives a program of all their steps, each once (`kernels/graph.py`, `kernels/program.py`).
3. A thread takes a chunk of symbols and runs the program on it, compiled, without the GIL
   (`kernels/machine.py`). Other indicators are called for each symbol.
4. The values, float64 inside, become scale-free and go into float32 columns that exist beforehand.
   The first `lookback` rows of a symbol, and what is not finite, are NaN there: masked.

The columns of the result are those arrays, not copies: 12 million rows of 28 features are 1.4 GB.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import UsageError
from tasks.features.contracts import check_columns, check_values, symbol_lengths
from tasks.features.indicators.calendar.days import CALENDAR_COLUMNS, calendar_columns
from tasks.features.indicators.columns import BAR_COLUMNS, Columns
from tasks.features.indicators.entry import Array, Feature
from tasks.features.kernels.graph import Graph
from tasks.features.kernels.machine import run
from tasks.features.kernels.program import Output, Program, assemble
from tasks.features.threads import in_threads, thread_count

# Rows of a chunk: a column takes 160 kB, and the few of a step stay in a core's own cache.
_CHUNK = 20_200
_COLUMNS = (*BAR_COLUMNS, *CALENDAR_COLUMNS)


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
        UsageError: a calendar feature without sessions, or a function that does not return one
            value for each bar.
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
    check_columns(panel)
    lengths = symbol_lengths(panel)
    bars = {name: _array(panel.get_column(name)) for name in BAR_COLUMNS}
    if any(column in CALENDAR_COLUMNS for f in features for column in f.indicator.columns):
        bars |= calendar_columns(panel.get_column("date"), sessions)
    plain = tuple(feature.plain for feature in features)
    program = _program(plain, wide=out.dtype == np.float64)
    # The bars are looked through beside the work on them; what is wrong comes out all the same.
    in_threads([partial(check_values, panel, lengths), *_workers(program, bars, lengths, out)])
    for row, feature in enumerate(plain):
        if not feature.indicator.joined:
            _call(feature, bars, lengths, out[row])


@lru_cache(maxsize=16)
def _program(features: tuple[Feature, ...], wide: bool) -> Program:
    """Returns the steps of all the features that are made of kernels alone."""
    graph = Graph()
    columns = Columns({name: graph.column(i) for i, name in enumerate(_COLUMNS)})
    outputs = []
    for row, feature in enumerate(features):
        if feature.indicator.joined:
            value = columns.textbook(feature)
            scale, shift = columns.scale(feature)
            outputs.append(Output(value, scale, shift, feature.lookback, row, wide))
    return assemble(graph, outputs)


def _workers(
    program: Program, bars: Mapping[str, Array], lengths: NDArray[np.int64], out: NDArray
) -> list[Callable[[], None]]:
    """Returns what each thread does: the program, on one chunk after the other."""
    none = np.empty(0)
    columns = tuple(_read_only(bars.get(name, none)) for name in _COLUMNS)
    chunks = _chunks(lengths)
    width = max((int(c[-1, 1] + c[-1, 2]) for c in chunks), default=0)
    narrow = out if out.dtype == np.float32 else np.empty((0, 0), dtype=np.float32)
    wide = out if out.dtype == np.float64 else np.empty((0, 0))
    waiting = iter(chunks)

    def work() -> None:
        memory = np.empty((program.rows, width))
        for chunk in waiting:
            run(program.steps, program.reals, columns, chunk, memory, narrow, wide)

    return [work] * min(thread_count(), len(chunks)) if len(program.steps) else []


def _call(
    feature: Feature, bars: Mapping[str, Array], lengths: NDArray[np.int64], out: NDArray
) -> None:
    """Writes the column of an indicator that takes one symbol at a time."""
    ends = np.cumsum(lengths)

    def work(start: int, end: int) -> None:
        # Copies: a function of one's own may write into what it is given.
        own = Columns({name: column[start:end].copy() for name, column in bars.items()})
        # Overflow and invalid operations end as infinity or NaN, and are masked.
        with np.errstate(all="ignore"):
            value = np.array(own.scale_free(feature), dtype=out.dtype)
            held = np.isfinite(value.astype(np.float32))
        if value.shape != (end - start,):
            raise UsageError(
                f"{feature.name} gives values of shape {value.shape} for {end - start} bars; its "
                "function must return one for each bar."
            )
        value[: feature.lookback] = np.nan
        out[start:end] = np.where(held, value, np.nan)

    in_threads(
        [partial(work, end - length, end) for end, length in zip(ends, lengths, strict=True)]
    )


def _array(column: pl.Series) -> Array:
    # Without nulls this is the column itself, not a copy.
    return column.fill_null(np.nan).to_numpy() if column.null_count() else column.to_numpy()


def _read_only(column: Array) -> Array:
    # Arrays of one kind, for the compiled code: a polars column is read-only.
    view = np.ascontiguousarray(column)[:]
    view.flags.writeable = False
    return view


def _chunks(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Returns the symbols in groups of about _CHUNK rows, whole symbols each.

    Each is [S, 3]: where a symbol begins in the panel, where among those of the chunk with one row
    between them, and its length.
    """
    if not len(lengths):
        return []
    ends = np.cumsum(lengths)
    groups = (ends - 1) // _CHUNK
    borders = np.flatnonzero(np.diff(groups, prepend=-1))
    chunks = []
    for first, last in zip(borders, [*borders[1:], len(lengths)], strict=True):
        mine = lengths[first:last]
        beside = np.cumsum(mine + 1) - (mine + 1)
        chunks.append(np.stack([ends[first:last] - mine, beside, mine], axis=1))
    return chunks
