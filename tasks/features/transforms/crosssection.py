"""A panel's rows in the order of their dates, found once and used for many columns."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import DataError
from tasks.features.transforms.entry import Flags, Rows, Transform

Column = NDArray[np.float32]

# Rows that are worked on at a time. Dates share nothing, so this changes no value; all at once
# would take 24 more bytes of memory for each row of each thread.
_BLOCK = 1 << 19


def sector_codes(sectors: pl.Series) -> Rows:
    """Returns for each row the number, from 0 on, of its sector's name; -1 where it is null."""
    names = pl.Enum(sectors.drop_nulls().unique().sort())
    return sectors.cast(names).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()


class CrossSection:
    """Who stands beside whom on each date: members, and the sectors of all.

    It is only read once it is made, so threads may share it.
    """

    def __init__(self, frame: pl.DataFrame, member: Flags, sector: Rows) -> None:
        """Finds the rows of each date.

        Args:
            frame: sorted by symbol and date, with those columns; N rows.
            member: [N], whether the row is a member's on its date.
            sector: [N], what `sector_codes` returns.

        Raises:
            DataError: `member` or `sector` is not of the frame's rows.
        """
        lengths = (frame.height, len(member), len(sector))
        if len(set(lengths)) > 1:
            raise DataError(
                "The frame, the members and the sectors of a cross-section have "
                f"{lengths[0]}, {lengths[1]} and {lengths[2]} rows; make all three of one frame."
            )
        dates = frame.get_column("date").to_physical().to_numpy()
        self._order = np.argsort(dates, kind="stable")
        changes = np.flatnonzero(np.diff(dates[self._order])) + 1
        self._starts = np.concatenate([[0], changes, [frame.height]]).astype(np.int64)
        self._member = np.ascontiguousarray(member[self._order])
        self._sector = np.ascontiguousarray(sector[self._order], dtype=np.int64)
        cuts = np.searchsorted(self._starts, np.arange(0, frame.height, _BLOCK))
        self._cuts = np.unique([*cuts, self._starts.size - 1]).tolist()

    def apply(self, column: Column, transform: Transform, arguments: tuple[int, ...]) -> Column:
        """Returns a column, transformed date by date, in the frame's order.

        Args:
            column: [N], NaN where masked.
            transform: one whose scope is `date`.
            arguments: its arguments.
        """
        out = np.empty(column.size, np.float32)
        for first, last in zip(self._cuts, self._cuts[1:], strict=False):
            begin, end = self._starts[first], self._starts[last]
            rows = self._order[begin:end]
            values = transform.function(
                column[rows].astype(np.float64),
                self._starts[first : last + 1] - begin,
                self._member[begin:end],
                self._sector[begin:end],
                *arguments,
            )
            # What float32 cannot hold becomes infinite, which is masked.
            with np.errstate(over="ignore"):
                out[rows] = values
        return out
