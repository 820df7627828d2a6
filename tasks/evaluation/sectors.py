"""The sectors of symbols on dates, as the membership of each date names them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.lake.membership import sector_rows


@dataclass(frozen=True)
class Sectors:
    """Who belongs where.

    Attributes:
        names: of the sectors, sorted.
        codes: place of each symbol's sector in `names` on each date [D, S], -1 without one.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]

    def groups(self) -> list[tuple[str | None, npt.NDArray[np.bool_]]]:
        """Returns name and cells [D, S] of every sector, and of what has none, if any, as None."""
        groups = [*enumerate(self.names), (-1, None)]
        found = [(name, self.codes == place) for place, name in groups]
        return [(name, cells) for name, cells in found if cells.any()]


def sector_grid(spells: pl.DataFrame, dates: pl.Series, symbols: list[str]) -> Sectors | None:
    """Returns the sectors of symbols on dates; None where the membership names none of them."""
    if spells["sector"].null_count() == spells.height:
        return None
    days, names = dates.len(), len(symbols)
    rows = pl.DataFrame(
        {
            "symbol": pl.Series(symbols).gather(np.tile(np.arange(names), days)),
            "date": dates.gather(np.repeat(np.arange(days), names)),
        }
    )
    found = sector_rows(spells, rows)
    named = found.drop_nulls().unique().sort()
    if named.is_empty():
        return None
    places = found.cast(pl.Enum(named)).to_physical().cast(pl.Int64).fill_null(-1)
    return Sectors(tuple(named), places.to_numpy().reshape(days, names))
