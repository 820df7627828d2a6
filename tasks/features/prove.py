"""The causality proof of a run's features, made on a few of its symbols and their recent bars.

1. Some symbols of the exchange with the most of them are drawn, those with the longest histories
   as members first, and cut to the sessions that the longest lookback needs and some hundred more.
2. The stage is what `feature_frame` does without the target: adjustment, indicators, transforms
   among the members of each date.
3. It is put to every check of `causality/checks.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from models.errors import DataError
from tasks.features.causality.case import Case
from tasks.features.causality.checks import prove
from tasks.features.causality.proof import Proof
from tasks.features.causality.sampling import sample_panel
from tasks.features.frame import Exchange, base_columns, transformed
from tasks.features.indicators.entry import Feature
from tasks.features.names import parse
from tasks.features.spec import FeatureSpec
from tasks.lake.factors import adjust
from tasks.lake.membership import Membership, member_rows

CUTOFFS = 200
_SYMBOLS = 4
# What no bar decides: Qlib's Alpha360 begins with today's close over today's close.
_ALWAYS_ONE = ("alpha_lag_close(0)", "alpha_lag_volume(0)")
# Sessions on which every column is known, beyond the longest lookback; `momentum`, which is always
# made, has one of 252 bars.
_RIPE = 300
_LEAST_LOOKBACK = 252


def feature_proof(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    exchanges: Mapping[str, Exchange],
    members: Membership,
    spec: FeatureSpec,
    seed: int,
    cutoffs: int = CUTOFFS,
) -> Proof:
    """Returns the proof that the features of a run depend on nothing they must not see.

    Args:
        bars: as traded.
        actions: symbol, date, kind, value.
        exchanges: their sessions, by name.
        members: who belongs to the universe, when, on which exchange.
        spec: which features.
        seed: of the sample and of all draws.
        cutoffs: at how many dates the future is replaced.

    Raises:
        DataError: there is no bar of a member to prove anything on.
    """
    features = [parse(name) for name in spec.features]
    lookback = max(_LEAST_LOOKBACK, *(feature.lookback for feature in features))
    place = _largest(bars, members)
    sample = _sampled(bars, members, place, lookback + _RIPE, seed)
    chosen = sample.get_column("symbol").unique().sort().to_list()
    stage = Stage(features, exchanges[place], members.frame(), chosen)
    if sample.filter(pl.col("date").is_in(list(exchanges[place].sessions))).is_empty():
        raise DataError(
            f"None of the {sample.height} bars sampled on {place} lies on a session of it, so that "
            "nothing can be proved of the features; check the universe's exchanges."
        )
    case = Case(
        build=stage.build,
        build_each=stage.build_each,
        bars=sample,
        actions=actions.filter(pl.col("symbol").is_in(chosen)),
        adjusted=stage.adjusted,
        cross_sectional=[f.name for f in features if _across(f)],
        calendar=[f.name for f in features if _of_no_bar(f)],
    )
    return prove(case, cutoffs, lookback, seed)


@dataclass(frozen=True)
class Stage:
    """The features stage for a few symbols of one exchange."""

    features: Sequence[Feature]
    exchange: Exchange
    spells: pl.DataFrame
    symbols: Sequence[str]

    def adjusted(self, bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
        """Returns the panel with `member` and `sector`, which follow their rows."""
        panel = adjust(bars, actions)
        panel = panel.filter(pl.col("date").is_in(list(self.exchange.sessions)))
        # Among so few symbols most would be alone in their true sectors, and their values relative
        # to it 0 whatever the bars are.
        dealt = {symbol: f"sector {place % 2}" for place, symbol in enumerate(self.symbols)}
        return panel.with_columns(
            member=member_rows(self.spells, panel),
            sector=pl.col("symbol").replace_strict(dealt, return_dtype=pl.String),
        )

    def build(self, panel: pl.DataFrame) -> pl.DataFrame:
        """Returns what `feature_frame` makes of a panel, without the target."""
        return self.build_each([panel])[0]

    def build_each(self, panels: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
        """Returns that of each panel, all of them made at once.

        A call costs far more than its few rows. So the panels lie side by side as if they were one
        universe: their symbols have names of their own, and once the calendar has been looked at,
        their dates too, so that no panel's members stand beside another's on any date.
        """
        universe = pl.concat(
            panel.with_columns(symbol=pl.lit(f"{place:04d} ") + pl.col("symbol"), place=place)
            for place, panel in enumerate(panels)
        )
        bars = universe.drop("member", "sector", "place")
        frame = base_columns(bars, self.features, self.exchange.scheduled)
        days = frame.get_column("date").to_physical()
        span = days.max() - days.min() + 1  # type: ignore[operator]
        apart = (days + span * universe["place"]).cast(pl.Date).alias("date")
        frame = transformed(
            frame.with_columns(apart), self.features, universe["member"], universe["sector"]
        )
        made, start = [], 0
        for panel in panels:
            made.append(
                frame.slice(start, panel.height).with_columns(panel["symbol"], panel["date"])
            )
            start += panel.height
        return made


def _sampled(
    bars: pl.DataFrame, members: Membership, place: str, rows: int, seed: int
) -> pl.DataFrame:
    """Returns the bars of a few symbols of an exchange, on the dates of their last `rows`."""
    listed = [symbol for symbol, exchange in members.exchanges().items() if exchange == place]
    here = bars.filter(pl.col("symbol").is_in(listed)).sort("symbol", "date")
    inside = here.filter(member_rows(members.frame(), here))
    if inside.is_empty():
        raise DataError(
            f"None of the {here.height} bars on {place} lies inside its symbol's membership, so "
            "that nothing can be proved of the features; check the universe's dates."
        )
    chosen = sample_panel(inside, _SYMBOLS, rows, seed).get_column("symbol").unique()
    own = here.filter(pl.col("symbol").is_in(chosen.implode()))
    return sample_panel(own, _SYMBOLS, rows, seed)


def _of_no_bar(feature: Feature) -> bool:
    return feature.indicator.kind == "calendar" or feature.plain.name in _ALWAYS_ONE


def _across(feature: Feature) -> bool:
    return any(step.transform.scope == "date" for step in feature.steps)


def _largest(bars: pl.DataFrame, members: Membership) -> str:
    """Returns the exchange on which most symbols with bars are listed."""
    with_bars = set(bars.get_column("symbol").unique())
    listed = Counter(e for s, e in sorted(members.exchanges().items()) if s in with_bars)
    if not listed:
        raise DataError(
            f"None of the {bars.height} bars is of a member of the universe, so that nothing can "
            "be proved of its features; ingest the universe first."
        )
    return listed.most_common(1)[0][0]
