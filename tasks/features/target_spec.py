"""What a user chooses about the target; every default lives here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TargetSpec(BaseModel):
    """What a forecast is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["open_to_open"] = Field(
        "open_to_open",
        description="Log return from the open of the next session to the open `horizon` later.",
    )
    horizon: int = Field(1, ge=1, le=60, description="Sessions that the return spans, in bars.")
