"""The certificate's first part: the run's weights on other futures.

1. Spells of sessions are drawn, one in each equal stretch of the history with windows, the last
   one at its end. For each some symbols are drawn, half of them from those that the portfolios'
   filters let pass most often, and cut to the sessions that their windows need, and some more.
2. At a few cutoffs of each spell the bars after it are cut off, masked, blown up, another stock's,
   and split. The features stage, the networks and the portfolios run on each of these worlds.
3. A few cutoffs more lie ahead of a spell's first forecast, where a back-filled warm-up would show.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import pairwise

import numpy as np
import polars as pl
import polars.selectors as cs

from flows.certificate.trained import Trained, World
from models.errors import NightcastError
from tasks.evaluation.aligned import traded_market
from tasks.evaluation.certificate.inference import Seen, Trial
from tasks.evaluation.certificate.orders import fill_leaks, held_until
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.portfolio import Ledger, Market, candidates
from tasks.evaluation.trading import run_portfolios
from tasks.features.causality import changes
from tasks.features.causality.sampling import sample_panel
from tasks.forecasting.forecast import ensemble_forecasts, forecast
from tasks.lake.factors import panel_with_dividends
from tasks.lake.membership import member_rows
from tasks.lake.target_spec import TARGET_COLUMNS
from tasks.windows.contracts import REFIT

CUTOFFS = 8
_SPELLS = 4
_SYMBOLS = 10
# Sessions of a spell with forecasts, beyond those of so many horizons.
_RIPE, _HORIZONS = 60, 4
_FILLS = 8
# Of the few windows here most blocks would be padding.
_BLOCK = 128


def samples(run: Trained) -> list["Sample"]:
    """Returns a few symbols of the run in each of several spells of sessions, in their order."""
    ripe = _RIPE + _HORIZONS * run.target.longest
    bars = run.world.bars
    inside = bars.filter(member_rows(run.members.frame(), bars))
    ends = _ends(run, ripe)
    made = []
    for number, end in enumerate(ends):
        seed = run.seed + number
        world = _cut(run, inside.filter(pl.col("date") <= end), end, ripe, seed)
        cutoffs, fills = (len(range(whole)[number :: len(ends)]) for whole in (CUTOFFS, _FILLS))
        made.append(Sample(run, world, seed, cutoffs, fills))
    return made


def _ends(run: Trained, ripe: int) -> list[date]:
    """Returns the last sessions of the spells: drawn in equal stretches, and the run's last."""
    rows = run.rows.filter(fold=REFIT)["row"]
    days = run.frame["date"].gather(rows).unique().sort().to_list()
    spells = min(_SPELLS, max(1, len(days) // ripe))
    edges = np.linspace(ripe, len(days) - ripe, spells).astype(int)
    draw = np.random.default_rng([run.seed, 2])
    places = [draw.integers(a, b, endpoint=True) - 1 for a, b in pairwise(edges)]
    return [*(days[place] for place in places), run.cutoff]


def _cut(run: Trained, inside: pl.DataFrame, end: date, ripe: int, seed: int) -> World:
    """Returns the run's world up to a date with the bars of a few symbols in a spell.

    Args:
        run: whose.
        inside: bars of members up to the spell's end.
        end: the last date.
        ripe: sessions of the spell that have forecasts, the last ones.
        seed: of the lot.
    """
    count = run.features.lookback + run.lookback + ripe
    days = inside["date"].unique().sort().tail(count)
    spell = inside.filter(pl.col("date") >= days.min())
    passing = _passing(run, spell).filter(pl.col("date") >= days.tail(ripe).min())
    some = sample_panel(passing, _SYMBOLS // 2, ripe, seed)["symbol"].unique()
    others = spell.filter(~pl.col("symbol").is_in(some.implode()))
    more = sample_panel(others, _SYMBOLS - some.len(), count, seed)["symbol"].unique()
    chosen = pl.col("symbol").is_in(pl.concat([some, more]).implode())
    few = run.world.bars.filter(chosen, pl.col("date").is_between(days.min(), end))
    acted = run.world.actions.filter(pl.col("date") <= end)
    return World(few.sort("symbol", "date"), acted, run.world.index)


def _passing(run: Trained, bars: pl.DataFrame) -> pl.DataFrame:
    """Returns symbol and date of the bars on which the portfolios' filters let a symbol pass."""
    panel = panel_with_dividends(bars, run.world.actions)
    every = panel.select("symbol", "date", score=pl.lit(1.0))
    signal, market = traded_market(panel, every, 0)
    passed = np.argwhere(np.isfinite(candidates(signal, market, run.evaluation.portfolio)))
    symbols, dates = panel["symbol"].unique().sort(), pl.Series(market.dates)
    return pl.DataFrame({"symbol": symbols[passed[:, 1]], "date": dates[passed[:, 0]]})


@dataclass(frozen=True)
class Sample:
    """A few symbols of a run in a spell of sessions, seen with the run's weights.

    Attributes:
        run: the run.
        world: their bars and actions.
        seed: of what is drawn.
        count: cutoffs wanted.
        filled: sessions of fills wanted.
    """

    run: Trained
    world: World
    seed: int
    count: int
    filled: int

    @cached_property
    def made(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Panel and feature frame of the bars as they are."""
        return self.run.stage(self.world)

    @cached_property
    def forecasts(self) -> pl.DataFrame:
        """All forecasts on the bars as they are."""
        return self._forecasts(self.made[1], self.run.cutoff)

    @cached_property
    def days(self) -> list[date]:
        """The sessions of the sample."""
        return self.world.bars.get_column("date").unique().sort().to_list()

    @cached_property
    def cutoffs(self) -> list[date]:
        """Cutoffs with forecasts, each with a session after it."""
        there = set(self.forecasts["date"])
        days = [day for day in self.days[:-1] if day in there]
        drawn = np.random.default_rng(self.seed).permutation(len(days))[: self.count]
        return [days[place] for place in sorted(drawn)]

    @cached_property
    def early(self) -> list[date]:
        """Cutoffs ahead of the first forecast, where most features are still masked."""
        first = self.forecasts["date"].min()
        ahead = [day for day in self.days if first is None or day < first]  # type: ignore[operator]
        # On the first session nothing that looks back is known: whatever is there was filled in.
        place = int(len(ahead) ** np.random.default_rng([self.seed, 1]).random()) - 1
        return sorted({ahead[0], ahead[place]})

    def trials(self) -> Iterator[Trial]:
        """Yields what is seen of every other future at every cutoff."""
        for cutoff in sorted([*self.cutoffs, *self.early]):
            ripe = cutoff in self.cutoffs
            truth = self.seen(*self.made, cutoff, ripe)
            for told, world in other_futures(self.world, cutoff):
                found: Seen | NightcastError
                try:
                    found = self.seen(*self.run.stage(world), cutoff, ripe)
                except NightcastError as fault:
                    found = fault
                yield Trial(cutoff, told, truth, found)

    def fills(self) -> Iterator[str | None]:
        """Yields what is wrong with fills of the forecasts as they are."""
        if self.forecasts.is_empty():
            return iter(())
        signal, market = traded_market(
            self.made[0], self.forecasts, self.run.target.horizon, self.run.members.frame()
        )
        return fill_leaks(self._trade, signal, market, self.filled, self.seed)

    def seen(self, panel: pl.DataFrame, frame: pl.DataFrame, cutoff: date, ripe: bool) -> Seen:
        """Returns features, and where there are forecasts these and orders, up to a cutoff."""
        past = frame.filter(pl.col("date") <= cutoff).drop(cs.matches(TARGET_COLUMNS), "label_end")
        if not ripe:
            nothing = past.clear().select("symbol", "date")
            return Seen(past, nothing, nothing)
        made = self._forecasts(frame, cutoff)
        tonight = forecast(self.run.bundle, frame, cutoff, self.run.device, _BLOCK)
        published = tonight.pivot("horizon", index="symbol").with_columns(date=pl.lit(cutoff))
        horizon, following = self.run.target.horizon, self.days[self.days.index(cutoff) + 1]
        spells = self.run.members.frame()
        held = held_until(panel, made, cutoff, following, horizon, self._trade, spells)
        keys = ["symbol", "date"]
        return Seen(past, made.join(published, on=keys, how="left"), held)

    def _forecasts(self, frame: pl.DataFrame, cutoff: date) -> pl.DataFrame:
        panel = self.run.panel(frame)
        ends = panel.rows(panel.dates.min().item(), cutoff)
        found = ensemble_forecasts(self.run.bundle, panel, ends, self.run.device, _BLOCK)
        symbols = [panel.symbols[code] for code in panel.symbol[ends]]
        columns = {"symbol": symbols, "date": panel.dates[ends]}
        for horizon, made in found.items():
            # The main horizon's orders the symbols, and is traded.
            name = "score" if horizon == self.run.target.horizon else f"score {horizon}"
            columns[name] = made.score
            if made.quantiles is not None:
                columns |= {f"{name} q{n}": one for n, one in enumerate(made.quantiles.T)}
        return pl.DataFrame(columns).with_columns(pl.col("date").cast(pl.Date))

    def _trade(self, signal: FloatArray, market: Market) -> dict[str, Ledger]:
        portfolio, horizon = self.run.evaluation.portfolio, self.run.target.horizon
        if market.sector is None:
            # None of these few may have one; then they count as one sector.
            market = replace(market, sector=np.full(signal.shape, -1))
        return run_portfolios(signal, market, None, portfolio, horizon)


def other_futures(world: World, cutoff: date) -> Iterator[tuple[str, World]]:
    """Yields what is done to the bars after a cutoff, in words, and the world that it makes."""
    past = pl.col("date") <= cutoff
    bars, actions = world.bars, world.actions.filter(past)
    yield "cut off", replace(world, bars=bars.filter(past), actions=actions)
    for told, future in (
        ("masked", changes.constant_bars(bars, float("nan"))),
        ("set to 1e9", changes.constant_bars(bars, 1e9)),
        ("those of another stock", changes.bars_of_another_stock(bars)),
    ):
        later = changes.with_future(bars, future, cutoff)
        yield told, replace(world, bars=later, actions=actions)
    bars, actions = changes.with_later_action(bars, actions, cutoff, 3.0, moved=False)
    yield "split", replace(world, bars=bars, actions=actions)
