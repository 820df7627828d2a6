"""What a user may choose about the evaluation of out-of-sample forecasts."""

from pydantic import BaseModel, ConfigDict, Field


class PortfolioSpec(BaseModel):
    """How forecasts become positions, and what trading them costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_share: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the names bought (and, long-short, sold); 0 to 0.5.",
    )
    rebalance_every: int | None = Field(
        None, ge=1, le=252, description="Sessions between two rebalances; empty means the horizon."
    )
    commission_bps: float = Field(
        1.0, ge=0, le=1000, description="Commission on the traded value, in basis points."
    )
    spread_bps: float = Field(
        2.0, ge=0, le=1000, description="Half the bid-ask spread, paid on each trade, basis points."
    )
    borrow_bps_per_year: float = Field(
        50.0, ge=0, le=10_000, description="Fee on the value of shorts, basis points a year."
    )
    capital: float = Field(
        1_000_000.0, gt=0, le=1e12, description="Cash at the start, in currency units."
    )


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
