"""Raw forecasts of a fitted network, bit for bit the same however many rows are asked for.

The last bits of a matrix product depend on its shape. So every call to the network has one shape:
`block` windows, the last block filled up with zeros. What a row gets then depends neither on its
neighbours nor on its place.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError
from models.panel import Ends, Panel, check_ends, gather


def predict(
    network: nn.Module, panel: Panel, ends: Ends, lookback: int, block: int = 1024
) -> NDArray[np.float64]:
    """Returns the network's raw output [n] for the windows that end on the rows `ends` [n].

    Leaves the network in evaluation mode, on the panel's device. Another `block` may give other
    last bits.
    """
    check_ends(panel, ends, lookback)
    network.to(panel.device).eval()
    blocks = []
    with torch.inference_mode():
        for rows in torch.tensor(ends, device=panel.device).split(block):
            windows = gather(panel, rows, lookback)
            padded = functional.pad(windows, (0, 0, 0, 0, 0, block - len(rows)))
            blocks.append(network(padded)[: len(rows)])
    raw = torch.cat(blocks).double().cpu().numpy() if blocks else np.empty(0)
    broken = np.count_nonzero(~np.isfinite(raw))
    if broken:
        raise ModelError(
            f"{broken} of {len(raw)} forecasts are NaN or infinite; look for NaN among the "
            "features of these rows, or for weights of a fit that diverged."
        )
    return raw


def predict_ensemble(
    network: nn.Module,
    weights: Sequence[dict[str, Tensor]],
    panel: Panel,
    ends: Ends,
    lookback: int,
    block: int = 1024,
) -> NDArray[np.float64]:
    """Returns the mean raw output [n] over weight sets, one a seed; the last stays loaded."""
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
