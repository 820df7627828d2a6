"""What a user may choose about windows and folds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class WindowSpec(BaseModel):
    """The window a network sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lookback: int = Field(
        20, ge=2, le=512, description="Length of the window that ends at the cutoff, in bars."
    )


class SplitSpec(BaseModel):
    """Purged walk-forward: each fold is fit | stop | calibrate | test, in sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheme: Literal["expanding", "rolling"] = Field(
        "expanding",
        description="expanding: fit starts at the first session; rolling: fit has `fit` sessions.",
    )
    folds: int = Field(4, ge=1, le=50, description="Number of folds; their test spans adjoin.")
    fit: int = Field(
        500, ge=20, le=20_000, description="Sessions of the shortest (rolling: every) fit span."
    )
    stop: int = Field(
        120, ge=5, le=5_000, description="Sessions on which early stopping watches the loss."
    )
    calibrate: int = Field(
        120, ge=5, le=5_000, description="Sessions on which a fold's intervals are calibrated."
    )
    test: int = Field(250, ge=5, le=5_000, description="Sessions of each fold's test span.")
