"""Losses by name, and the weighted sum of them that a fit minimises.

| loss | heads | what |
|---|---|---|
| `mse` | mean | squared error |
| `huber` | mean | squared up to an error of 1 (unit of the labels), absolute beyond |
| `pinball` | quantiles | Koenker and Bassett (1978), mean over the levels |
| `cross_entropy` | direction | of the label's sign |
| `pairwise_rank` | rank, mean | RankNet (Burges et al. 2005), pairs of one date |
| `negative_ic` | rank, mean | minus Pearson's correlation of one date, mean over dates |

Nothing here waits for the device or makes a shape that hangs on the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import UsageError, near

# Each row is paired with at most this many others of its date: all of them up to 65 a date. The
# pairs then grow with the rows and not with their square.
PARTNERS = 64


@dataclass(frozen=True)
class Batch:
    """What a loss looks at. A masked label is 0 here, with a weight of 0."""

    raw: Tensor  # [n, H] or [n, H, Q]
    labels: Tensor  # [n, H]
    weights: Tensor  # [n, H]
    dates: Tensor  # [n] int64
    levels: Tensor  # [Q] of the quantiles, else empty


@dataclass(frozen=True)
class Loss:
    """A loss and what it suits.

    `separable`: the loss is a weighted mean over labels, whatever rows stand beside them.
    `fixes_level`: its minimum fixes the level and the scale of a mean.
    """

    of: Callable[[Batch], Tensor]
    heads: tuple[str, ...]
    separable: bool = True
    fixes_level: bool = True


def _mse(batch: Batch) -> Tensor:
    return _mean((batch.raw - batch.labels).square(), batch.weights)


def _huber(batch: Batch) -> Tensor:
    errors = functional.huber_loss(batch.raw, batch.labels, reduction="none")
    return _mean(errors, batch.weights)


def _pinball(batch: Batch) -> Tensor:
    errors = batch.labels[..., None] - batch.raw  # [n, H, Q]
    losses = torch.maximum(batch.levels * errors, (batch.levels - 1) * errors)
    return _mean(losses.mean(dim=-1), batch.weights)


def _cross_entropy(batch: Batch) -> Tensor:
    down_flat_up = torch.stack([batch.labels < 0, batch.labels == 0, batch.labels > 0], dim=-1)
    return _mean(-(batch.raw.log_softmax(dim=-1) * down_flat_up).sum(dim=-1), batch.weights)


def _pairwise_rank(batch: Batch) -> Tensor:
    """softplus(−(score of the better − score of the worse)), mean over pairs of one date.

    A pair of equal labels has no better one and does not count; a pair weighs the product of its
    rows' weights.
    """
    rows = len(batch.raw)
    order = torch.argsort(batch.dates, stable=True)
    dates, raw = batch.dates[order], batch.raw[order]
    labels, weights = batch.labels[order], batch.weights[order]
    steps = torch.arange(1, min(PARTNERS, rows - 1) + 1, device=raw.device)
    other = torch.arange(rows, device=raw.device)[:, None] + steps  # [n, P]
    inside = other < rows
    other = other.clamp(max=rows - 1)
    together = inside & (dates[other] == dates[:, None])
    ahead = (labels[:, None] - labels[other]).sign()  # [n, P, H]
    losses = functional.softplus(-ahead * (raw[:, None] - raw[other]))
    return _mean(losses, weights[:, None] * weights[other] * together[..., None] * ahead.abs())


def _negative_ic(batch: Batch) -> Tensor:
    """Minus the weighted correlation of each date; a date counts by the mean weight of its rows.

    A date counts with 2 labels or more that differ.
    """
    groups = _number(batch.dates)
    tiny = torch.finfo(batch.raw.dtype).tiny

    def total(values: Tensor) -> Tensor:
        return torch.zeros_like(values).index_add(0, groups, values)

    mass = total(batch.weights)

    def centre(values: Tensor) -> Tensor:
        means = total(values * batch.weights) / mass.clamp(min=tiny)
        return values - means[groups]

    forecasts, labels = centre(batch.raw), centre(batch.labels)
    together = total(batch.weights * forecasts * labels)
    spread = total(batch.weights * labels.square())
    # Without the small share a constant forecast would have an infinite gradient.
    own = total(batch.weights * forecasts.square()) + 1e-8 * mass
    counts = (batch.weights > 0).to(mass.dtype)
    usable = (total(counts) >= 2) & (spread > 1e-12 * mass)
    ic = together / (own * torch.where(usable, spread, 1.0)).clamp(min=tiny).sqrt()
    return -_mean(ic, torch.where(usable, mass / total(counts).clamp(min=1), 0.0))


LOSSES: dict[str, Loss] = {
    "mse": Loss(_mse, ("mean",)),
    "huber": Loss(_huber, ("mean",)),
    "pinball": Loss(_pinball, ("quantiles",)),
    "cross_entropy": Loss(_cross_entropy, ("direction",)),
    "pairwise_rank": Loss(_pairwise_rank, ("rank", "mean"), separable=False, fixes_level=False),
    "negative_ic": Loss(_negative_ic, ("rank", "mean"), separable=False, fixes_level=False),
}


class Objective:
    """A sum of losses by weight.

    Args:
        losses: (name, weight above 0) pairs.
        head: kind of the head whose raw output they judge.
        levels: of the quantiles, for that head.

    Attributes:
        separable: the objective is a weighted mean over labels. Otherwise the rows of one date
            must be together in a batch, and a mean over batches is not the whole's.

    Raises:
        UsageError: a name is unknown, a weight is not above 0, a loss does not suit the head.
    """

    def __init__(
        self, losses: Sequence[tuple[str, float]], head: str, levels: Sequence[float] = ()
    ) -> None:
        _check(losses, head, levels)
        self.losses = tuple((LOSSES[name], float(weight)) for name, weight in losses)
        self.separable = all(loss.separable for loss, _ in self.losses)
        self._levels = torch.tensor(tuple(levels))

    def __call__(
        self,
        raw: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        dates: Tensor | None = None,
    ) -> Tensor:
        """Returns the objective, a scalar in float32 or wider.

        Args:
            raw: output of the head [n, H] or [n, H, Q].
            labels: [n, H]; NaN is masked, and counts as little as a label of weight 0.
            weights: [n]; None weighs all rows the same.
            dates: int64 [n]; rows of one code stand in one cross-section. None puts all into one.
        """
        kind = torch.promote_types(raw.dtype, torch.float32)
        seen = ~labels.isnan()
        wide = seen.to(kind) if weights is None else seen * weights[:, None].to(kind)
        # Kept where it was last needed: a copy at each step would make a GPU wait.
        self._levels = self._levels.to(raw.device, kind)
        batch = Batch(
            raw.to(kind),
            torch.where(seen, labels, 0.0).to(kind),
            wide,
            torch.zeros_like(labels[:, 0], dtype=torch.int64) if dates is None else dates,
            self._levels,
        )
        parts = [weight * loss.of(batch) for loss, weight in self.losses]
        return torch.stack(parts).sum()


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Returns the weighted mean, and 0 (with gradients of 0) where all weights are 0."""
    mass = weights.sum()
    return (values * weights).sum() / torch.where(mass > 0, mass, 1.0)


def _number(dates: Tensor) -> Tensor:
    """Returns a number from 0 to n − 1 for each row [n], the same for rows of one date."""
    ordered, order = torch.sort(dates, stable=True)
    new = functional.pad((ordered[1:] != ordered[:-1]).long(), (1, 0))
    return torch.empty_like(order).scatter(0, order, new.cumsum(0))


def _check(losses: Sequence[tuple[str, float]], head: str, levels: Sequence[float]) -> None:
    if not losses:
        raise UsageError("losses=[] leaves nothing to minimise; name one, such as ('mse', 1).")
    for name, weight in losses:
        if name not in LOSSES:
            raise UsageError(
                f"loss={name!r} is unknown.{near(name, LOSSES)} Use one of {', '.join(LOSSES)}."
            )
        if not 0 < weight < float("inf"):
            raise UsageError(
                f"the weight {weight} of loss {name} is not a number above 0; mend it."
            )
        if head not in LOSSES[name].heads:
            suited = [n for n, loss in LOSSES.items() if head in loss.heads]
            raise UsageError(
                f"loss={name!r} suits the heads {', '.join(LOSSES[name].heads)}, but the head is "
                f"{head!r}; take one of {', '.join(suited)}, or another head."
            )
    if head == "mean" and not any(LOSSES[name].fixes_level for name, _ in losses):
        raise UsageError(
            f"losses {[name for name, _ in losses]} alone leave level and scale of a mean "
            "undetermined; add 'mse' or 'huber', or take the head 'rank'."
        )
    if head == "quantiles" and not levels:
        raise UsageError("levels=() names no quantile for loss 'pinball'; give the head's levels.")
