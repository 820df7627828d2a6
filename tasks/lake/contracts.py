"""Contracts at the stages' edges: one way to check them and to say what broke."""

from typing import TypeVar

import pandera.errors
import pandera.polars as pa
import polars as pl

from models.errors import DataError

Contract = pa.DataFrameSchema | type[pa.DataFrameModel]
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def breaches(contract: Contract, frame: Frame) -> list[str]:
    """Returns what of `frame` breaks the contract, each as `check (column: value met)`."""
    try:
        contract.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        met = pl.col("failure_case").cast(pl.String).fill_null("null")
        cases = errors.failure_cases.select(pl.format("{} ({}: {})", "check", "column", met))
        return cases.to_series().unique(maintain_order=True).to_list()
    return []


def require(contract: Contract, frame: Frame, subject: str, advice: str) -> Frame:
    """Returns `frame` if it meets the contract; else a DataError names what does not.

    Args:
        contract: A pandera schema or model.
        frame: What is about to cross a stage's edge; of a lazy one only columns and types are
            checked, not the values.
        subject: How the error begins, such as "The panel breaks its contract".
        advice: What to do.
    """
    broken = breaches(contract, frame)
    if broken:
        raise DataError(f"{subject}: {', '.join(broken[:5])}; {advice}.")
    return frame
