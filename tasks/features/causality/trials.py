"""The trials of each check: each yields a counter-example, or None, for one call of the stage."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice, starmap

import numpy as np
import polars as pl

from tasks.features.causality import changes
from tasks.features.causality.case import Case, moved
from tasks.features.causality.proof import Counterexample
from tasks.lake.bits import KEYS

Trials = Iterator[Counterexample | None]
# A panel at a cutoff, and what was done to it.
World = tuple[date, pl.DataFrame, str]

# So many panels are built at once where the case can: enough that what a call costs of itself is
# shared, few enough that a leak is found early.
_AT_ONCE = 16


def cut_off(case: Case, days: Sequence[date]) -> Trials:
    """At each date bars and actions end, so that the whole stage sees what it saw on that night."""

    def world(day: date) -> World:
        past = pl.col("date") <= day
        panel = case.adjusted(case.bars.filter(past), case.actions.filter(past))
        return day, panel, f"bars and actions after {day} are cut off"

    yield from _up_to(case, map(world, days))


def replaced(case: Case, days: Sequence[date], future: pl.DataFrame, told: str) -> Trials:
    """The bars after each date are those of `future`."""

    def world(day: date) -> World:
        panel = changes.with_future(case.panel, future, day)
        return day, panel, f"the bars after {day} are {told}"

    yield from _up_to(case, map(world, days))


def acting(case: Case, days: Sequence[date], ratios: Sequence[float]) -> Trials:
    """After each date every symbol has an action; by turns the bars follow it and do not."""

    def world(trial: int, day: date) -> World:
        ratio = ratios[trial // 2 % len(ratios)]
        follow = trial % 2 == 0
        later = changes.with_later_action(case.bars, case.actions, day, ratio, follow)
        kind = "a dividend" if ratio == 1.0 else f"a split of {ratio:g} new shares per old"
        done = f"{kind} follows {day}{', with its bars' if follow else ''}"
        return day, case.adjusted(*later), done

    yield from _up_to(case, starmap(world, enumerate(days)))


def _up_to(case: Case, worlds: Iterator[World]) -> Trials:
    """What moves in each world up to its date."""
    count = _AT_ONCE if case.build_each else 1
    while some := list(islice(worlds, count)):
        days, panels, done = zip(*some, strict=True)
        yield from case.moved_until(days, panels, done)


def past_bars(case: Case, count: int, draw: np.random.Generator) -> Trials:
    """One bar is changed: earlier rows and other symbols stay, and each column moves some time.

    A column that has not moved after `count` bars has ten times as many before it is called dead.
    """
    asleep = [name for name in case.known if name not in case.calendar]
    for trial in range(1, 10 * count + 1):
        row = int(draw.integers(case.panel.height))
        symbol, day = case.panel.select("symbol", "date").row(row)
        found = case.build(changes.with_changed_bar(case.panel, row, draw)).sort(KEYS)
        done = f"the bar of {symbol} at {day} is changed"
        before, other = pl.col("date") < day, pl.col("symbol") != symbol
        broken = moved(case.whole.filter(before), found.filter(before), done) or moved(
            case.own(case.whole).filter(other), case.own(found).filter(other), done
        )
        asleep = [name for name in asleep if case.whole[name].equals(found[name])]
        if trial == 10 * count and asleep and not broken:
            yield _dead(asleep, symbol, day, trial)
        else:
            yield broken
        if trial >= count and not asleep:
            break


def _dead(columns: Sequence[str], symbol: str, day: date, trials: int) -> Counterexample:
    first, *others = columns
    return Counterexample(
        column=first,
        symbol=symbol,
        date=day,
        effect="never changes",
        done=f"one of {trials} bars is changed, the last of them there",
        others=tuple(others),
    )


def removed(case: Case) -> Trials:
    """Each symbol leaves in turn."""
    for symbol in case.symbols if len(case.symbols) > 1 else ():
        others = pl.col("symbol") != symbol
        found = case.build(case.panel.filter(others))
        yield moved(
            case.own(case.whole).filter(others), case.own(found), f"symbol {symbol} is removed"
        )


def added(case: Case) -> Trials:
    """A symbol that is no member joins: as first, amid and as last, with sound bars and absurd."""
    for place, like in enumerate(case.symbols[i] for i in (0, len(case.symbols) // 2, -1)):
        name = (f"!{like}", f"{like}!", f"~{like}")[place]
        for value, told in ((None, "sound bars"), (1e9, "bars of 1e9")):
            more = changes.stranger(case.panel, name, like, value)
            found = case.build(pl.concat([case.panel, more]).sort("symbol", "date"))
            done = f"symbol {name} is added with {told}"
            yield moved(case.whole, found.filter(pl.col("symbol") != name), done)


def permuted(case: Case) -> Trials:
    """Symbols take each other's names."""
    for step in range(1, min(4, len(case.symbols))):
        names = [*case.symbols[step:], *case.symbols[:step]]
        yield _under(case, names, "symbols take each other's names")


def renamed(case: Case, draw: np.random.Generator) -> Trials:
    """Symbols take new names, sorted the other way round and at random."""
    places = np.arange(len(case.symbols))
    for order in (places[::-1], draw.permutation(places), draw.permutation(places)):
        yield _under(case, [f"S{place:04d}" for place in order], "symbols take new names")


def _under(case: Case, names: Sequence[str], done: str) -> Counterexample | None:
    new = dict(zip(case.symbols, names, strict=True))
    old = {name: symbol for symbol, name in new.items()}
    found = case.build(changes.renamed(case.panel, new))
    told = ", ".join(f"{symbol} as {name}" for symbol, name in list(new.items())[:4])
    return moved(case.whole, changes.renamed(found, old), f"{done} ({told})")
