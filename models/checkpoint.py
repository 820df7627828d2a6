"""The state of a fit between two epochs: packed for keeping, taken up again."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.errors import ModelError

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class CurveRow:
    """One epoch: mean losses per window, in the unit of the labels; windows seen."""

    epoch: int
    fit_loss: float  # while training: with dropout, and with weights that still moved
    stop_loss: float | None
    windows: int


@dataclass
class Progress:
    """How far a fit has come."""

    epoch: int
    best_epoch: int
    best_loss: float | None
    stale: int  # epochs since the best
    curve: list[CurveRow]


@dataclass(frozen=True)
class FitState:
    """All that a fit needs to go on: tensors on the CPU, and a record of plain JSON values."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoint(Protocol):
    """Keeps the last state of one fit."""

    def load(self) -> FitState | None:
        """Returns the last saved state, or None."""

    def save(self, state: FitState) -> None:
        """Replaces the saved state; cut off half-way, the former one stays."""


def copy_weights(network: nn.Module) -> Weights:
    """Returns the network's weights on the CPU, untouched by later steps."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def pack(
    network: nn.Module,
    best: Weights,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    identity: dict[str, Any],
) -> FitState:
    """Returns the state after an epoch; `identity` says which fit it belongs to."""
    tensors = {f"weights/{name}": value for name, value in copy_weights(network).items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer/{number}/{name}"] = value.detach().cpu().clone()
    return FitState(tensors, {"identity": identity, "progress": asdict(progress)})


def take_up(
    state: FitState,
    identity: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> tuple[Weights, Progress]:
    """Puts a saved state into network and optimizer; returns the best weights and the progress."""
    saved = state.record["identity"]
    differing = [name for name in identity if saved.get(name) != identity[name]]
    if differing:
        name = differing[0]
        raise ModelError(
            f"the checkpoint belongs to another fit: its {name} is {saved.get(name)!r}, this "
            f"fit's is {identity[name]!r}; give every fit a checkpoint of its own, or delete it."
        )
    parts: dict[str, Any] = {"weights": {}, "best": {}, "optimizer": {}}
    for key, value in state.tensors.items():
        part, name = key.split("/", 1)
        # AdamW goes on working in place on what it is given: the saved state must stay as it is.
        parts[part][name] = value.clone()
    network.load_state_dict(parts["weights"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in parts["optimizer"].items():
        number, name = key.split("/")
        moments.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    progress = Progress(**state.record["progress"])
    progress.curve = [CurveRow(**row) for row in state.record["progress"]["curve"]]
    return parts["best"], progress
