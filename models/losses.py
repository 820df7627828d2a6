"""Losses by name: (forecast [B], label [B]) to their mean, a scalar."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from models.errors import UsageError, near

Loss = Callable[[Tensor, Tensor], Tensor]

# huber turns from squared to absolute at an error of 1, in the unit of the (scaled) labels.
LOSSES: dict[str, Loss] = {"mse": functional.mse_loss, "huber": functional.huber_loss}


def find_loss(name: str) -> Loss:
    """Returns the loss called `name`."""
    if name not in LOSSES:
        raise UsageError(
            f"loss={name!r} is unknown.{near(name, LOSSES)} Use one of {', '.join(LOSSES)}."
        )
    return LOSSES[name]
