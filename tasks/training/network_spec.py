"""What a user may choose about the network."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NetworkSpec(BaseModel):
    """The recurrent network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["recurrent"] = Field("recurrent", description="Family of the network.")
    cell: Literal["lstm", "gru", "rnn"] = Field("gru", description="Recurrent cell.")
    layers: int = Field(1, ge=1, le=4, description="Stacked recurrent layers.")
    hidden: int = Field(32, ge=1, le=1024, description="Units of each layer.")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Dropout between layers and before the head, a share."
    )
