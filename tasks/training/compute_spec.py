"""What a user may choose about where the fits of a run are carried out."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ComputeSpec(BaseModel):
    """Who carries out folds × seeds. The runner decides how long it takes, never the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: Literal["auto", "in_process", "process", "dask", "ray"] = Field(
        "auto",
        description="in_process: one fit after another; process: in processes of this machine; "
        "dask, ray: through Prefect's task runner of that name. auto takes processes where there "
        "are several fits and several cores or GPUs, and the fits outlast the start of a process.",
    )
    processes: int | None = Field(
        None,
        ge=1,
        le=1_024,
        description="Fits at the same time; empty takes one a GPU or, without GPUs, one a core.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="Threads of torch in every fit, whoever carries it out. The bits are the same "
        "whatever the number; another makes the fits anew all the same.",
    )
    address: str | None = Field(
        None,
        min_length=1,
        description="A Dask scheduler (tcp://…) or Ray head (ray://…) to join; empty starts one "
        "on this machine.",
    )

    @model_validator(mode="after")
    def _has_a_cluster_to_join(self) -> Self:
        if self.address is not None and self.runner not in ("dask", "ray"):
            raise ValueError(
                f"address={self.address!r} is a cluster's, and runner={self.runner!r} joins none; "
                "set runner to dask or ray, or leave address out."
            )
        return self
