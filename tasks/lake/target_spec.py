"""What a user chooses about the target; every default lives here.

It lies in the lake's room because several stages need it: the features are labelled by it, the
evaluation judges in its unit, and what is published says what was forecast.
"""

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Literal["log_return", "log_return / volatility", "rank", "direction"]
Floats = NDArray[np.float64]

_MADE_OF_A_RETURN = ("excess", "scale", "form", "dead_zone")
_BARRIERS = ("barrier_up", "barrier_down")

# What `TargetSpec.columns` are called, whatever the horizons.
TARGET_COLUMNS = r"^target(_\d+)?$"
Horizon = Annotated[int, Field(ge=1, le=60)]


def further_name(name: str, horizon: int) -> str:
    """Returns what `name` is called where it is of a further horizon, such as target_5."""
    return f"{name}_{horizon}"


class TargetSpec(BaseModel):
    """What a forecast is about: a return, what it is taken relative to, and in which form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["open_to_open", "close_to_close", "triple_barrier"] = Field(
        "open_to_open",
        description="open_to_open: log return from the next session's open to the open `horizon` "
        "sessions later; close_to_close: from this session's close, at which nobody can trade any "
        "more; triple_barrier: which barrier the price touches first, +1, -1, or 0 for neither.",
    )
    horizon: Horizon = Field(
        1,
        description="Sessions that the target spans, in bars: the main horizon, which is judged "
        "and traded.",
    )
    also: tuple[Horizon, ...] = Field(
        (),
        description="Further horizons that the same network forecasts, in bars; a row learns from "
        "its labels once the longest is known.",
    )
    excess: Literal["none", "universe", "benchmark"] = Field(
        "none",
        description="What is subtracted: universe takes the mean over the members of the date, "
        "benchmark the benchmark's own return over the same sessions. Log returns.",
    )
    scale: Literal["none", "volatility"] = Field(
        "none",
        description="volatility divides by the volatility of `horizon` bars known at the cutoff.",
    )
    form: Literal["value", "rank", "direction"] = Field(
        "value",
        description="value: the number itself; rank: its place among the members of the date, "
        "-0.5 to 0.5; direction: its sign, +1, 0 or -1.",
    )
    dead_zone: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Direction: up to this distance from 0 the direction is 0, in log return, or "
        "in multiples of volatility where scale says so.",
    )
    barrier_up: float = Field(
        1.0,
        gt=0,
        le=20,
        description="Triple barrier: distance of the upper barrier from the entry, in multiples "
        "of the volatility of `horizon` bars known at the cutoff.",
    )
    barrier_down: float = Field(
        1.0, gt=0, le=20, description="Triple barrier: the same of the lower barrier, downwards."
    )

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.kind == "triple_barrier":
            self._refuse(
                _MADE_OF_A_RETURN,
                "for kind='triple_barrier', whose label is the barrier touched first",
                "choose a kind that is a return",
            )
            self._refuse(
                ("also",),
                "for kind='triple_barrier', whose barriers belong to one horizon",
                "choose a kind that is a return",
            )
        else:
            self._refuse(
                _BARRIERS,
                f"for kind={self.kind!r}, which has no barriers",
                "choose kind='triple_barrier'",
            )
        if self.form != "direction":
            self._refuse(
                ("dead_zone",),
                f"for form={self.form!r}, as only a direction has values that count as 0",
                "choose form='direction'",
            )
        return self

    @model_validator(mode="after")
    def _names_each_horizon_once(self) -> Self:
        twice = next((h for h in self.also if self.also.count(h) > 1), None)
        if twice is not None:
            raise ValueError(f"also={self.also} names {twice} more than once; name it once.")
        if self.horizon in self.also:
            raise ValueError(
                f"also={self.also} names horizon={self.horizon}, which is forecast anyway; leave "
                "it out."
            )
        return self

    def _refuse(self, names: tuple[str, ...], why: str, instead: str) -> None:
        """Raises ValueError where a field is not at its default, so that it was meant."""
        for name in names:
            met, default = getattr(self, name), type(self).model_fields[name].default
            if met != default:
                raise ValueError(
                    f"{name}={met!r} means nothing {why}; leave it at {default!r} or {instead}."
                )

    @property
    def horizons(self) -> tuple[int, ...]:
        """All horizons, the main one first."""
        return (self.horizon, *self.also)

    @property
    def longest(self) -> int:
        """The longest horizon, by which rows are purged."""
        return max(self.horizons)

    @property
    def columns(self) -> tuple[str, ...]:
        """What a feature frame calls the targets of `horizons`: target, target_5, …"""
        return ("target", *(further_name("target", horizon) for horizon in self.also))

    def at(self, horizon: int) -> "TargetSpec":
        """Returns the target of one of the horizons alone."""
        return self.model_copy(update={"horizon": horizon, "also": ()})

    @property
    def unit(self) -> Unit:
        """The unit of the target, and so of its forecasts."""
        if self.kind == "triple_barrier" or self.form == "direction":
            return "direction"
        if self.form == "rank":
            return "rank"
        return "log_return" if self.scale == "none" else "log_return / volatility"

    @property
    def limits(self) -> tuple[float, float]:
        """What no target lies beyond, low and high; infinite for returns."""
        if self.unit == "direction":
            return -1.0, 1.0
        return (-0.5, 0.5) if self.unit == "rank" else (-math.inf, math.inf)

    @property
    def published(self) -> "TargetSpec":
        """What a published forecast is about, and its realised value is taken of.

        A log return over volatility is multiplied back and published as a log return; every other
        target is published as it is.
        """
        scaled = self.unit == "log_return / volatility"
        return self.model_copy(update={"scale": "none"}) if scaled else self

    def to_published(self, forecasts: Floats, volatility: Floats) -> Floats:
        """Returns forecasts of this target as forecasts of the published one.

        Args:
            forecasts: in this target's unit [n] or [n, Q].
            volatility: one-bar standard deviation of log returns known at each cutoff [n], the
                same that the target was divided by.
        """
        if self.published == self:
            return forecasts
        spread = volatility * math.sqrt(self.horizon)
        return forecasts * spread.reshape(-1, *[1] * (forecasts.ndim - 1))

    def has_mean(self, head: str) -> bool:
        """Tells whether a head's score is a mean of this target.

        That of a `direction` head, P(up) - P(down), is the mean of a direction and of nothing else;
        a median is no mean, and a rank head's score has no unit.
        """
        return head == "mean" or (head == "direction" and self.unit == "direction")

    @property
    def definition(self) -> str:
        """The target in a few words, the horizon aside, such as `open_to_open, rank`."""
        parts: list[str] = [self.kind]
        if self.kind == "triple_barrier":
            parts.append(f"barriers +{self.barrier_up:g} and -{self.barrier_down:g}")
        if self.excess != "none":
            parts.append(f"excess over {self.excess}")
        if self.scale != "none":
            parts.append(f"over {self.scale}")
        if self.form != "value":
            parts.append(f"{self.form} beyond {self.dead_zone:g}" if self.dead_zone else self.form)
        return ", ".join(parts)

    @property
    def name(self) -> str:
        """The target in a few words, such as `open_to_open(5), excess over universe, rank`."""
        return self.definition.replace(self.kind, f"{self.kind}({self.horizon})", 1)

    @property
    def meaning(self) -> str:
        """What a forecast is, in plain words that may follow "A forecast is"."""
        later = f"{self.horizon} session{'s' if self.horizon > 1 else ''}"
        if self.kind == "triple_barrier":
            return (
                f"which barrier the price touches first within {later} of the next open: +1 the "
                f"upper, {self.barrier_up:g} × the volatility of that span above the entry; −1 the "
                f"lower, {self.barrier_down:g} × below it; 0 neither"
            )
        returned = {
            "open_to_open": f"from the next session's open to the open {later} later",
            "close_to_close": f"from the cutoff's close to the close {later} later",
        }[self.kind]
        less = {
            "none": "",
            "universe": ", less the mean of the universe's members",
            "benchmark": ", less the benchmark's",
        }[self.excess]
        scaled = ", divided by the volatility of that span" if self.scale == "volatility" else ""
        value = f"the total log return {returned}{less}{scaled}"
        if self.form == "rank":
            return f"the place, from −0.5 to 0.5 among the members of the date, of {value}"
        if self.form == "direction":
            within = f"no further than {self.dead_zone:g} from it" if self.dead_zone else "at it"
            return f"the direction (+1 above 0, −1 below, 0 {within}) of {value}"
        return value

    def spread(self, volatility: Floats) -> Floats:
        """Returns what a residual of each row is divided by before an interval is made of it.

        A log return errs as widely as its symbol moves. The other units are free of that: there
        the answer is 1, so that no interval is widened a second time.

        Args:
            volatility: one-bar standard deviation of log returns known at each row [n].
        """
        return volatility if self.unit == "log_return" else np.ones_like(volatility)
