"""What a user may choose about tuning: the sampler, the pruner, and the space to search.

A space names keys of the configuration, each with its values:

    [tuning.space]
    network.hidden = {choices = [16, 32, 64]}
    training.learning_rate = {low = 1e-4, high = 1e-2, log = true}
    window.lookback = {low = 10, high = 40, step = 10}

Whether such a key is there, and whether its values may stand there, is known to the run's
configuration, which holds all sections.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.errors import near
from tasks.training.spec import Seeds

SECTIONS = ("network", "training", "window")
# What a study cannot vary, and why.
FIXED = {
    "network.kind": "kinds of network have other keys; run one study for each kind",
    "training.seeds": "seeds are no choice but repeats; a study fits those of tuning.seeds",
    "training.device": "it decides where a fit runs, not what comes out",
    "training.max_seconds": "a fit that a clock ends cannot be repeated",
}
_FORMS = "{choices = [16, 32]} or {low = 1e-4, high = 1e-2, log = true}"


class Choices(BaseModel):
    """One of a few values, in no order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: tuple[Any, ...] = Field(min_length=1, description="The values.")

    @field_validator("choices")
    @classmethod
    def _distinct(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        if len({json.dumps(c, sort_keys=True) for c in choices}) < len(choices):
            raise ValueError(f"choices={list(choices)} holds a value twice; leave one out.")
        return choices

    def ends(self) -> tuple[Any, ...]:
        """Returns the values whose validity decides about all."""
        return self.choices

    def values(self) -> tuple[Any, ...]:
        """Returns all values, for a grid."""
        return self.choices


class Interval(BaseModel):
    """Numbers from `low` to `high`, both included: whole numbers where both of them are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float = Field(description="The smallest value.")
    high: int | float = Field(description="The largest value.")
    log: bool = Field(False, description="Drawn evenly in the logarithm.")
    step: int | float | None = Field(
        None, gt=0, description="Distance of neighbours; empty is 1 for whole numbers, else none."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if not self.low < self.high or not all(map(math.isfinite, (self.low, self.high))):
            raise ValueError(f"low={self.low} is not below high={self.high}; exchange or widen.")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError(
                f"log=true takes low above 0 and no step (low={self.low}, step={self.step}); "
                "leave log out or mend these."
            )
        if self.whole and isinstance(self.step, float):
            raise ValueError(
                f"step={self.step} leaves the whole numbers of {self.low} … {self.high}; take a "
                "whole step or write the ends with a point."
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> tuple[Any, ...]:
        """Returns the values whose validity decides about all."""
        return (self.low, self.high)

    def values(self) -> tuple[Any, ...] | None:
        """Returns all values, for a grid; None where they are not countable."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            return None
        # Half of 1e-9 of a step: 0.1 + 2 × 0.1 must not miss 0.3.
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.low + n * step for n in range(count))


Dimension = Choices | Interval


class TuningSpec(BaseModel):
    """A study: trials of other values, each scored before the first outer fold's calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: Literal["grid", "random", "tpe"] = Field(
        "tpe", description="How trials are chosen; tpe learns from the earlier ones."
    )
    trials: int = Field(20, ge=1, le=10_000, description="Most trials of the study.")
    seed: int = Field(0, ge=0, description="Seed of the sampler.")
    seeds: Seeds = Field(
        (0,), min_length=1, max_length=64, description="Seeds of each trial's fits."
    )
    folds: int = Field(
        2, ge=1, le=20, description="Folds of a trial, before the first outer calibrate span."
    )
    metric: Literal["ic", "rank_ic", "mse"] = Field(
        "ic", description="Score of a trial, a mean over its folds and seeds."
    )
    pruner: Literal["none", "median"] = Field(
        "median",
        description="median: a fit ends where its best stop score is worse than the median of "
        "the completed trials at the same epoch of the same fold and seed.",
    )
    startup: int = Field(
        5, ge=1, le=1_000, description="Trials before tpe learns and before median prunes."
    )
    spared: int = Field(1, ge=0, le=1_000, description="First epochs of a fit never pruned.")
    space: dict[str, Dimension] = Field(
        {
            "training.learning_rate": Interval(low=1e-4, high=1e-2, log=True),
            "training.weight_decay": Interval(low=1e-5, high=1e-1, log=True),
        },
        min_length=1,
        description="Keys of network, training and window with choices, or low and high.",
    )

    @field_validator("space", mode="before")
    @classmethod
    def _parsed(cls, space: Any) -> Any:
        if not isinstance(space, Mapping):
            return space
        return dict(sorted(_flat("", space)))

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        for key, dimension in self.space.items():
            section, _, field = key.partition(".")
            if section not in SECTIONS or not field:
                raise ValueError(
                    f"space: {key!r} is not a key of {', '.join(SECTIONS)}; only these are tuned."
                    f"{near(section, SECTIONS)}"
                )
            if key in FIXED:
                raise ValueError(f"space: {key} is not tuned: {FIXED[key]}.")
            if self.sampler == "grid" and dimension.values() is None:
                raise ValueError(
                    f"space: {key} has no countable values, and sampler='grid' tries all; give "
                    "it a step or choices, or take sampler='random'."
                )
        return self


def _flat(prefix: str, space: Mapping[str, Any]) -> Iterator[tuple[str, Dimension]]:
    """Yields the dimensions by dotted key; `network.hidden` in TOML nests, quoted it does not."""
    for name, value in space.items():
        key = f"{prefix}{name}"
        if isinstance(value, Choices | Interval):
            yield key, value
        elif isinstance(value, Mapping) and {"choices", "low", "high"} & set(value):
            yield key, _dimension(key, value)
        elif isinstance(value, Mapping) and value:
            yield from _flat(f"{key}.", value)
        else:
            raise ValueError(f"{key}={value!r} is no range of values; write such as {_FORMS}.")


def _dimension(key: str, value: Mapping[str, Any]) -> Dimension:
    kind = Choices if "choices" in value else Interval
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        # A misspelt key also leaves another one missing; the misspelt one says more.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        name = ".".join([key, *map(str, first["loc"])])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"there is no such key.{near(str(first['loc'][-1]), kind.model_fields)}"
        raise ValueError(f"{name}: {message.rstrip('.')}; write such as {_FORMS}.") from None
