"""The recurrent network: convolutions in front, a stack of cells, attention over the window.

1. `convolutions` along time, each followed by ReLU (CNN-LSTM). Causal ones pad on the left only,
   so that a step sees no later bar.
2. A stack of `layers` cells. Without layer normalisation it is one module of torch, which cuDNN
   runs as a whole.
3. The state at the last step; with attention also the weighted mean of all states.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import UsageError, near
from models.networks.network import Network
from models.networks.weight_drop import run_with_dropped_weights

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrent(Network):
    """A recurrent network.

    `rnn` is Elman's network with tanh; `gru` is cuDNN's variant (the reset gate after the
    recurrent product), as torch has it. `dropout` acts between the layers and before the head, so
    that it also does something in a network of one layer.

    Args:
        inputs: F.
        cell: one of CELLS.
        layers: stacked layers.
        hidden: units of a layer and direction.
        dropout: share dropped between layers and before the head.
        recurrent_dropout: share of the recurrent weights dropped, see models/networks/weight_drop.
        bidirectional: a second direction runs from the window's last bar to its first.
        layer_norm: normalises what each layer puts out (Ba et al. 2016, but not inside the cell,
            where it would cost cuDNN).
        convolutions: how many stand in front; 0 has none.
        kernel: bars that one convolution sees.
        channels: of each convolution.
        causal: False centres the convolutions, which then see later bars of the window.
        attention: additive attention over the window.
        context: the head and what is known of the symbol, see Network.
    """

    def __init__(
        self,
        inputs: int,
        cell: str,
        layers: int,
        hidden: int,
        dropout: float,
        recurrent_dropout: float = 0.0,
        bidirectional: bool = False,
        layer_norm: bool = False,
        convolutions: int = 0,
        kernel: int = 3,
        channels: int = 32,
        causal: bool = True,
        attention: bool = False,
        **context: Any,
    ) -> None:
        if cell not in CELLS:
            raise UsageError(
                f"cell={cell!r} is unknown.{near(cell, CELLS)} Use one of {', '.join(CELLS)}."
            )
        if layer_norm and hidden < 2:
            raise UsageError(
                f"layer_norm=true makes all states of hidden={hidden} the same; use 2 or more."
            )
        width = hidden * (2 if bidirectional else 1)
        super().__init__(width * (2 if attention else 1), dropout, **context)
        self.hidden, self.recurrent_dropout = hidden, recurrent_dropout
        self.front = _Convolutions(inputs, channels, convolutions, kernel, causal)
        first = channels if convolutions else inputs
        between = dropout if layers > 1 else 0.0
        self.rnn: _NormedStack | nn.RNNBase
        if layer_norm:
            self.rnn = _NormedStack(CELLS[cell], first, layers, hidden, between, bidirectional)
        else:
            self.rnn = CELLS[cell](
                first,
                hidden,
                layers,
                batch_first=True,
                dropout=between,
                bidirectional=bidirectional,
            )
        self.attention = _Attention(width) if attention else None
        reasons = {
            "bidirectional=true reads the window from its end": bidirectional,
            "attention=true weighs all steps of one window": attention,
            "causal=false lets convolutions see later bars": convolutions > 0 and not causal,
        }
        self.why_not_dense = " and ".join(r for r, met in reasons.items() if met) or None

    def extra_repr(self) -> str:
        """Returns what the parts do not show."""
        return f"recurrent_dropout={self.recurrent_dropout}"

    def encode(self, windows: Tensor) -> Tensor:
        """Returns the state [B, width] after the last bar of the windows [B, L, F]."""
        states = self.encode_steps(windows)  # [B, L, hidden, or twice that]
        # The second direction ends at the first bar: only there it has seen the whole window.
        last = torch.cat([states[:, -1, : self.hidden], states[:, 0, self.hidden :]], dim=-1)
        if self.attention is None:
            return last
        return torch.cat([self.attention(states), last], dim=-1)

    def encode_steps(self, chunks: Tensor) -> Tensor:
        """Returns the states [B, C, width] of the cells after each bar of the chunks [B, C, F]."""
        inputs = self.front(chunks)
        if isinstance(self.rnn, _NormedStack):
            states: Tensor = self.rnn(inputs, self.recurrent_dropout)
            return states
        return run_with_dropped_weights(self.rnn, inputs, self.recurrent_dropout)


class _Convolutions(nn.Module):
    """1-D convolutions along time; as many steps come out as go in."""

    def __init__(self, inputs: int, channels: int, count: int, kernel: int, causal: bool) -> None:
        super().__init__()
        sizes = [inputs, *[channels] * count]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, kernel) for before, after in pairwise(sizes)
        )
        later = 0 if causal else (kernel - 1) // 2
        self.padding = (kernel - 1 - later, later)

    def extra_repr(self) -> str:
        """Returns what the layers do not show."""
        return f"padding={self.padding}"

    def forward(self, windows: Tensor) -> Tensor:
        """Returns [B, L, channels] for the windows [B, L, F]; without a layer the windows."""
        if not self.layers:
            return windows
        steps = windows.transpose(1, 2)
        for layer in self.layers:
            steps = layer(functional.pad(steps, self.padding)).relu()
        return steps.transpose(1, 2)


class _NormedStack(nn.Module):
    """Recurrent layers, each followed by layer normalisation, and dropout between them."""

    def __init__(
        self,
        cell: Callable[..., nn.RNNBase],
        inputs: int,
        layers: int,
        hidden: int,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        super().__init__()
        width = hidden * (2 if bidirectional else 1)
        self.layers = nn.ModuleList(
            cell(width if above else inputs, hidden, batch_first=True, bidirectional=bidirectional)
            for above in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, recurrent_dropout: float) -> Tensor:
        """Returns the last layer's normalised states [B, L, width]."""
        for above, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            if above:
                inputs = self.dropout(inputs)
            cells = cast(nn.RNNBase, layer)
            inputs = norm(run_with_dropped_weights(cells, inputs, recurrent_dropout))
        return inputs


class _Attention(nn.Module):
    """Additive attention over the steps of a window, as in attention LSTMs for stocks.

    weight[s] = softmax over s of u · tanh(W h[s] + b): the attention of Bahdanau et al. (2015), in
    the temporal form of Feng et al. (IJCAI 2019), after Qin et al. (IJCAI 2017). It is theirs
    without the tanh layer in front of the cells; one convolution of kernel 1 comes near it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Returns the weighted mean [B, width] of the states [B, L, width]."""
        weights = self.outer(torch.tanh(self.inner(states))).softmax(dim=1)  # [B, L, 1]
        return (weights * states).sum(dim=1)
