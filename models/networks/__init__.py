"""The networks by kind."""

from typing import Any

from models.errors import UsageError, near
from models.networks.network import Network
from models.networks.recurrent import CELLS, Recurrent
from models.networks.transformer import Transformer

__all__ = ["CELLS", "NETWORKS", "Network", "Recurrent", "Transformer", "build_network"]

NETWORKS: dict[str, type[Network]] = {"recurrent": Recurrent, "transformer": Transformer}


def build_network(kind: str, inputs: int, **options: Any) -> Network:
    """Returns a fresh network of a registered kind; its weights come from torch's global state.

    Args:
        kind: one of NETWORKS.
        inputs: F, features of a bar.
        options: of that network, and of every network `head`, `horizons`, `levels`, `n_symbols`,
            `embedding` and `covariates` (see Network).
    """
    if kind not in NETWORKS:
        raise UsageError(
            f"network kind={kind!r} is unknown.{near(kind, NETWORKS)} "
            f"Use one of {', '.join(NETWORKS)}."
        )
    network: Network = NETWORKS[kind](inputs, **options)
    return network
