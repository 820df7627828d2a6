"""Rows counted for the ceilings."""

import polars as pl


def count_by_symbol(frame: pl.DataFrame) -> dict[str, int]:
    """Returns the number of rows of each symbol."""
    return dict(frame.group_by("symbol").len().sort("symbol").iter_rows())
