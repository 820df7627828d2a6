"""What an epoch shows a network, batch by batch, in an order drawn from a seed.

1. The fit rows lie in one block where the panel is on the device, else in blocks of dates that
   fit there.
2. Each epoch draws an order of the blocks and, inside each, batches of windows (`last`) or of
   chunks (`dense`).
3. A batch is gathered only when its step comes; a block is carried over when its first batch is.
"""

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.errors import ModelError
from models.panel import Batch, Ends, Panel, chunk_batch, window_batch
from models.sampling import Chunks, batches, chunk_batches, date_blocks

_LOG = logging.getLogger("nightcast.fit")


@dataclass(frozen=True)
class Drawn:
    """One batch of an epoch before it is gathered: its block, and its windows or chunks."""

    block: int
    what: Tensor | Chunks

    @property
    def size(self) -> int:
        """How many windows or chunks the batch has."""
        return len(self.what if isinstance(self.what, Tensor) else self.what.starts)

    @property
    def labels(self) -> int:
        """How many labels the batch counts."""
        return len(self.what) if isinstance(self.what, Tensor) else self.what.labels

    def first(self, size: int) -> "Drawn":
        """Returns a batch of the first `size` windows or chunks."""
        if isinstance(self.what, Tensor):
            return Drawn(self.block, self.what[:size])
        chunks = self.what
        counts = chunks.counts[:size]
        fewer = replace(
            chunks,
            starts=chunks.starts[:size],
            counts=counts,
            last=chunks.last[:size],
            labels=int(counts.sum()),
        )
        return Drawn(self.block, fewer)


class Feed:
    """The windows or chunks of one span of fit rows.

    Args:
        panel: features and labels.
        ends: last rows of the windows, each with a label, ascending.
        lookback: rows of a window; of a chunk, rows up to its first label.
        batch_size: windows, or chunks, a batch.
        sampling: `window`, `date` or `symbol`: what stays together.
        chunk: labels a chunk; None takes windows.
        most: labels an epoch; None takes all.
    """

    def __init__(
        self,
        panel: Panel,
        ends: Ends,
        lookback: int,
        batch_size: int,
        sampling: str = "window",
        chunk: int | None = None,
        most: int | None = None,
    ) -> None:
        self.panel, self.lookback, self.batch_size = panel, lookback, batch_size
        self.sampling, self.chunk, self.most = sampling, chunk, most
        self.total = len(ends)
        # Rows of the panel, None where the whole panel is one block; and the ends among them.
        self.blocks: list[tuple[Ends | None, Ends]] = [(None, ends)]
        if not panel.resident:
            self.blocks = [*device_blocks(panel, ends, lookback)]
            _LOG.warning(
                "panel rows=%d do not fit into the memory of %s: they go there every epoch in %d "
                "blocks of dates of at most %d rows; a batch mixes windows of one block only",
                panel.rows,
                panel.device,
                len(self.blocks),
                panel.most_rows,
            )
        self._loaded: tuple[int, Panel] | None = None

    def plan(self, generator: torch.Generator) -> list[Drawn]:
        """Returns the batches of one epoch; the generator alone decides about their order."""
        order = [0]
        if len(self.blocks) > 1:
            order = torch.randperm(len(self.blocks), generator=generator).tolist()
        return [Drawn(block, what) for block in order for what in self._draw(block, generator)]

    def batch(self, drawn: Drawn) -> Batch:
        """Returns a batch on the device."""
        panel = self._block(drawn.block)
        if isinstance(drawn.what, Tensor):
            return window_batch(panel, drawn.what, self.lookback)
        return chunk_batch(panel, drawn.what.rows(), drawn.what.counted(), self.lookback)

    def _draw(self, block: int, generator: torch.Generator) -> list[Tensor] | list[Chunks]:
        rows, ends = self.blocks[block]
        most = self.most and max(1, round(self.most * len(ends) / self.total))
        dates, symbols, device = self.panel.dates, self.panel.symbols, self.panel.device
        if rows is not None:
            chosen = torch.tensor(rows)
            dates = None if dates is None else dates[chosen]
            symbols = None if symbols is None else symbols[chosen]
        if self.chunk is not None:
            return chunk_batches(
                ends, self.lookback, self.chunk, self.batch_size, most, generator, symbols, device
            )
        return batches(
            ends, self.batch_size, self.sampling, most, generator, dates, symbols, device
        )

    def _block(self, block: int) -> Panel:
        rows = self.blocks[block][0]
        if rows is None:
            return self.panel
        if self._loaded is None or self._loaded[0] != block:
            self._loaded = None  # the former block goes before the next one comes
            self._loaded = (block, self.panel.part(rows))
        return self._loaded[1]


def device_blocks(panel: Panel, ends: Ends, lookback: int) -> list[tuple[Ends, Ends]]:
    """Returns the blocks of dates that fit on the device: rows of the panel, ends among them."""
    if panel.dates is None or panel.symbols is None:
        raise ModelError(
            f"the panel of {panel.rows} rows does not fit into the memory of {panel.device}, and "
            "without dates and symbols it cannot be cut into blocks; pass both."
        )
    return date_blocks(ends, panel.dates.numpy(), lookback, panel.symbols.numpy(), panel.most_rows)
