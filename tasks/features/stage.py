"""The features stage as a run does it: as-traded bars in, the panel and the feature frame out."""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from tasks.features.frame import Exchange, feature_frame
from tasks.features.spec import FeatureSpec
from tasks.lake.calendar import known_sessions, scheduled_sessions
from tasks.lake.factors import panel_with_dividends
from tasks.lake.membership import Membership
from tasks.lake.target_spec import TargetSpec

# Days around the panel that the exchange's calendar is read for: a month's ends and a holiday.
_AROUND = timedelta(days=60)


def stage_frames(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    exchanges: Mapping[str, Exchange],
    members: Membership,
    features: FeatureSpec,
    target: TargetSpec,
    index: pl.DataFrame | None = None,
    newest: int | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the adjusted bars with `dividend_factor`, and their frame, see `feature_frame`.

    Args:
        bars: as traded.
        actions: symbol, date, kind, value.
        exchanges: their sessions, by name.
        members: who belongs to the universe, when, on which exchange.
        features: which features.
        target: what the rows are labelled with.
        index: date, open and close of the benchmark, for a target in excess of it.
        newest: rows wanted of each symbol, without a target; None makes all.
    """
    panel = panel_with_dividends(bars, actions)
    adjusted = panel.drop("dividend_factor")
    return panel, feature_frame(adjusted, exchanges, members, features, target, index, newest)


def exchanges_of(members: Membership, bars: pl.DataFrame, cutoff: date) -> dict[str, Exchange]:
    """Returns by name the sessions of the members' exchanges over some bars up to a cutoff."""
    first: date = bars["date"].min()  # type: ignore[assignment]
    names = sorted(set(members.exchanges().values()))
    return {name: exchange_days(name, first, cutoff) for name in names}


def exchange_days(name: str, first: date, cutoff: date) -> Exchange:
    """Returns an exchange's sessions over a panel, and those that were expected around it."""
    expected = scheduled_sessions(name, first - _AROUND, cutoff + _AROUND)
    # A calendar may begin after another exchange's first bar.
    return Exchange(known_sessions(name, first, cutoff), expected)
