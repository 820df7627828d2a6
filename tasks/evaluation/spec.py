"""What a user may choose about the evaluation of out-of-sample forecasts."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.evaluation.portfolio_spec import PortfolioSpec


class EvaluationSpec(BaseModel):
    """How forecasts are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    portfolio: PortfolioSpec = Field(
        default_factory=PortfolioSpec, description="The portfolio that trades the forecasts."
    )
    confidence: float = Field(
        0.90,
        ge=0.5,
        le=0.999,
        description="Confidence of two-sided intervals; at 0.90 each bound is a one-sided 5 %.",
    )
    bootstrap_samples: int = Field(
        1000, ge=100, le=100_000, description="Resamples of the dates behind every interval."
    )
    min_names_for_ic: int = Field(
        20, ge=3, le=10_000, description="Names a date needs for an IC across symbols."
    )
    calibration_sessions: int | None = Field(
        60,
        ge=20,
        le=5_000,
        description="Intervals on a test span follow the residuals of so many newest sessions "
        "whose truth is known by then, those of the calibrate span among them; empty keeps the "
        "calibrate span's for the whole test span. In sessions.",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of the bootstrap.")
