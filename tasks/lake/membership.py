"""Who belonged to a universe, and when, as it was known at some instant.

A membership is a frame of spells: symbol, from, to, exchange. Both dates are inside the spell; no
`from` means since ever, no `to` still a member. Spells of one symbol do not overlap.
"""

from datetime import date, datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.lake.store import Lake

SPELL_COLUMNS = {"symbol": pl.String, "from": pl.Date, "to": pl.Date, "exchange": pl.String}
FROM, TO = pl.col("from").fill_null(date.min), pl.col("to").fill_null(date.max)


class Membership(BaseModel):
    """Spells as a value that travels between tasks: symbol, from, to, exchange."""

    model_config = ConfigDict(frozen=True)

    spells: tuple[tuple[str, date | None, date | None, str], ...]

    def frame(self) -> pl.DataFrame:
        """Returns the spells as a frame."""
        return pl.DataFrame(self.spells, schema=SPELL_COLUMNS, orient="row")

    def symbols(self, session: date) -> tuple[str, ...]:
        """Returns all that were ever members by `session`, sorted."""
        return tuple(sorted({s for s, first, _, _ in self.spells if (first or session) <= session}))

    def on(self, session: date) -> tuple[str, ...]:
        """Returns the members on `session`, sorted."""
        return tuple(
            sorted(
                symbol
                for symbol, first, last, _ in self.spells
                if (first or session) <= session <= (last or session)
            )
        )

    def exchanges(self) -> dict[str, str]:
        """Returns the exchange of each symbol."""
        return {symbol: exchange for symbol, _, _, exchange in self.spells}


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
    begun = spells.select("symbol", begin=FROM, end=TO).sort("symbol", "begin")
    met = (
        frame.select("symbol", "date")
        .with_row_index("row")
        .sort("symbol", "date")
        .join_asof(
            begun,
            left_on="date",
            right_on="begin",
            by="symbol",
            strategy="backward",
            check_sortedness=False,
        )
    )
    inside = (pl.col("date") <= pl.col("end")).fill_null(False)
    return met.with_columns(member=inside).sort("row")["member"]
