"""What is on trial, and how one trial tells what moved."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import polars as pl
import polars.selectors as cs

from tasks.features.causality.proof import Counterexample
from tasks.lake.bits import KEYS, first_difference
from tasks.lake.factors import adjust

Build = Callable[[pl.DataFrame], pl.DataFrame]
BuildEach = Callable[[Sequence[pl.DataFrame]], Sequence[pl.DataFrame]]
Adjust = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Case:
    """A stage and the bars it is tried on.

    Attributes:
        build: makes a frame of symbol, date and features out of a panel; without the target, which
            looks ahead by intent.
        bars: as traded, sorted by symbol and date.
        actions: symbol, date, kind, value.
        adjusted: makes the panel of bars and actions. Columns that it adds follow their rows under
            any name; a build across symbols takes its members from such a column, `member`.
        cross_sectional: columns that look at other members by definition.
        calendar: columns that no bar decides.
        build_each: what `build` makes of each of several panels, where that is faster at once than
            one by one. It must keep them apart: what leaks between them looks like a leak in each.
    """

    build: Build
    bars: pl.DataFrame
    actions: pl.DataFrame
    adjusted: Adjust = adjust
    cross_sectional: Collection[str] = ()
    calendar: Collection[str] = ()
    build_each: BuildEach | None = None

    @cached_property
    def panel(self) -> pl.DataFrame:
        """The bars as they are, adjusted."""
        return self.adjusted(self.bars, self.actions)

    @cached_property
    def whole(self) -> pl.DataFrame:
        """What is built of them, sorted by symbol and date."""
        return self.build(self.panel).sort(KEYS)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns on trial."""
        return tuple(name for name in self.whole.columns if name not in KEYS)

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The columns that have a value anywhere."""
        known = self.whole.select(cs.float().fill_nan(None), cs.exclude(cs.float())).count()
        return tuple(name for name in self.columns if known[name].item())

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The panel's symbols, sorted."""
        return tuple(self.panel.get_column("symbol").unique().sort())

    def own(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Returns the frame without the columns that look at other symbols."""
        return frame.drop(self.cross_sectional, strict=False)

    def moved_until(
        self, days: Sequence[date], panels: Sequence[pl.DataFrame], done: Sequence[str]
    ) -> list[Counterexample | None]:
        """Returns for each of several other panels what moves up to its date."""
        built = self.build_each(panels) if self.build_each else [self.build(p) for p in panels]
        found = []
        for day, frame, told in zip(days, built, done, strict=True):
            past = pl.col("date") <= day
            found.append(moved(self.whole.filter(past), frame.filter(past), told))
        return found


def moved(expected: pl.DataFrame, found: pl.DataFrame, done: str) -> Counterexample | None:
    """Returns the first difference between two frames as a counter-example."""
    where = first_difference(expected, found)
    if where is None:
        return None
    first, *others = where.columns
    return Counterexample(
        column=first,
        symbol=where.symbol,
        date=where.date,
        effect="changes",
        done=done,
        others=tuple(others),
    )
