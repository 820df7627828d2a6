"""The state of a fit between two steps: packed for keeping, taken up again."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.errors import ModelError

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class CurveRow:
    """One epoch: mean losses per label, in the unit of the (scaled) labels; labels seen.

    `stop_score` is the metric that chooses the epoch, the lower the better; None without stop.
    """

    epoch: int
    fit_loss: float  # while training: with dropout, and with weights that still moved
    stop_loss: float | None
    stop_score: float | None
    windows: int
    learning_rate: float  # of the epoch's last step


@dataclass
class Progress:
    """How far a fit has come."""

    epoch: int = 0  # finished ones
    step: int = 0  # finished ones of the epoch after them; not 0 only where a fit was stopped
    best_epoch: int = 0
    best_score: float | None = None
    stale: int = 0  # epochs since the best
    seconds: float = 0.0  # 0 unless the time of the fit is limited
    curve: list[CurveRow] = field(default_factory=list)


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
    trace: Tensor,
    identity: dict[str, Any],
) -> FitState:
    """Returns the state after a step; `identity` says which fit it belongs to.

    `trace` is what the finished steps of a started epoch left, [steps, 2].
    """
    tensors = {f"weights/{name}": value for name, value in copy_weights(network).items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    tensors["trace/steps"] = trace.detach().cpu().clone()
    for number, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer/{number}/{name}"] = value.detach().cpu().clone()
    return FitState(tensors, {"identity": identity, "progress": asdict(progress)})


def take_up(
    state: FitState,
    identity: dict[str, Any],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> tuple[Weights, Progress, Tensor]:
    """Puts a saved state into network and optimizer; returns best weights, progress and trace."""
    saved = state.record["identity"]
    differing = [name for name in identity if saved.get(name) != identity[name]]
    if differing:
        name = differing[0]
        raise ModelError(
            f"the checkpoint belongs to another fit: its {name} is {saved.get(name)!r}, this "
            f"fit's is {identity[name]!r}; give every fit a checkpoint of its own, or delete it."
        )
    parts: dict[str, Any] = {"weights": {}, "best": {}, "optimizer": {}, "trace": {}}
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
    return parts["best"], progress, parts["trace"]["steps"]
