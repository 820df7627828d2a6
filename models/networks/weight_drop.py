"""How a recurrent module runs, with variational dropout on its recurrent path: weight drop.

Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language Models" (ICLR 2018), drop
single weights of the hidden-to-hidden matrices, one mask for all steps and windows of a batch; on
the CPU of a micro-batch (see models/step.py). The mask is drawn before the layers run, so that they
run as a whole (in cuDNN on a GPU); Gal and Ghahramani's masks on the state (2016) would need a loop
over the steps.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recurrence import run_cells, suits_cells


def run_with_dropped_weights(rnn: nn.RNNBase, inputs: Tensor, share: float) -> Tensor:
    """Returns the last layer's states [B, L, width] for inputs [B, L, F].

    While the module trains, each hidden-to-hidden weight is zero with probability `share` and else
    divided by 1 − share, anew at each call.
    """
    dropping, in_cells = share > 0 and rnn.training, suits_cells(rnn, inputs)
    if not dropping and not in_cells:
        states: Tensor = rnn(inputs)[0]
        return states
    # One list (input weights, recurrent weights, then the biases) a layer and direction.
    stacked: list[list[Tensor]] = [[*one] for one in rnn.all_weights]
    if dropping:
        stacked = [[w_ih, functional.dropout(w_hh, share), *rest] for w_ih, w_hh, *rest in stacked]
    if in_cells:
        return run_cells(rnn.mode, inputs, stacked, rnn.dropout, rnn.bidirectional)
    weights = _pack(stacked) if inputs.is_cuda else [w for one in stacked for w in one]
    shape = (len(stacked), inputs.shape[0], rnn.hidden_size)
    start = torch.zeros(shape, dtype=inputs.dtype, device=inputs.device)
    how = (True, rnn.num_layers, rnn.dropout, True, rnn.bidirectional, True)
    if rnn.mode == "LSTM":
        return torch.lstm(inputs, (start, start), weights, *how)[0]
    run = torch.gru if rnn.mode == "GRU" else torch.rnn_tanh
    return run(inputs, start, weights, *how)[0]


def _pack(stacked: list[list[Tensor]]) -> list[Tensor]:
    """Returns the same weights as views of one buffer in the order cuDNN reads: matrices first.

    Scattered weights would be copied together at every step, with a warning.
    """
    ordered = [w for one in stacked for w in one[:2]] + [w for one in stacked for w in one[2:]]
    buffer = torch.cat([w.reshape(-1) for w in ordered])
    pieces = buffer.split([w.numel() for w in ordered])
    views = iter([p.view_as(w) for p, w in zip(pieces, ordered, strict=True)])
    packed = [[next(views), next(views)] for _ in stacked]
    for one, whole in zip(packed, stacked, strict=True):
        one += [next(views) for _ in whole[2:]]
    return [w for one in packed for w in one]
