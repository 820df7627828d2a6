"""What a user may choose about ingestion: the provider, the universe, how much may be refused."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from models.errors import UsageError
from tasks.ingest.symbols import described_fault


def _named(symbol: str) -> str:
    if sentence := described_fault(symbol):
        raise ValueError(sentence)
    return symbol


Symbol = Annotated[str, AfterValidator(_named)]


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
    benchmark: Symbol | None = Field(
        None,
        description="Symbol in the files that is the benchmark and no member of the universe.",
    )


class LiveSpec(BaseModel):
    """How a growing source is asked over HTTP: from when on, how fast, for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: date | None = Field(
        None, description="First day of history wanted; None means all that there is."
    )
    benchmark: Symbol | None = Field(
        None, description="Symbol that is the benchmark and no member of the universe."
    )
    requests_per_second: float = Field(5.0, gt=0, le=1000, description="Highest rate of requests.")
    workers: int = Field(8, ge=1, le=32, description="Requests under way at once.")
    timeout_seconds: float = Field(20.0, gt=0, le=300, description="Wait for one answer, seconds.")
    max_attempts: int = Field(
        4, ge=1, le=10, description="Times that one symbol is asked for until it counts as failed."
    )
    max_wait_seconds: float = Field(
        900.0,
        ge=0,
        le=21_600,
        description="Longest that a run waits in all when asked for fewer requests, seconds.",
    )


class YahooSpec(LiveSpec):
    """Daily bars of Yahoo Finance, free and without a key, for personal use."""

    kind: Literal["yahoo"] = "yahoo"
    benchmark: Symbol | None = Field(
        "^GSPC", description="Symbol that is the benchmark and no member of the universe."
    )


class TiingoSpec(LiveSpec):
    """Daily bars of American shares and funds from Tiingo.

    The key comes from the environment variable TIINGO_API_KEY and from nowhere else.
    """

    kind: Literal["tiingo"] = "tiingo"
    url: str = Field(
        "https://api.tiingo.com",
        # The key travels with every request: in the clear it may go to this machine alone.
        pattern=r"^(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:\d{1,5})?$",
        description="Where the service is, over https.",
    )
    requests_per_second: float = Field(
        2.0, gt=0, le=1000, description="Highest rate of requests; a free key has 50 an hour."
    )
    workers: int = Field(4, ge=1, le=32, description="Requests under way at once.")


ProviderSpec = Annotated[
    SampleSpec | FilesSpec | YahooSpec | TiingoSpec, Field(discriminator="kind")
]


class UniverseSpec(BaseModel):
    """Which symbols are forecast, and on which exchange they trade."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[Symbol, ...] | None = Field(
        None, min_length=1, description="The symbols; None means all that the provider has."
    )
    file: Path | None = Field(
        None,
        description=(
            "Instead of symbols, a CSV file of dated members: symbol, from, to and perhaps "
            "exchange and sector, such as those in deploy/universes."
        ),
    )
    exchange: str = Field(
        "XNYS", description="ISO code (MIC) of the exchange whose sessions count."
    )
    currency: str | None = Field(
        None,
        pattern=r"^[A-Za-z]{3}$",
        description=(
            "What all prices must be in, in the source's own letters (USD, GBp for pence); "
            "None takes what the source says first."
        ),
    )

    @field_validator("symbols")
    @classmethod
    def _each_once(cls, symbols: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = sorted({s for s in symbols or () if (symbols or ()).count(s) > 1})
        if repeated:
            raise ValueError(f"symbols names {', '.join(repeated)} more than once; name each once.")
        return symbols

    @model_validator(mode="after")
    def _named_in_one_place(self) -> Self:
        if self.symbols is not None and self.file is not None:
            raise ValueError(
                f"the members are named twice, by {len(self.symbols)} symbols and by "
                f"file={self.file}; leave one of the two out."
            )
        return self

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
    """Bounds of the rules by which bars are refused or held, and when a run stops for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_refused_per_symbol: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Highest share of one symbol's bars (of at least 252) that may be refused.",
    )
    max_refused_total: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Highest share of all bars (of at least 252) that may be refused.",
    )
    max_failed_symbols: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Highest share of the symbols that may bring no answer before the run stops.",
    )
    final_after_minutes: int = Field(
        30, ge=0, le=720, description="Minutes after its close at which a session's bars are final."
    )
    jump_sigmas: float = Field(
        10.0,
        ge=3,
        le=100,
        description="Robust standard deviations of 20 daily log returns beyond which one jumps.",
    )
    jump_floor: float = Field(
        0.25, ge=0.01, le=5, description="Absolute log return up to which nothing is a jump."
    )
    stale_share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Share of a session's bars that repeat the bar before, at which they are held.",
    )
    stale_symbols: int = Field(
        10, ge=2, description="Fewest symbols that must repeat the bar before for that, in number."
    )
    blame_source_above: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Share of symbols lacking a session above which the source is blamed for it.",
    )
    overlap_sessions: int = Field(
        5, ge=2, le=60, description="Sessions already held that each night asks for again."
    )
