"""Who belonged to a universe, and when, as it was known at some instant.

A membership is a frame of spells: symbol, from, to, exchange, sector. Both dates are inside the
spell; no `from` means since ever, no `to` still a member, no `sector` that it is unknown. Spells of
one symbol do not overlap; a symbol that changes its sector has a spell for each.
"""

from datetime import date, datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.lake.store import Lake

SPELL_COLUMNS = {
    "symbol": pl.String,
    "from": pl.Date,
    "to": pl.Date,
    "exchange": pl.String,
    "sector": pl.String,
}
FROM, TO = pl.col("from").fill_null(date.min), pl.col("to").fill_null(date.max)


class Membership(BaseModel):
    """Spells as a value that travels between tasks: symbol, from, to, exchange, sector."""

    model_config = ConfigDict(frozen=True)

    spells: tuple[tuple[str, date | None, date | None, str, str | None], ...]

    def frame(self) -> pl.DataFrame:
        """Returns the spells as a frame."""
        return pl.DataFrame(self.spells, schema=SPELL_COLUMNS, orient="row")

    def symbols(self, session: date) -> tuple[str, ...]:
        """Returns all that were ever members by `session`, sorted."""
        return tuple(sorted({s for s, first, *_ in self.spells if (first or session) <= session}))

    def on(self, session: date) -> tuple[str, ...]:
        """Returns the members on `session`, sorted."""
        return tuple(
            sorted(
                symbol
                for symbol, first, last, *_ in self.spells
                if (first or session) <= session <= (last or session)
            )
        )

    def exchanges(self) -> dict[str, str]:
        """Returns the exchange of each symbol."""
        return {symbol: exchange for symbol, _, _, exchange, _ in self.spells}


def record_membership(lake: Lake, universe: str, spells: pl.DataFrame, known_at: datetime) -> int:
    """Appends what is new of a universe's spells and withdraws those it no longer has."""
    said = spells.with_columns(universe=pl.lit(universe), withdrawn=pl.lit(False))
    held = lake.read("universe", cutoff=None, known_by=known_at).filter(universe=universe)
    gone = held.join(said, on=["symbol", "from"], how="anti", nulls_equal=True)
    rows = pl.concat([said.select(held.columns), gone.with_columns(withdrawn=pl.lit(True))])
    return lake.append("universe", rows, known_at)


def known_membership(lake: Lake, universe: str, known_by: datetime) -> Membership:
    """Returns the spells of `universe` as they were known by `known_by`, sorted."""
    held = lake.read("universe", cutoff=None, known_by=known_by)
    standing = held.filter(pl.col("universe") == universe, ~pl.col("withdrawn"))
    ordered = standing.sort("symbol", FROM).select(list(SPELL_COLUMNS))
    return Membership(spells=tuple(ordered.iter_rows()))


def member_rows(spells: pl.DataFrame, frame: pl.DataFrame) -> pl.Series:
    """Returns for each row (symbol, date) of `frame`, in its order, whether it is a member's."""
    begun = spells.select("symbol", begin=FROM, end=TO)
    inside = (pl.col("date") <= pl.col("end")).fill_null(False)
    return _with_newest_spell(begun, frame).select(member=inside)["member"]


def sector_rows(spells: pl.DataFrame, frame: pl.DataFrame) -> pl.Series:
    """Returns for each row (symbol, date) of `frame`, in its order, the sector of its symbol.

    It is that of the spell that holds on the date; outside all spells, of the nearest one before,
    else of the first one after. Null where it is unknown, and for a symbol without spells.
    """
    begun = spells.select("symbol", "sector", begin=FROM)
    first = pl.col("begin") == pl.col("begin").min().over("symbol")
    # The first spell reaches back, for the rows ahead of it.
    begun = begun.with_columns(begin=pl.when(first).then(date.min).otherwise("begin"))
    return _with_newest_spell(begun, frame)["sector"]


def _with_newest_spell(begun: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Returns symbol and date of `frame`, in its order, with the last spell begun by the date."""
    return (
        frame.select("symbol", "date")
        .with_row_index("row")
        .sort("symbol", "date")
        .join_asof(
            begun.sort("symbol", "begin"),
            left_on="date",
            right_on="begin",
            by="symbol",
            strategy="backward",
            check_sortedness=False,
        )
        .sort("row")
    )
