"""Loss and gradients of one batch, the same bits on one thread and on many.

On the CPU:

1. The batch is cut into micro-batches; how depends on its size alone. A step of a recurrent layer
   over one of them stays in the processor's cache.
2. Each goes forward and backward by itself, on one thread, several side by side. It draws its
   dropout from a stream of its own.
3. Gradients and losses are added in the order of the batch, whoever ends first.

A loss that needs whole dates together (see Objective.separable) is taken between forward and
backward, on the outputs of all micro-batches. On a GPU the batch goes through in one piece.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from models.errors import ModelError
from models.losses import Objective
from models.panel import Batch
from models.threads import Each, side_by_side

MICRO = 512  # windows in a micro-batch at most: small ones cost calls, large ones leave the caches

Gradients = tuple[Tensor | None, ...]


def backward(
    network: nn.Module,
    objective: Objective,
    batch: Batch,
    share: float = 1.0,
    precision: str = "float32",
    micro: int = MICRO,
    threads: int | None = None,
) -> Tensor:
    """Adds `share` times the gradient of the batch's loss to the parameters; returns the loss.

    Args:
        network: in training mode.
        objective: the loss, averaged over the batch.
        batch: windows, or chunks.
        share: what the batch counts among those whose gradients are summed.
        precision: float32 or bf16; under bf16 the batch goes through in one piece.
        micro: windows in a micro-batch at most. The last bits depend on it.
        threads: at work side by side; None takes torch's number. No bit depends on it.

    Returns:
        The loss, a scalar without a graph, not multiplied by `share`.

    Raises:
        ModelError: the network drew from torch's common stream in a micro-batch.
    """
    if batch.windows.device.type != "cpu" or precision != "float32":
        with torch.autocast(batch.windows.device.type, torch.bfloat16, precision == "bf16"):
            raw = _forward(network, batch)
        loss = _loss(objective, raw, batch)
        (share * loss).backward()
        return loss.detach()
    parameters = [p for p in network.parameters() if p.requires_grad]
    parts = cut(batch, micro)
    # Drawn before any thread starts, from the stream that the caller seeded.
    seeds: list[int] = torch.randint(2**62, (len(parts),)).tolist()
    stream = torch.get_rng_state()

    def forward(part: int) -> Tensor:
        with _OwnStream(seeds[part]):
            return _forward(network, parts[part])

    with side_by_side(len(parts), threads) as each:
        if objective.separable:
            loss = _separable(forward, objective, parts, share, parameters, each)
        else:
            loss = _together(forward, objective, batch, share, parameters, each)
    if not torch.equal(stream, torch.get_rng_state()):
        raise ModelError(
            f"{type(network).__name__} drew random numbers from torch's common stream, whose order "
            "hangs on the threads; use torch.nn.functional.dropout, run_cells, or a generator."
        )
    return loss


def cut(batch: Batch, micro: int = MICRO) -> list[Batch]:
    """Returns the batch's micro-batches: an even number of about equal size, each ≤ `micro`."""
    size = len(batch.windows)
    pieces = min(size, 2 * -(-size // (2 * micro)))
    bounds = [size * i // pieces for i in range(pieces + 1)]
    return [_rows(batch, slice(low, high)) for low, high in pairwise(bounds)]


def _separable(
    forward: Callable[[int], Tensor],
    objective: Objective,
    parts: Sequence[Batch],
    share: float,
    parameters: Sequence[nn.Parameter],
    each: Each,
) -> Tensor:
    masses = torch.stack([_mass(part) for part in parts])
    total = masses.sum()
    counts = masses / torch.where(total > 0, total, 1.0)  # of each micro-batch in the mean

    def work(part: int) -> tuple[Tensor, Gradients]:
        loss = counts[part] * _loss(objective, forward(part), parts[part])
        return loss.detach(), torch.autograd.grad(share * loss, parameters, allow_unused=True)

    loss = torch.zeros(())
    for of_part, gradients in each(work):
        loss += of_part
        _add(parameters, gradients)
    return loss


def _together(
    forward: Callable[[int], Tensor],
    objective: Objective,
    batch: Batch,
    share: float,
    parameters: Sequence[nn.Parameter],
    each: Each,
) -> Tensor:
    outputs: list[Tensor] = list(each(forward))
    raw = torch.cat([output.detach() for output in outputs]).requires_grad_()
    loss = _loss(objective, raw, batch)
    (of_raw,) = torch.autograd.grad(share * loss, raw)
    of_outputs = of_raw.split([len(output) for output in outputs])

    def back(part: int) -> Gradients:
        return torch.autograd.grad(outputs[part], parameters, of_outputs[part], allow_unused=True)

    for gradients in each(back):
        _add(parameters, gradients)
    return loss.detach()


class _OwnStream(TorchFunctionMode):
    """Draws dropout from a seed of its own: torch's stream is one for all threads."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is functional.dropout:
            return self._drop(*args, **kwargs)
        if function is functional.scaled_dot_product_attention and kwargs.get("dropout_p"):
            return self._attend(*args, **kwargs)
        return function(*args, **kwargs)

    def _drop(
        self, values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return values
        if p == 1:
            return values * 0
        kept = torch.empty_like(values, requires_grad=False)
        return values * kept.bernoulli_(1 - p, generator=self._generator).div_(1 - p)

    def _attend(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        attn_mask: None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
    ) -> Tensor:
        scores = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        if is_causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        return self._drop(scores.softmax(-1), dropout_p) @ values


def _forward(network: nn.Module, batch: Batch) -> Tensor:
    """Returns the raw outputs [n, H] or [n, H, Q] for the batch's n labels."""
    if batch.burn_in is None:
        raw: Tensor = network(batch.windows, batch.symbols, batch.covariates)
        return raw
    unroll: Callable[..., Tensor] = network.unroll  # type: ignore[assignment]
    return unroll(batch.windows, batch.burn_in, batch.symbols, batch.covariates).flatten(0, 1)


def _loss(objective: Objective, raw: Tensor, batch: Batch) -> Tensor:
    labels = batch.labels.reshape(-1, batch.labels.shape[-1])
    return objective(raw, labels, _flat(batch.weights), _flat(batch.dates))


def _mass(batch: Batch) -> Tensor:
    """Returns what the batch's labels count together, as the objective's mean counts them."""
    seen = ~batch.labels.isnan()
    return (seen if batch.weights is None else seen * batch.weights.unsqueeze(-1)).float().sum()


def _rows(batch: Batch, rows: slice) -> Batch:
    parts: dict[str, Any] = {
        name: value[rows] for name, value in vars(batch).items() if isinstance(value, Tensor)
    }
    return replace(batch, **parts)


def _flat(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.reshape(-1)


def _add(parameters: Sequence[nn.Parameter], gradients: Gradients) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            continue
        if parameter.grad is None:  # a gradient may be a view of something larger
            parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
        else:
            parameter.grad += gradient
