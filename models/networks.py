"""Networks: windows [B, L, F] in, one raw forecast a window [B] out, in the unit of the labels."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from models.errors import UsageError, near

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrent(nn.Module):
    """A recurrent network whose last hidden state goes through one linear head.

    `rnn` is Elman's network with tanh; `gru` is cuDNN's variant (the reset gate after the
    recurrent product), as torch has it. `dropout` acts between the layers and before the head,
    so that it also does something in a network of one layer.
    """

    def __init__(self, inputs: int, cell: str, layers: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if cell not in CELLS:
            raise UsageError(
                f"cell={cell!r} is unknown.{near(cell, CELLS)} Use one of {', '.join(CELLS)}."
            )
        self.rnn = CELLS[cell](
            inputs, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Returns one raw forecast [B] for each of the windows [B, L, F]."""
        states, _ = self.rnn(windows)  # [B, L, hidden]
        raw: Tensor = self.head(self.dropout(states[:, -1]))  # [B, 1]
        return raw.squeeze(-1)


NETWORKS: dict[str, type[nn.Module]] = {"recurrent": Recurrent}


def build_network(kind: str, inputs: int, **options: Any) -> nn.Module:
    """Returns a fresh network of a registered kind; its weights come from torch's global state."""
    if kind not in NETWORKS:
        raise UsageError(
            f"network kind={kind!r} is unknown.{near(kind, NETWORKS)} "
            f"Use one of {', '.join(NETWORKS)}."
        )
    return NETWORKS[kind](inputs, **options)
