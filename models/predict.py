"""Raw forecasts of a fitted network, bit for bit the same however many rows are asked for.

The last bits of a matrix product depend on its shape. So every call to the network has one shape:
`block` windows, the last block filled up with zeros, and on a CPU one thread. What a row gets then
depends neither on its neighbours, nor on its place, nor on the number of threads.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError
from models.feed import device_blocks
from models.panel import Batch, Ends, Panel, check_ends, window_batch
from models.threads import side_by_side


def predict(
    network: nn.Module,
    panel: Panel,
    ends: Ends,
    lookback: int,
    block: int = 1024,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Returns the network's raw output [n, H], or [n, H, Q], for the windows ending on `ends` [n].

    Leaves the network in evaluation mode, on the panel's device. Another `block` may give other
    last bits. `threads` work side by side on a CPU; None takes torch's number.
    """
    check_ends(panel, ends, lookback)
    ends = np.ascontiguousarray(ends)
    network.to(panel.device).eval()
    if panel.resident:
        raw = _outputs(network, panel, ends, lookback, block, threads)
    else:
        # Blocks answer in their own order, each row once; that is undone here.
        asked, places = np.unique(ends, return_inverse=True)
        blocks = device_blocks(panel, asked, lookback)
        answered = np.concatenate([rows[local] for rows, local in blocks])
        found = [
            _outputs(network, panel.part(rows), local, lookback, block, threads)
            for rows, local in blocks
        ]
        raw = np.concatenate(found)[np.argsort(answered)[places]]
    broken = np.count_nonzero(~np.isfinite(raw).all(axis=tuple(range(1, raw.ndim))))
    if broken:
        raise ModelError(
            f"{broken} of {len(raw)} forecasts are NaN or infinite; look for NaN among the "
            "features of these rows, or for weights of a fit that diverged."
        )
    return raw


def _outputs(
    network: nn.Module, panel: Panel, ends: Ends, lookback: int, block: int, threads: int | None
) -> NDArray[np.float64]:
    # Without any end one block of zeros still says what shape an output has.
    parts = torch.tensor(ends, device=panel.device).split(block)

    def work(number: int) -> Tensor:
        batch = _padded(window_batch(panel, parts[number], lookback), block)
        with torch.inference_mode():  # of this thread
            raw: Tensor = network(batch.windows, batch.symbols, batch.covariates)
        return raw[: len(parts[number])]

    # A GPU takes one block after the other anyway.
    with side_by_side(len(parts), threads if panel.device.type == "cpu" else 1) as each:
        return torch.cat(list(each(work))).double().cpu().numpy()


def _padded(batch: Batch, block: int) -> Batch:
    """Returns the batch filled up to `block` windows: zeros, of symbol 0."""
    missing = block - len(batch.windows)
    return replace(
        batch,
        windows=functional.pad(batch.windows, (0, 0, 0, 0, 0, missing)),
        symbols=None if batch.symbols is None else functional.pad(batch.symbols, (0, missing)),
        covariates=(
            None
            if batch.covariates is None
            else functional.pad(batch.covariates, (0, 0, 0, missing))
        ),
    )


def predict_ensemble(
    network: nn.Module,
    weights: Sequence[dict[str, Tensor]],
    panel: Panel,
    ends: Ends,
    lookback: int,
    block: int = 1024,
) -> NDArray[np.float64]:
    """Returns the mean raw output [n, …] over weight sets, one a seed; the last stays loaded."""
    if not weights:
        raise ModelError("an ensemble of 0 weight sets has no mean; pass at least one.")
    outputs = []
    for number, one in enumerate(weights):
        try:
            network.load_state_dict(one)
        except RuntimeError as fault:
            raise ModelError(
                f"weight set {number} does not fit the network: {fault}; "
                "build the network that the bundle names."
            ) from fault
        outputs.append(predict(network, panel, ends, lookback, block))
    return np.mean(outputs, axis=0)
