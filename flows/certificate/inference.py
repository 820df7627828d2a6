"""The certificate's first part: the run's weights on other futures.

1. Some symbols are drawn and cut to the sessions that their windows need, and some more.
2. At each of a few cutoffs the bars after it are cut off, masked, blown up, another stock's, and
   split. The features stage, the networks and the portfolios run on each of these worlds.
3. A few cutoffs more lie ahead of the first forecast, where a back-filled warm-up would show.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
import polars.selectors as cs

from flows.certificate.trained import Trained, World
from models.errors import NightcastError
from tasks.evaluation.aligned import traded_market
from tasks.evaluation.certificate.inference import Seen, Trial
from tasks.evaluation.certificate.orders import fill_leaks, held_until
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.portfolio import Ledger, Market
from tasks.evaluation.trading import run_portfolios
from tasks.features.causality import changes
from tasks.features.causality.sampling import sample_panel
from tasks.forecasting.forecast import ensemble_forecasts, forecast
from tasks.lake.membership import member_rows
from tasks.lake.target_spec import TARGET_COLUMNS

CUTOFFS = 8
_EARLY = 2
_SYMBOLS = 10
# Sessions with forecasts, beyond those of so many horizons.
_RIPE, _HORIZONS = 60, 4
_FILLS = 8
# Of the few windows here most blocks would be padding.
_BLOCK = 128


def sampled(run: Trained) -> World:
    """Returns the run's world with the bars of a few symbols on its last sessions."""
    bars = run.world.bars
    inside = bars.filter(member_rows(run.members.frame(), bars))
    count = run.features.lookback + run.lookback + _RIPE + _HORIZONS * run.target.longest
    chosen = sample_panel(inside, _SYMBOLS, count, run.seed).get_column("symbol").unique()
    own = bars.filter(pl.col("symbol").is_in(chosen.implode()))
    few = sample_panel(own, _SYMBOLS, count, run.seed).sort("symbol", "date")
    return replace(run.world, bars=few)


@dataclass(frozen=True)
class Sample:
    """A few symbols of a run, seen with its weights."""

    run: Trained
    world: World

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
        return self._drawn([day for day in self.days[:-1] if day in there], CUTOFFS)

    @cached_property
    def early(self) -> list[date]:
        """Cutoffs ahead of the first forecast, where most features are still masked."""
        first = self.forecasts["date"].min()
        ahead = [day for day in self.days if day < first]  # type: ignore[operator]
        draw = np.random.default_rng([self.run.seed, 1])
        # On the first session nothing that looks back is known: whatever is there was filled in.
        drawn = {ahead[int(len(ahead) ** draw.random()) - 1] for _ in range(_EARLY)}
        return sorted({ahead[0], *drawn})

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
        signal, market = traded_market(self.made[0], self.forecasts, self.run.target.horizon)
        return fill_leaks(self._trade, signal, market, _FILLS, self.run.seed)

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
        held = held_until(panel, made, cutoff, following, horizon, self._trade)
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
        return run_portfolios(signal, market, None, portfolio, horizon)

    def _drawn(self, days: list[date], count: int) -> list[date]:
        draw = np.random.default_rng(self.run.seed)
        return [days[place] for place in sorted(draw.permutation(len(days))[:count])]


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
