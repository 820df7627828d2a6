"""What a user may choose about windows and folds."""

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Each of them is a fit for every seed.
MOST_CHOICES = 500


class WindowSpec(BaseModel):
    """The window a network sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lookback: int = Field(
        20, ge=2, le=512, description="Length of the window that ends at the cutoff, in bars."
    )


class SplitSpec(BaseModel):
    """Purged folds, each fit | stop | calibrate | test, in sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheme: Literal["expanding", "rolling", "combinatorial"] = Field(
        "expanding",
        description="expanding: fit starts at the first session; rolling: fit has `fit` sessions; "
        "combinatorial: expanding, and beside it a fold for every choice of `test_groups` out of "
        "`groups`.",
    )
    folds: int = Field(
        4, ge=1, le=50, description="Number of walk-forward folds; their test spans adjoin."
    )
    fit: int = Field(
        500, ge=20, le=20_000, description="Sessions of the shortest (rolling: every) fit span."
    )
    stop: int = Field(
        120, ge=5, le=5_000, description="Sessions on which early stopping watches the loss."
    )
    calibrate: int = Field(
        120, ge=5, le=5_000, description="Sessions on which a fold's intervals are calibrated."
    )
    test: int = Field(
        250, ge=5, le=5_000, description="Sessions of each walk-forward fold's test span."
    )
    groups: int = Field(
        6, ge=3, le=50, description="Groups that all sessions are cut into (combinatorial)."
    )
    test_groups: int = Field(
        2, ge=1, le=49, description="Groups that a fold tests at a time (combinatorial)."
    )
    embargo: int = Field(
        5,
        ge=0,
        le=5_000,
        description="Sessions behind a test span and its labels that no training row may see "
        "either (combinatorial).",
    )

    @model_validator(mode="after")
    def _leaves_groups_to_train_on(self) -> Self:
        if self.test_groups >= self.groups:
            raise ValueError(
                f"test_groups={self.test_groups} leaves none of groups={self.groups} to train on; "
                "lower test_groups or raise groups."
            )
        choices = math.comb(self.groups, self.test_groups)
        if self.scheme == "combinatorial" and choices > MOST_CHOICES:
            raise ValueError(
                f"groups={self.groups} and test_groups={self.test_groups} make {choices:,} folds, "
                f"over the most of {MOST_CHOICES}; lower groups or test_groups."
            )
        return self
