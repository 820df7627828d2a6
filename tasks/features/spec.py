"""What a user chooses about features; every default lives here."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from models.errors import near
from tasks.features.names import parse
from tasks.features.sets import CLASSIC, SETS, expand


def _expanded(given: Any) -> Any:
    """Returns the names with each set's name replaced by what it holds."""
    if isinstance(given, str):
        return expand(given)
    if isinstance(given, list | tuple):
        return tuple(n for g in given for n in (expand(g) if isinstance(g, str) else (g,)))
    return given


def _written(text: str) -> str:
    """Returns a feature's name as it is parsed; what nearly names a set is told so."""
    try:
        return parse(text).name
    except ValueError as error:
        raise ValueError(f"{error}{near(text.partition('|')[0].strip(), SETS)}") from None


class FeatureSpec(BaseModel):
    """Which features a model sees, and how much history a usable row must have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Ahead of `features`, whose validator compares each feature's need with it.
    lookback: int = Field(
        126,
        ge=1,
        le=2520,
        description="Earlier bars that every usable row must have, in bars.",
    )
    features: Annotated[
        tuple[Annotated[str, AfterValidator(_written)], ...],
        BeforeValidator(_expanded),
    ] = Field(
        CLASSIC,
        max_length=1000,
        json_schema_extra={"minItems": 1},
        validate_default=True,
        description=(
            f"Features by name and periods in bars, such as rsi(14), or sets ({', '.join(SETS)}); "
            "behind a bar what is done to them, such as rsi(14)|rank."
        ),
    )

    @field_validator("features")
    @classmethod
    def _fit_the_lookback(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not names:
            raise ValueError("No feature is named; name one, or a set such as classic.")
        lookback, needs = info.data.get("lookback"), {}
        for name in names:
            if name in needs:
                raise ValueError(f"{name} is named {names.count(name)} times; name it once.")
            needs[name] = parse(name).lookback
        if lookback is not None:
            name, need = max(needs.items(), key=lambda item: item[1])
            if lookback < need:
                raise ValueError(
                    f"lookback={lookback} is shorter than {name} needs ({need} bars); "
                    "raise lookback or shorten the period."
                )
        return names
