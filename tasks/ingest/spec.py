"""What a user may choose about ingestion: the provider, the universe, how much may be refused."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.errors import UsageError


class SampleSpec(BaseModel):
    """The embedded bars of five American shares, 2000 to 2013; no network, no key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sample"] = "sample"
    replay: bool = Field(
        False,
        description="Scheduled nights take the next unpublished session instead of the last one.",
    )


class FilesSpec(BaseModel):
    """Bars of one's own, in CSV or Parquet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["files"] = "files"
    path: Path = Field(description="A .csv, .csv.gz or .parquet file, or a folder of such files.")
    prices: Literal["as_traded", "split_adjusted", "fully_adjusted"] = Field(
        description=(
            "What the prices in the files are. as_traded: as on the tape. split_adjusted: prices, "
            "volumes and dividends divided by all later splits, as Yahoo's are. fully_adjusted: "
            "dividends are in the prices too, so no actions are read."
        )
    )
    benchmark: str | None = Field(
        None,
        min_length=1,
        description="Symbol in the files that is the benchmark and no member of the universe.",
    )


ProviderSpec = Annotated[SampleSpec | FilesSpec, Field(discriminator="kind")]


class UniverseSpec(BaseModel):
    """Which symbols are forecast, and on which exchange they trade."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None, min_length=1, description="The symbols; None means all that the provider has."
    )
    exchange: str = Field(
        "XNYS", description="ISO code (MIC) of the exchange whose sessions count."
    )

    @field_validator("symbols")
    @classmethod
    def _each_once(cls, symbols: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = sorted({s for s in symbols or () if (symbols or ()).count(s) > 1})
        if repeated:
            raise ValueError(f"symbols names {', '.join(repeated)} more than once; name each once.")
        return symbols

    @field_validator("exchange")
    @classmethod
    def _has_a_calendar(cls, exchange: str) -> str:
        # Imported here: the calendars bring pandas, which the command's --help can do without.
        from tasks.lake.calendar import require_exchange

        try:
            return require_exchange(exchange)
        except UsageError as error:
            raise ValueError(str(error)) from error


class QualitySpec(BaseModel):
    """How much of what a provider serves may be refused before the run stops."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_refused_per_symbol: float = Field(
        0.05, ge=0, le=1, description="Highest share of one symbol's bars that may be refused."
    )
    max_refused_total: float = Field(
        0.01, ge=0, le=1, description="Highest share of all bars that may be refused."
    )
