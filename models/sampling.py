"""In which order an epoch sees the windows of the fit span, and how they fall into batches.

- Windows (`batches`): each alone in random order, or those of one date or one symbol together.
- Chunks (`chunk_batches`): stretches of rows with a label at each of their last K rows, for dense
  supervision. Rows between two ends of one run are all seen by windows of the fit span, so a chunk
  with its burn-in lies inside the span.
- Blocks (`date_blocks`): stretches of dates whose windows fit into a device's memory.

All is drawn on the CPU, so the order is the same on every device; `device` only says where the row
numbers are put, once an epoch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError, UsageError, near
from models.panel import Ends, covered_rows

SAMPLINGS = ("window", "date", "symbol")


def batches(
    ends: Ends,
    batch_size: int,
    sampling: str,
    most: int | None,
    generator: torch.Generator,
    dates: Tensor | NDArray | None = None,
    symbols: Tensor | NDArray | None = None,
    device: torch.device | None = None,
) -> list[Tensor]:
    """Returns the ends of an epoch's windows [b] batch by batch, in the order of seeing.

    - `window`: a permutation, cut every `batch_size` windows.
    - `date`: whole dates in random order, as losses across a date's symbols need them; a batch
      takes the number of dates that brings it nearest to `batch_size`, at least one.
    - `symbol`: the same with symbols; one with more than `batch_size` windows is dealt out to
      batches of its own, at random.

    Args:
        ends: last rows of the windows, ascending.
        batch_size: windows a batch.
        sampling: one of SAMPLINGS.
        most: windows an epoch; with dates and symbols, whole groups up to that many, at least one.
        generator: of the CPU.
        dates: session number of every row of the panel, for `date`.
        symbols: code of every row of the panel, for `symbol`.
        device: where the ends are put; None leaves them with the CPU.

    Raises:
        UsageError: an unknown sampling.
        ModelError: dates or symbols are lacking.
    """
    if sampling not in SAMPLINGS:
        raise UsageError(
            f"sampling={sampling!r} is unknown.{near(sampling, SAMPLINGS)} "
            f"Use one of {', '.join(SAMPLINGS)}."
        )
    if sampling == "window":
        # Half as wide where that suffices: these numbers are most of what windows take in memory.
        narrow = np.int32 if len(ends) == 0 or ends.max() < 2**31 else np.int64
        rows = torch.from_numpy(ends.astype(narrow))
        order = torch.randperm(len(ends), generator=generator, dtype=rows.dtype)[:most]
        return list(rows.index_select(0, order).to(device).split(batch_size))
    of_row = dates if sampling == "date" else symbols
    if of_row is None:
        raise ModelError(
            f"sampling={sampling!r} needs the {sampling} of every row, and the panel has none; "
            "pass it, or set sampling='window'."
        )
    codes = np.unique(_on_cpu(of_row)[ends], return_inverse=True)[1]
    if sampling == "symbol":
        ends, codes = _deal_out(ends, codes, batch_size, generator)
    sizes = np.bincount(codes)
    groups = torch.randperm(len(sizes), generator=generator).numpy()
    groups = groups[: _as_many(sizes[groups], most)]
    place = np.full(len(sizes), len(sizes))
    place[groups] = np.arange(len(groups))
    seen = np.argsort(place[codes], kind="stable")[: sizes[groups].sum()]
    cuts = _cuts(sizes[groups].tolist(), batch_size)
    return list(torch.from_numpy(ends[seen]).to(device).split(cuts))


@dataclass(frozen=True)
class Chunks:
    """A batch of n chunks, before their row numbers are written out.

    Attributes:
        starts: first row of each chunk [n]; its first label stands lookback − 1 rows later.
        counts: labels that count [n], from the first on; the others belong to other chunks.
        last: last row [n] of the run that the chunk is cut from.
        lookback: rows up to the first label, that row included.
        chunk: K, labels a chunk at most.
        labels: sum of `counts`, known without asking the device.
    """

    starts: Tensor
    counts: Tensor
    last: Tensor
    lookback: int
    chunk: int
    labels: int

    def rows(self) -> Tensor:
        """Returns row numbers [n, lookback + K − 1]; behind a run's end its last row repeats."""
        steps = torch.arange(self.lookback + self.chunk - 1, device=self.starts.device)
        return torch.minimum(self.starts[:, None] + steps, self.last[:, None])

    def counted(self) -> Tensor:
        """Returns which labels count [n, K]: over an epoch's chunks, each row of the ends once."""
        return torch.arange(self.chunk, device=self.counts.device) < self.counts[:, None]


def chunk_batches(
    ends: Ends,
    lookback: int,
    labels_a_chunk: int,
    batch_chunks: int,
    most: int | None,
    generator: torch.Generator,
    symbols: Tensor | NDArray | None = None,
    device: torch.device | None = None,
) -> list[Chunks]:
    """Returns an epoch's chunks, batch by batch, in random order; each label counts once.

    A run is a stretch of ends on consecutive rows of one symbol. Each epoch cuts every run anew:
    its first chunk counts 1 … K labels, drawn at random, the following ones K, the last the rest.

    Args:
        ends: rows with a label and a complete window, ascending.
        lookback: rows that a chunk sees up to its first label.
        labels_a_chunk: K.
        batch_chunks: chunks a batch.
        most: labels an epoch: whole chunks up to that many, at least one; None takes all.
        generator: of the CPU.
        symbols: code of every row of the panel; None where consecutive ends are of one symbol.
        device: where the chunks are put; None leaves them with the CPU.
    """
    if not len(ends):
        return []
    breaks = np.diff(ends) != 1
    if symbols is not None:
        breaks |= np.diff(_on_cpu(symbols)[ends]) != 0
    heads = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    lengths = np.diff(np.append(heads, len(ends)))
    phases = torch.randint(1, labels_a_chunk + 1, (len(heads),), generator=generator).numpy()
    # A run of n labels whose first chunk takes p has 1 + ceil((n − p) / K) chunks.
    many = 1 + np.maximum(-((phases - lengths) // labels_a_chunk), 0)
    run = np.repeat(np.arange(len(heads)), many)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(many) - many, many)
    begin = np.where(nth == 0, 0, phases[run] + (nth - 1) * labels_a_chunk)
    end = np.minimum(phases[run] + nth * labels_a_chunk, lengths[run])
    order = torch.randperm(len(run), generator=generator).numpy()
    counts = (end - begin)[order]
    taken = _as_many(counts, most)
    order, counts = order[:taken], counts[:taken]
    firsts = ends[heads][run] + begin - (lookback - 1)
    lasts = (ends[heads] + lengths - 1)[run]
    parts = [
        torch.from_numpy(part).to(device).split(batch_chunks)
        for part in (firsts[order], counts, lasts[order])
    ]
    totals = np.add.reduceat(counts, np.arange(0, len(counts), batch_chunks)).tolist()
    return [
        Chunks(start, count, last, lookback, labels_a_chunk, total)
        for start, count, last, total in zip(*parts, totals, strict=True)
    ]


def date_blocks(
    ends: Ends, dates: NDArray, lookback: int, symbols: NDArray, most_rows: int
) -> list[tuple[Ends, Ends]]:
    """Returns blocks of consecutive dates that see at most `most_rows` rows of the panel each.

    Every block is (rows, local ends): the rows that its windows see, in the panel's order, and its
    windows' last rows among these, ascending. Each takes as many dates as fit.

    Args:
        ends: last rows of the windows, in any order.
        dates: session number of every row of the panel.
        lookback: rows in a window.
        symbols: code of every row of the panel; a symbol's rows follow each other.
        most_rows: rows that fit into the device's memory.

    Raises:
        ModelError: the windows of one date alone see more rows than that.
    """
    found: list[tuple[Ends, Ends]] = []
    if not len(ends):
        return found
    ends = np.sort(ends)
    days, day = np.unique(dates[ends], return_inverse=True)
    # A window adds the rows that the window before it does not see, if that one is in the block.
    joined = symbols[ends[1:]] == symbols[ends[:-1]]
    fresh = np.full(len(ends), lookback)
    fresh[1:][joined] = np.minimum(np.diff(ends)[joined], lookback)
    earlier = np.full(len(ends), -1)
    earlier[1:][joined] = day[:-1][joined]
    begin = 0
    while begin < len(days):
        adds = np.where(earlier < begin, lookback, fresh)
        adds[day < begin] = 0
        rows_so_far = np.cumsum(np.bincount(day, weights=adds, minlength=len(days)))
        end = int(np.searchsorted(rows_so_far, most_rows, side="right"))
        if end == begin:
            raise ModelError(
                f"the windows of session {days[begin]} see {int(rows_so_far[begin])} rows, but "
                f"{most_rows} fit into the device's memory; shorten lookback={lookback}, take "
                "fewer symbols or features, or a device with more memory."
            )
        chosen = ends[(day >= begin) & (day < end)]
        seen = covered_rows(len(dates), chosen, lookback)
        found.append((np.flatnonzero(seen), np.cumsum(seen)[chosen] - 1))
        begin = end
    return found


def _deal_out(
    ends: Ends, codes: NDArray, most: int, generator: torch.Generator
) -> tuple[Ends, NDArray]:
    """Returns ends and codes in another order, the codes telling parts of `most` ends apart."""
    order = torch.randperm(len(ends), generator=generator).numpy()
    order = order[np.argsort(codes[order], kind="stable")]
    codes = codes[order]
    nth = np.arange(len(codes)) - np.searchsorted(codes, codes)
    parts = codes * (len(codes) // most + 1) + nth // most
    return ends[order], np.unique(parts, return_inverse=True)[1]


def _as_many(sizes: NDArray, most: int | None) -> int:
    """Returns how many of the groups in that order hold at most `most` together, at least one."""
    if most is None:
        return len(sizes)
    return max(1, int(np.searchsorted(np.cumsum(sizes), most, side="right")))


def _cuts(sizes: list[int], near_to: int) -> list[int]:
    """Returns the sizes of batches of whole groups, each as near to `near_to` as it gets."""
    cuts, held = [], 0
    for size in sizes:
        if held and held + size - near_to > near_to - held:
            cuts.append(held)
            held = 0
        held += size
    return [*cuts, held]


def _on_cpu(values: Tensor | NDArray) -> NDArray:
    return values.cpu().numpy() if isinstance(values, Tensor) else values
