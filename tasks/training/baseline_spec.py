"""What a user may choose about the baselines beside the network."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

BaselineName = Literal["zero", "historical_mean", "momentum", "ridge"]


class BaselineSpec(BaseModel):
    """The null models fitted on the same folds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[BaselineName, ...] = Field(
        ("zero", "historical_mean", "momentum", "ridge"),
        description="Baselines shown beside the network; zero is always among them.",
    )
    ridge_alpha: float = Field(
        100.0, gt=0, description="L2 penalty of ridge on standardised features, in rows."
    )

    @field_validator("names")
    @classmethod
    def _with_zero(cls, names: tuple[BaselineName, ...]) -> tuple[BaselineName, ...]:
        return names if "zero" in names else ("zero", *names)
