"""The transformer: a causal encoder whose last step goes to the head.

Blocks as in Vaswani et al. (2017), normalised before each part (Xiong et al. 2020), with GELU; the
sinusoidal positions of Vaswani et al. are added to the projected bars. The mask is causal, so
that the state after a bar depends on that bar and earlier ones only.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import UsageError
from models.networks.network import Network


class Transformer(Network):
    """A causal transformer encoder.

    Unrolled over a chunk, a step sees all bars of the chunk up to it, so more than the windows of
    a prediction and at positions that those do not have.

    Args:
        inputs: F.
        layers: blocks.
        hidden: width of the encoder, even and a multiple of `attention_heads`.
        attention_heads: heads of each attention.
        dropout: share dropped after the positions, in each part of a block, and before the head.
        context: the head and what is known of the symbol, see Network.
    """

    def __init__(
        self,
        inputs: int,
        layers: int,
        hidden: int,
        attention_heads: int,
        dropout: float,
        **context: Any,
    ) -> None:
        if hidden % 2 or hidden % attention_heads:
            raise UsageError(
                f"hidden={hidden} must be even and a multiple of attention_heads="
                f"{attention_heads}; take such as hidden={2 * attention_heads * 8}."
            )
        super().__init__(hidden, dropout, **context)
        self.project = nn.Linear(inputs, hidden)
        self.drop_positions = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(hidden, attention_heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def encode(self, windows: Tensor) -> Tensor:
        """Returns the state [B, hidden] after the last bar of the windows [B, L, F]."""
        return self.encode_steps(windows)[:, -1]

    def encode_steps(self, chunks: Tensor) -> Tensor:
        """Returns the state [B, C, hidden] after each bar of the chunks [B, C, F]."""
        bars = self.project(chunks)
        steps = self.drop_positions(bars + positions(bars.shape[1], bars.shape[2], bars))
        for block in self.blocks:
            steps = block(steps)
        normed: Tensor = self.norm(steps)
        return normed


def positions(steps: int, width: int, like: Tensor) -> Tensor:
    """Returns the sinusoids [steps, width] of Vaswani et al. (2017), section 3.5.

    [p, 2i] = sin(p / 10000^(2i / width)) and [p, 2i + 1] the cosine; type and device as `like`.
    """
    where = torch.arange(steps, device=like.device, dtype=torch.float32)
    pairs = torch.arange(0, width, 2, device=like.device, dtype=torch.float32)
    angles = where[:, None] * torch.exp(pairs * (-math.log(10_000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(like.dtype)


class _Block(nn.Module):
    """Causal self-attention and a feed-forward part of 4 times the width, each added to its input.

    Queries, keys and values have no bias: a bias of the keys would change nothing.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.share = heads, dropout
        self.attention_norm, self.forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def extra_repr(self) -> str:
        """Returns what the parts do not show."""
        return f"heads={self.heads}"

    def forward(self, steps: Tensor) -> Tensor:
        """Returns [B, C, width] for steps [B, C, width]."""
        steps = steps + self.dropout(self._attend(self.attention_norm(steps)))
        inner = self.dropout(functional.gelu(self.widen(self.forward_norm(steps))))
        return steps + self.dropout(self.narrow(inner))

    def _attend(self, steps: Tensor) -> Tensor:
        queries, keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, C, width / heads]
            for part in self.queries_keys_values(steps).chunk(3, dim=-1)
        )
        share = self.share if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(
            queries, keys, values, dropout_p=share, is_causal=True
        )
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out
