"""A network as an ONNX model, for programs that have no torch."""

import copy
import warnings
from typing import Any

import torch

from models.errors import ModelError
from models.networks import Network


def export_onnx(network: Network, inputs: int, lookback: int) -> bytes:
    """Returns the network as a serialised ONNX model that computes its `forward` on the CPU.

    Its inputs are `windows` float32 [batch, lookback, inputs], and where the network reads them
    `symbols` int64 [batch] and `covariates` float32 [batch, S]; its output is `raw`, as `forward`
    returns it. Any number of windows may be given, `lookback` is fixed.

    Args:
        network: left as it is; dropout is not in the model.
        inputs: F, features of a bar.
        lookback: L, bars of a window.

    Raises:
        ModelError: the packages of the extra `export` are missing.
    """
    still = copy.deepcopy(network).cpu().eval()
    # Two windows: an axis of length 1 would be taken for a fixed one.
    known: dict[str, torch.Tensor] = {"windows": torch.zeros(2, lookback, inputs)}
    if still.embedding is not None:
        known["symbols"] = torch.zeros(2, dtype=torch.int64)
    if still.covariates:
        known["covariates"] = torch.zeros(2, still.covariates)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        # The exporter warns of its own parts.
        warnings.simplefilter("ignore")
        try:
            program: Any = torch.onnx.export(
                still,
                kwargs=known,
                dynamic_shapes={name: {0: batch} for name in known},
                output_names=["raw"],
                dynamo=True,
                verbose=False,
            )
        except ImportError as error:
            raise ModelError(
                f"the export to ONNX needs a package that is not there ({error}); "
                "install it with `pip install 'nightcast[export]'`."
            ) from error
    model: bytes = program.model_proto.SerializeToString()
    return model
