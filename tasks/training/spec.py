"""What a user may choose about training."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class TrainingSpec(BaseModel):
    """The fit loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(10, ge=1, le=1_000, description="Most epochs of a fit.")
    patience: int = Field(
        3, ge=1, le=1_000, description="Epochs without a better loss on stop before a fit ends."
    )
    batch_size: int = Field(512, ge=1, le=65_536, description="Windows in a batch.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Step size of AdamW.")
    weight_decay: float = Field(1e-3, ge=0, le=10, description="Decoupled L2 penalty of AdamW.")
    clip_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    loss: Literal["mse", "huber"] = Field(
        "mse", description="Loss on labels divided by their standard deviation over fit."
    )
    seeds: tuple[int, ...] = Field(
        (0, 1, 2), min_length=1, max_length=64, description="One network a seed; the mean counts."
    )
    max_windows_per_epoch: int | None = Field(
        None, ge=1, description="Windows drawn (seeded) for an epoch; empty takes all."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one and says so."
    )

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds={list(seeds)} must be distinct and ≥ 0; change one of them.")
        return seeds
