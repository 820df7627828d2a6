"""Heads: from a network's state to its raw output, for a tuple of horizons.

| kind | raw output | point forecast |
|---|---|---|
| `mean` | [..., H], the mean in the unit of the labels | itself |
| `quantiles` | [..., H, Q], ascending along Q | the median |
| `direction` | [..., H, 3], logits of down, flat and up | P(up) − P(down) |
| `rank` | [..., H], a score without unit | itself |

Every head is one linear layer, so that a network's weights keep their names whatever the head.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.errors import UsageError, near

HeadKind = Literal["mean", "quantiles", "direction", "rank"]
DIRECTIONS = ("down", "flat", "up")


class Head(nn.Linear):
    """From states [..., width] to raw outputs [..., H] or [..., H, per_horizon].

    Args:
        width: size of a state.
        horizons: H, how many horizons are forecast at once.
        per_horizon: numbers a horizon; None leaves the last axis out.
        bias: False where the level of the output means nothing.
    """

    kind: HeadKind
    levels: tuple[float, ...] = ()  # of the quantiles; the other heads have none

    def __init__(
        self, width: int, horizons: int, per_horizon: int | None = None, bias: bool = True
    ) -> None:
        super().__init__(width, horizons * (per_horizon or 1), bias=bias)
        self.horizons, self.per_horizon = horizons, per_horizon

    def extra_repr(self) -> str:
        """Returns what tells two heads apart."""
        levels = f", levels={self.levels}" if self.levels else ""
        return f"{super().extra_repr()}, horizons={self.horizons}{levels}"

    def forward(self, states: Tensor) -> Tensor:
        """Returns the raw outputs of the states."""
        raw = super().forward(states)
        if self.per_horizon is None:
            return raw
        return raw.unflatten(-1, (self.horizons, self.per_horizon))


class MeanHead(Head):
    """The mean of the label at each horizon."""

    kind: HeadKind = "mean"

    def __init__(self, width: int, horizons: int, levels: Sequence[float] = ()) -> None:
        super().__init__(width, horizons)


class QuantilesHead(Head):
    """Quantiles that never cross: the lowest, and above it sums of softplus steps ≥ 0."""

    kind: HeadKind = "quantiles"

    def __init__(self, width: int, horizons: int, levels: Sequence[float] = ()) -> None:
        _check_levels(levels)
        super().__init__(width, horizons, len(levels))
        self.levels = tuple(levels)

    def forward(self, states: Tensor) -> Tensor:
        """Returns the quantiles [..., H, Q], ascending."""
        raw = super().forward(states)
        # A running sum term by term: cumsum on CUDA has no deterministic kernel for floats.
        quantiles = [raw[..., 0]]
        for step in functional.softplus(raw[..., 1:]).unbind(-1):
            quantiles.append(quantiles[-1] + step)
        return torch.stack(quantiles, dim=-1)


class DirectionHead(Head):
    """Logits of the label's sign: down, flat (exactly 0) and up."""

    kind: HeadKind = "direction"

    def __init__(self, width: int, horizons: int, levels: Sequence[float] = ()) -> None:
        super().__init__(width, horizons, len(DIRECTIONS))


class RankHead(Head):
    """A score that orders symbols; without a bias, since a level would order nothing."""

    kind: HeadKind = "rank"

    def __init__(self, width: int, horizons: int, levels: Sequence[float] = ()) -> None:
        super().__init__(width, horizons, bias=False)


HEADS: dict[str, Callable[[int, int, Sequence[float]], Head]] = {
    "mean": MeanHead,
    "quantiles": QuantilesHead,
    "direction": DirectionHead,
    "rank": RankHead,
}


def build_head(kind: str, width: int, horizons: int, levels: Sequence[float] = ()) -> Head:
    """Returns a fresh head.

    Args:
        kind: one of HEADS.
        width: size of a state.
        horizons: how many horizons, 1 or more.
        levels: of the quantiles, ascending in (0, 1), .5 among them; the other heads need none.

    Raises:
        UsageError: the kind is unknown, or horizons or levels are wrong.
    """
    if kind not in HEADS:
        raise UsageError(
            f"head={kind!r} is unknown.{near(kind, HEADS)} Use one of {', '.join(HEADS)}."
        )
    if horizons < 1:
        raise UsageError(f"horizons={horizons} leaves nothing to forecast; use 1 or more.")
    return HEADS[kind](width, horizons, levels)


def point(kind: str, raw: Tensor | NDArray, levels: Sequence[float] = ()) -> Tensor:
    """Returns the point forecast [..., H] of a head's raw output.

    `levels` is needed where those of the quantiles are not symmetrical about .5: without them the
    middle quantile counts as the median.
    """
    outputs = torch.as_tensor(raw)
    if kind == "quantiles":
        return outputs[..., levels.index(0.5) if levels else outputs.shape[-1] // 2]
    if kind == "direction":
        chances = outputs.softmax(dim=-1)
        return chances[..., 2] - chances[..., 0]
    return outputs


def _check_levels(levels: Sequence[float]) -> None:
    ascending = all(low < high for low, high in pairwise(levels))
    if not ascending or 0.5 not in levels or levels[0] <= 0 or levels[-1] >= 1:
        raise UsageError(
            f"levels={list(levels)} of the quantiles must ascend inside (0, 1) and hold 0.5, the "
            "point forecast; give such as (0.05, 0.5, 0.95)."
        )
