"""What a user chooses about features and the target; every default lives here."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from models.errors import near
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature

LONGEST_PERIOD = 504

# Spans trend, momentum, volatility, volume and returns; all known within 126 bars.
CLASSIC = (
    "sma(10)",
    "ema(50)",
    "macd(12,26)",
    "macd_histogram(12,26,9)",
    "adx(14)",
    "aroon_oscillator(25)",
    "linear_slope(20)",
    "rsi(14)",
    "stochastic_k(14)",
    "stochastic_d(14,3)",
    "cci(20)",
    "ultimate_oscillator(7,14,28)",
    "atr(14)",
    "bollinger_width(20)",
    "bollinger_position(20)",
    "realised_volatility(20)",
    "garman_klass(20)",
    "volume_ratio(20)",
    "on_balance_volume(20)",
    "chaikin_money_flow(20)",
    "mfi(14)",
    "log_return(1)",
    "log_return(5)",
    "log_return(20)",
    "log_return(60)",
    "overnight_return",
    "drawdown(60)",
)


def parse(text: str) -> Feature:
    """Returns the feature that `name(period,...)` names; without periods, with the default ones.

    Raises:
        ValueError: unknown indicator, wrong number of periods, or a period out of bounds.
    """
    found = re.fullmatch(r"\s*(\w+)\s*(?:\(([\d\s,]+)\))?\s*", text)
    if not found:
        raise ValueError(f"{text!r} is not a feature; write a name and periods, such as rsi(14).")
    name, inside = found.groups()
    if name not in INDICATORS:
        raise ValueError(
            f"No indicator is called {name!r}.{near(name, INDICATORS)} "
            f"Choose among: {', '.join(INDICATORS)}."
        )
    indicator = INDICATORS[name]
    try:
        periods = tuple(int(p) for p in inside.split(",")) if inside else indicator.periods
    except ValueError:
        raise ValueError(f"{text!r} has an empty period; write such as rsi(14).") from None
    if len(periods) != len(indicator.periods):
        raise ValueError(
            f"{text} has {len(periods)} periods where {name} takes {len(indicator.periods)}; "
            f"write {_written(name, indicator.periods)}."
        )
    for period in periods:
        if not indicator.shortest <= period <= LONGEST_PERIOD:
            raise ValueError(
                f"{text} has a period of {period} bars; "
                f"choose {indicator.shortest} to {LONGEST_PERIOD}."
            )
    return Feature(_written(name, periods), indicator, periods)


def _written(name: str, periods: tuple[int, ...]) -> str:
    return f"{name}({','.join(map(str, periods))})" if periods else name


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
    features: tuple[Annotated[str, AfterValidator(lambda text: parse(text).name)], ...] = Field(
        CLASSIC,
        min_length=1,
        max_length=200,
        validate_default=True,
        description="Features by name and periods in bars, such as rsi(14) or macd(12,26).",
    )

    @field_validator("features")
    @classmethod
    def _fit_the_lookback(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        lookback = info.data.get("lookback")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} is named {names.count(name)} times; name it once.")
            need = parse(name).lookback
            if lookback is not None and lookback < need:
                raise ValueError(
                    f"lookback={lookback} is shorter than {name} needs ({need} bars); "
                    "raise lookback or shorten the period."
                )
        return names
