"""What a user may choose about training."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

LossName = Literal["mse", "huber", "pinball", "cross_entropy", "pairwise_rank", "negative_ic"]
AugmentationName = Literal["jitter", "scaling", "warp", "slice", "mixup"]

# What a head minimises where nothing else is asked for.
LOSS_OF_HEAD: dict[str, LossName] = {
    "mean": "mse",
    "quantiles": "pinball",
    "direction": "cross_entropy",
    "rank": "pairwise_rank",
}
_TOGETHER = ("pairwise_rank", "negative_ic")


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds) or any(seed < 0 for seed in seeds):
        raise ValueError(f"seeds={list(seeds)} must be distinct and ≥ 0; change one of them.")
    return seeds


# One network a seed.
Seeds = Annotated[tuple[int, ...], AfterValidator(_distinct)]


class TrainingSpec(BaseModel):
    """The fit loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(10, ge=1, le=1_000, description="Most epochs of a fit.")
    patience: int = Field(
        3, ge=1, le=1_000, description="Epochs without a better score on stop before a fit ends."
    )
    metric: Literal["loss", "mse", "ic", "rank_ic"] = Field(
        "loss", description="Score on the stop span that chooses the epoch."
    )
    supervision: Literal["last", "dense"] = Field(
        "last",
        description="last: one label a window; dense: after a burn-in of the lookback's length "
        "every further step of a chunk has its label.",
    )
    chunk: int = Field(60, ge=2, le=2_000, description="Labels of a chunk, dense supervision.")
    batch_size: int = Field(
        512, ge=1, le=65_536, description="Windows in a batch; chunks, if dense."
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=1_024,
        description="Batches whose gradients make one step together, each by its labels.",
    )
    sampling: Literal["window", "date", "symbol"] = Field(
        "window",
        description="What stays together in a batch: nothing, all windows of a date, or of a "
        "symbol. Losses that compare symbols need date.",
    )
    max_windows_per_epoch: int | None = Field(
        None, ge=1, description="Labels drawn (seeded) for an epoch; empty takes all."
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="No epoch of a fit begins later than this, in seconds; a fit that it ended "
        "cannot be reproduced, and the report says so.",
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Largest step size of AdamW.")
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(
        "constant", description="How the step size falls over the epochs."
    )
    warmup: float = Field(
        0.0, ge=0, le=0.5, description="Share of all steps over which the step size rises."
    )
    weight_decay: float = Field(1e-3, ge=0, le=10, description="Decoupled L2 penalty of AdamW.")
    l1: float = Field(0.0, ge=0, le=10, description="L1 penalty on all weights.")
    clip_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    losses: dict[LossName, float] = Field(
        {},
        description="Losses and their weights; empty takes the head's own: mse of a mean, pinball "
        "of quantiles, cross_entropy of a direction, pairwise_rank of a rank. Labels are divided "
        "by their standard deviation over fit.",
    )
    augment: dict[AugmentationName, float] = Field(
        {}, description="Augmentations of the fit windows and their strengths; empty has none."
    )
    half_life: float | None = Field(
        None, gt=0, description="Sessions after which a label counts half; empty counts all alike."
    )
    uniqueness: bool = Field(
        False, description="Labels count by the share of their span that no other label covers."
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="bf16: mixed precision, on CUDA only."
    )
    seeds: Seeds = Field(
        (0, 1, 2), min_length=1, max_length=64, description="One network a seed; the mean counts."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one and says so."
    )

    @field_validator("losses", "augment")
    @classmethod
    def _above_0(cls, chosen: dict[str, float]) -> dict[str, float]:
        for name, weight in chosen.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"{name}={weight} must be above 0; raise it or leave it out.")
        if chosen.get("slice", 0.0) >= 1:
            raise ValueError(
                f"slice={chosen['slice']} must be below 1, the share of a window that may be cut "
                "off; lower it."
            )
        return chosen

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        compares = [name for name in self.losses if name in _TOGETHER]
        if compares and self.sampling != "date":
            raise ValueError(
                f"losses {', '.join(compares)} compare the symbols of a date, but sampling="
                f"{self.sampling!r} spreads them over batches; set sampling='date'."
            )
        if self.supervision == "dense" and self.sampling != "window":
            raise ValueError(
                f"sampling={self.sampling!r} means nothing under supervision='dense', whose "
                "chunks hold one symbol each; set sampling='window'."
            )
        return self

    def losses_of(self, head: str) -> tuple[tuple[str, float], ...]:
        """Returns the losses and weights for a head, its own where none is chosen."""
        return tuple(self.losses.items()) or ((LOSS_OF_HEAD[head], 1.0),)
