"""What a user may choose about the gate, which decides whether a new model becomes champion."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GateSpec(BaseModel):
    """How a new model is held against the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["loss", "ic"] = Field(
        "loss",
        description="What is compared: mean squared errors, or ICs. Where one of the two heads "
        "forecasts no mean it is the ICs.",
    )
    margin_loss: float = Field(
        0.001,
        ge=0,
        le=1,
        description="A refresh is rejected once it is shown to err by more than this share more "
        "than the champion.",
    )
    margin_ic: float = Field(
        0.005,
        ge=0,
        le=1,
        description="The same of the IC: by how much it may be lower.",
    )
    confidence: float = Field(
        0.95, ge=0.5, le=0.999, description="One-sided confidence of the comparison."
    )
    min_dates: int = Field(
        60, ge=20, le=10_000, description="Common out-of-sample dates that a comparison needs."
    )
    min_live_nights: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Common live nights after both training ends, from which on they count too.",
    )
