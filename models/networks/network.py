"""What every network is: windows [B, L, F] in, one raw output a window at the last step out.

A network makes a state of the bars it has seen; beside it stand, where asked for, what is known of
the symbol: a learned embedding of its code and static covariates. One head reads them together.
A family of networks writes `encode`, and `encode_steps` where it can be supervised densely.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.errors import ModelError, UsageError
from models.heads import build_head


class Network(nn.Module):
    """Base of all networks.

    Args:
        width: size of the state that `encode` returns.
        dropout: share of the state (and of what stands beside it) dropped before the head.
        head: kind of the head, see models/heads.py.
        horizons: H, how many horizons are forecast at once.
        levels: of the quantiles, for that head.
        n_symbols: N, largest code of a symbol; needed for an embedding.
        embedding: size of a symbol's embedding; 0 has none.
        covariates: S, numbers known of a symbol beside its bars.
    """

    # Why the steps of a chunk cannot all be supervised, in words; None where they can.
    why_not_dense: str | None = None

    def __init__(
        self,
        width: int,
        dropout: float,
        head: str = "mean",
        horizons: int = 1,
        levels: Sequence[float] = (),
        n_symbols: int = 0,
        embedding: int = 0,
        covariates: int = 0,
    ) -> None:
        super().__init__()
        if embedding and n_symbols < 1:
            raise UsageError(
                f"embedding={embedding} needs symbols to tell apart, but n_symbols={n_symbols}; "
                "give the largest symbol code, or embedding=0."
            )
        # Code 0, an unknown symbol, is a vector of zeros that no gradient ever moves.
        self.embedding = (
            nn.Embedding(n_symbols + 1, embedding, padding_idx=0) if embedding else None
        )
        self.covariates = covariates
        self.dropout = nn.Dropout(dropout)
        self.head = build_head(head, width + embedding + covariates, horizons, levels)

    def encode(self, windows: Tensor) -> Tensor:
        """Returns the state [B, width] after the last bar of the windows [B, L, F]."""
        raise NotImplementedError

    def encode_steps(self, chunks: Tensor) -> Tensor:
        """Returns the state [B, C, width] after each bar of the chunks [B, C, F].

        The state after bar t is what `encode` makes of the bars up to t.
        """
        raise NotImplementedError

    def forward(
        self, windows: Tensor, symbols: Tensor | None = None, covariates: Tensor | None = None
    ) -> Tensor:
        """Returns the raw output at the last step.

        Args:
            windows: [B, L, F].
            symbols: int64 [B], 0 unknown, else 1 to N; only for a network with an embedding.
            covariates: [B, S]; only for a network with covariates.

        Returns:
            [B, H], or [B, H, Q] from a head of several numbers a horizon.
        """
        return self._read(self.encode(windows), symbols, covariates)

    def unroll(
        self,
        chunks: Tensor,
        burn_in: int,
        symbols: Tensor | None = None,
        covariates: Tensor | None = None,
    ) -> Tensor:
        """Returns the raw outputs at steps burn_in − 1 to C − 1 of the chunks [B, C, F].

        Covariates are [B, C − burn_in + 1, S], one vector a step, or [B, S].

        The state runs from step 0 on, so that `unroll(x, L)[:, 0]` is `forward(x[:, :L])`; later
        outputs have seen more than L bars.

        Returns:
            [B, C − burn_in + 1, H], or [B, C − burn_in + 1, H, Q] as in `forward`.

        Raises:
            UsageError: some output would depend on later steps, or burn_in does not fit.
        """
        if self.why_not_dense is not None:
            raise UsageError(
                f"this network cannot be supervised at every step: {self.why_not_dense}; "
                "use supervision='last'."
            )
        if not 1 <= burn_in <= chunks.shape[1]:
            raise UsageError(
                f"burn_in={burn_in} is not within a chunk of {chunks.shape[1]} steps; "
                "use 1 up to the steps of the chunk."
            )
        return self._read(self.encode_steps(chunks)[:, burn_in - 1 :], symbols, covariates)

    def _read(self, states: Tensor, symbols: Tensor | None, covariates: Tensor | None) -> Tensor:
        """Returns the head's output for states [B, width] or [B, K, width]."""
        parts = [states]
        if self.embedding is not None:
            if symbols is None:
                raise ModelError(
                    "the network has an embedding of symbols, but symbols=None; pass their codes."
                )
            parts.append(self.embedding(symbols))
        if self.covariates:
            if covariates is None or covariates.shape[-1] != self.covariates:
                met = None if covariates is None else tuple(covariates.shape)
                raise ModelError(
                    f"the network reads {self.covariates} covariates, but got {met}; "
                    f"pass [B, {self.covariates}]."
                )
            parts.append(covariates.to(states.dtype))
        if len(parts) > 1:
            if states.ndim == 3:
                parts[1:] = [
                    p if p.ndim == 3 else p.unsqueeze(1).expand(-1, states.shape[1], -1)
                    for p in parts[1:]
                ]
            states = torch.cat(parts, dim=-1)
        raw: Tensor = self.head(self.dropout(states))
        return raw
