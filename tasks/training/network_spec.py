"""What a user may choose about the network."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from tasks.lake.tables import QUANTILES

CovariateName = Literal["sector", "exchange"]


class _EverySpec(BaseModel):
    """What every network has. The fields are the arguments of models.networks.build_network.

    Only `covariates` says which ones, where a network asks for their number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Literal["mean", "quantiles", "direction", "rank"] = Field(
        "mean",
        description="What the network forecasts: the mean, quantiles, the sign, or an order.",
    )
    layers: int = Field(1, ge=1, le=4, description="Stacked layers.")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Dropout between layers and before the head, a share."
    )
    embedding: int = Field(
        0, ge=0, le=256, description="Size of a learned embedding of the symbol; 0 has none."
    )
    covariates: tuple[CovariateName, ...] = Field(
        (),
        description="What the network is told of a symbol beside its bars: the sector or the "
        "exchange that universe.file gives it on the day.",
    )

    @field_validator("covariates")
    @classmethod
    def _each_once(cls, covariates: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(covariates)) < len(covariates):
            raise ValueError(
                f"covariates={list(covariates)} names one more than once; name each once."
            )
        return covariates

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the quantiles; empty for the other heads."""
        return QUANTILES if self.head == "quantiles" else ()

    def options(self, horizons: int = 1, n_symbols: int = 0, covariates: int = 0) -> dict[str, Any]:
        """Returns all options of `build_network` but `inputs`, `kind` included, ready for JSON.

        Args:
            horizons: how many are forecast at once.
            n_symbols: largest code of a symbol in the panel; an embedding needs it.
            covariates: columns of the panel's covariates.
        """
        return {
            **self.model_dump(mode="json"),
            "horizons": horizons,
            "levels": list(self.levels),
            "n_symbols": n_symbols,
            "covariates": covariates,
        }


class RecurrentSpec(_EverySpec):
    """The recurrent network."""

    kind: Literal["recurrent"] = Field("recurrent", description="Family of the network.")
    cell: Literal["lstm", "gru", "rnn"] = Field("gru", description="Recurrent cell.")
    hidden: int = Field(32, ge=1, le=1024, description="Units of each layer and direction.")
    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of the recurrent weights dropped, one mask a batch."
    )
    bidirectional: bool = Field(
        False, description="A second direction from the window's end; not with dense supervision."
    )
    layer_norm: bool = Field(False, description="Normalise what each layer puts out.")
    convolutions: int = Field(
        0, ge=0, le=4, description="1-D convolutions along time in front of the cells."
    )
    kernel: int = Field(3, ge=1, le=31, description="Bars that one convolution sees.")
    channels: int = Field(32, ge=1, le=1024, description="Channels of each convolution.")
    causal: bool = Field(
        True, description="No convolution sees a later bar; false is not for dense supervision."
    )
    attention: bool = Field(
        False, description="Additive attention over the window; not with dense supervision."
    )

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"attention {self.cell}" if self.attention else self.cell

    @model_validator(mode="after")
    def _norm_leaves_something(self) -> Self:
        if self.layer_norm and self.hidden < 2:
            raise ValueError(
                f"layer_norm=true makes all states of hidden={self.hidden} the same; use 2 or more."
            )
        return self


class TransformerSpec(_EverySpec):
    """The causal transformer encoder."""

    kind: Literal["transformer"] = Field("transformer", description="Family of the network.")
    hidden: int = Field(32, ge=4, le=1024, description="Width, even, a multiple of the heads.")
    attention_heads: int = Field(4, ge=1, le=32, description="Heads of each attention.")

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.kind

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.hidden % 2 or self.hidden % self.attention_heads:
            raise ValueError(
                f"hidden={self.hidden} must be even and a multiple of attention_heads="
                f"{self.attention_heads}; take such as hidden={16 * self.attention_heads}."
            )
        return self


def _with_kind(value: Any) -> Any:
    return {"kind": "recurrent", **value} if isinstance(value, dict) else value


# A file that names no kind means the recurrent network.
NetworkSpec = Annotated[
    RecurrentSpec | TransformerSpec, Field(discriminator="kind"), BeforeValidator(_with_kind)
]
