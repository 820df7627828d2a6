"""What a user may choose about the baselines beside the network."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

BaselineName = Literal[
    "zero", "historical_mean", "momentum", "reversal", "ridge", "gradient_boosting"
]


class BaselineSpec(BaseModel):
    """The null models fitted on the same folds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[BaselineName, ...] = Field(
        ("zero", "historical_mean", "momentum", "reversal", "ridge", "gradient_boosting"),
        description="Baselines shown beside the network; zero is always among them.",
    )
    ridge_alpha: float = Field(
        100.0, gt=0, description="L2 penalty of ridge on standardised features, in rows."
    )
    boosting_rounds: int = Field(
        100, ge=1, le=2_000, description="Trees of gradient boosting, one after another."
    )
    boosting_learning_rate: float = Field(
        0.05, gt=0, le=1, description="Share of each tree that gradient boosting adds."
    )
    boosting_leaves: int = Field(
        8, ge=2, le=256, description="Most leaves of a tree of gradient boosting."
    )
    boosting_leaf_rows: int = Field(
        100, ge=1, le=100_000, description="Fewest fit rows in a leaf of gradient boosting."
    )

    @field_validator("names")
    @classmethod
    def _with_zero(cls, names: tuple[BaselineName, ...]) -> tuple[BaselineName, ...]:
        return names if "zero" in names else ("zero", *names)
