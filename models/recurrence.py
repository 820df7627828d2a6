"""Layers of LSTM and GRU cells on the CPU, forward and backward, for training.

Torch's own layers take some twenty operations a step, each with a result of its own. Here a step
is a matrix product and one pass over the gates, which stay in cache:

1. Bars, a row of ones (for the biases) and states lie as [L, F + 1 + H, B], the batch innermost;
   the states are written where the next step's product reads them.
2. Forward, for every step: gates = weights @ [bars; 1; states before], then one compiled pass
   makes the gates' values, in place, and the new states.
3. Backward, from the last step: one compiled pass turns the gates' values into their gradients, in
   place; a product hands the gradient on to the step before, another adds to the weights'.

Parameters, their order and the arithmetic are torch's; values differ in the last bits only.
"""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from models.gates import CELLS, compiled


def suits_cells(rnn: nn.RNNBase, inputs: Tensor) -> bool:
    """Returns whether `run_cells` takes the place of torch's module: in training on the CPU."""
    return (
        rnn.training
        and torch.is_grad_enabled()
        and rnn.bias
        and inputs.device.type == "cpu"
        and inputs.dtype == torch.float32
    )


def run_cells(
    mode: str,
    inputs: Tensor,
    weights: Sequence[Sequence[Tensor]],
    dropout: float = 0.0,
    bidirectional: bool = False,
) -> Tensor:
    """Returns the last layer's states [B, L, width] for inputs [B, L, F].

    Args:
        mode: LSTM, GRU or RNN_TANH, as `nn.RNNBase.mode` has it.
        inputs: float32 on the CPU. (float64 runs too, with tanh still as good as float32.)
        weights: input weights, recurrent weights and the two biases of each layer and direction,
            as `nn.RNNBase.all_weights` has them.
        dropout: share of the states dropped between layers.
        bidirectional: every other entry of `weights` runs from the last bar to the first.
    """
    ways = 2 if bidirectional else 1
    states = inputs.permute(1, 2, 0)  # [L, F, B]
    for layer in range(0, len(weights), ways):
        if layer and dropout:
            states = functional.dropout(states, dropout)
        out = _run_layer(mode, states, weights[layer])
        if bidirectional:
            back = _run_layer(mode, states.flip(0), weights[layer + 1])
            out = torch.cat([out, back.flip(0)], dim=1)
        states = out
    return states.permute(2, 0, 1)


def _run_layer(mode: str, bars: Tensor, weights: Sequence[Tensor]) -> Tensor:
    if mode in CELLS:
        states: Tensor = _Layer.apply(mode, bars, *weights)
        return states
    # An Elman cell has so little to do beside its products that torch's own layer will do.
    start = bars.new_zeros(1, bars.shape[2], len(weights[0]))
    how = (True, 1, 0.0, True, False, False)
    return torch.rnn_tanh(bars.transpose(1, 2), start, list(weights), *how)[0].transpose(1, 2)


class _Layer(torch.autograd.Function):
    """One layer in one direction: bars [L, F, B] to states [L, H, B]."""

    @staticmethod
    def forward(
        ctx: Any,
        mode: str,
        bars: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor,
        b_hh: Tensor,
    ) -> Tensor:
        steps, inputs, batch = bars.shape
        hidden = w_hh.shape[1]
        ahead, _, first = compiled(mode)
        # Rows of `gates` from 0 on read the bars, rows from `first` on read the states.
        lo = first * hidden
        w_ih, b_ih = w_ih.roll(lo, 0), b_ih.roll(lo, 0)
        reads = [torch.cat([w_ih, b_ih[:, None]], 1), torch.cat([b_hh[:, None], w_hh], 1)]
        hi = len(w_ih)
        both = torch.cat([w_ih[lo:], (b_ih[lo:] + b_hh[: hi - lo])[:, None], w_hh[: hi - lo]], 1)

        seen = bars.new_empty(steps + 1, inputs + 1 + hidden, batch)
        seen[:-1, :inputs] = bars
        seen[:, inputs] = 1
        seen[0, inputs + 1 :] = 0
        gates = bars.new_empty(steps, 4 * hidden, batch)
        # An LSTM's cells and their tanh.
        memory = bars.new_empty(2, steps + 1 if mode == "LSTM" else 0, hidden, batch)
        memory[:, :1] = 0
        states = bars.new_empty(steps, hidden, batch)
        products = [(both, seen[:-1].unbind(), gates[:, lo:hi].unbind())]
        if lo:
            products += [
                (reads[0][:lo], seen[:-1, : inputs + 1].unbind(), gates[:, :lo].unbind()),
                (reads[1][hi - lo :], seen[:-1, inputs:].unbind(), gates[:, hi:].unbind()),
            ]
        raw = [_flat(x) for x in (gates, seen, memory, states)]
        with torch._C.DisableTorchFunction():  # nothing here that a mode would want to see
            for step in range(steps):
                for weight, read, written in products:
                    torch.mm(weight, read[step], out=written[step])
                ahead(*raw, step, inputs + 1, hidden, batch)
        ctx.save_for_backward(w_ih, w_hh, seen, gates, memory)
        ctx.mode, ctx.spent = mode, False
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.spent:  # the gates' values are gone
            raise RuntimeError("a recurrent layer goes backward once; run it forward again.")
        ctx.spent = True
        w_ih, w_hh, seen, gates, memory = ctx.saved_tensors
        steps, hidden, batch = grads[0].shape
        inputs = w_ih.shape[1]
        _, back, first = compiled(ctx.mode)
        lo, hi = first * hidden, len(w_ih)
        from_states = w_hh.t().contiguous()
        carried = gates.new_zeros(2, hidden, batch)  # through the product, and beside it
        by_bars, by_states = gates[:, :hi].unbind(), gates[:, lo:].unbind()
        # Bars and states as the products for the weights read them, transposed.
        bars, states = (part.transpose(1, 2).unbind() for part in _parts(seen[:-1], inputs, lo))
        of_bars = gates.new_zeros(hi, bars[0].shape[1])
        of_states = gates.new_zeros(4 * hidden - lo, states[0].shape[1]) if lo else of_bars
        of_inputs = gates.new_empty(steps, inputs, batch) if ctx.needs_input_grad[1] else None
        from_bars = w_ih.t().contiguous()
        raw = [_flat(x) for x in (gates, seen, memory, grads[0].contiguous(), carried)]
        for step in reversed(range(steps)):
            back(*raw, step, inputs + 1, hidden, batch)
            torch.mm(from_states, by_states[step], out=carried[0])
            of_bars.addmm_(by_bars[step], bars[step])
            if lo:
                of_states.addmm_(by_states[step], states[step])
            if of_inputs is not None:
                torch.mm(from_bars, by_bars[step], out=of_inputs[step])
        one = 0 if lo else inputs  # column of the ones in of_states
        return (
            None,
            of_inputs,
            of_bars[:, :inputs].roll(-lo, 0),
            of_states[:, one + 1 :],
            of_bars[:, inputs].roll(-lo, 0),
            of_states[:, one],
        )


def _parts(seen: Tensor, inputs: int, apart: int) -> tuple[Tensor, Tensor]:
    """Returns what the two weight gradients read: one product serves both where rows agree."""
    return (seen[:, : inputs + 1], seen[:, inputs:]) if apart else (seen, seen)


def _flat(tensor: Tensor) -> NDArray:
    return tensor.detach().view(-1).numpy()
