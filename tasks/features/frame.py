"""The feature frame: features, what intervals and baselines need, the target, for a universe.

1. Each exchange's symbols get their features and labels by its own sessions.
2. All of them together are transformed and related date by date, among the members of the date.
3. Tonight's frame needs the newest rows only: they are computed from the bars that they hang on,
   and agree with those of the whole history within TOLERANCE. Where a feature hangs on all bars
   (a stop that turns with the price), or on other symbols, these are all there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from models.errors import DataError, some_of
from tasks.features.contracts import check_features, check_panel
from tasks.features.engine import fill
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature
from tasks.features.names import parse
from tasks.features.spec import FeatureSpec
from tasks.features.targets import label, relate
from tasks.features.threads import in_threads
from tasks.features.transforms.crosssection import CrossSection, sector_codes
from tasks.features.transforms.entry import Transform
from tasks.lake.membership import Membership, member_rows, sector_rows
from tasks.lake.target_spec import TargetSpec

# By how much a feature of tonight may differ from that of the whole history: of its own size, or of
# 1 where it is smaller.
TOLERANCE = 1e-6

# Not features: intervals are scaled by the first, baselines follow the others.
_ALWAYS_MADE = (
    Feature("volatility", INDICATORS["realised_volatility"], (20,)),
    Feature("momentum", INDICATORS["momentum"], (21, 252)),
    Feature("reversal", INDICATORS["log_return"], (5,)),
)

# What `label` makes, of every horizon; no feature has such a name.
_LABELS = cs.matches(r"^(label|label_end|reference)(_\d+)?$")


@dataclass(frozen=True)
class Exchange:
    """The sessions of an exchange.

    Attributes:
        sessions: those held over the panel's span; labels are counted in them.
        scheduled: those that were expected, around it too; the calendar features see them.
    """

    sessions: Sequence[date]
    scheduled: Sequence[date]


def feature_frame(
    panel: pl.DataFrame,
    exchanges: Mapping[str, Exchange],
    members: Membership,
    spec: FeatureSpec,
    target: TargetSpec,
    benchmark: pl.DataFrame | None = None,
    newest: int | None = None,
) -> pl.DataFrame:
    """Returns the feature frame of a universe: for each bar what `contracts.py` says, and `member`.

    Features are float32 and NaN where masked. `member`, `exchange` and `sector` are what the
    symbol's spells say on the row's date; no bar decides about them.

    Args:
        panel: adjusted bars, sorted by symbol and date.
        exchanges: by name; a bar on no session of its exchange is left out.
        members: who belongs to the universe, when, on which exchange, in which sector.
        spec: which features.
        target: what the rows are labelled with; only this looks past row t.
        benchmark: date, open and close, for a target in excess of it.
        newest: rows wanted of each symbol, the last ones, for a forecast: they get no target.
            Without it, all rows.

    Raises:
        DataError: the panel breaks its contract, or has no bar of the universe.
    """
    features = [parse(name) for name in spec.features]
    listed_on = members.exchanges()
    pieces = []
    for name, exchange in exchanges.items():
        listed = [symbol for symbol, place in listed_on.items() if place == name]
        # A bar that a person has let pass against the calendar has no session to count in.
        own = panel.filter(
            pl.col("symbol").is_in(listed), pl.col("date").is_in(list(exchange.sessions))
        )
        if own.height:
            recent, seen = newest_rows(own, features, newest)
            columns = base_columns(recent, features, exchange.scheduled).hstack([seen])
            columns = columns.with_columns(exchange=pl.lit(name))
            if newest is None:
                labels = label(recent, exchange.sessions, target, columns["volatility"], benchmark)
                columns = columns.hstack(labels.select(_LABELS))
            pieces.append(columns)
    if not pieces:
        raise DataError(
            f"None of the {panel.height} bars is of a member of the universe on a session of its "
            "exchange; ingest the universe first."
        )
    frame = pieces[0] if len(pieces) == 1 else pl.concat(pieces).sort("symbol", "date")
    spells = members.frame()
    member, sector = member_rows(spells, frame), sector_rows(spells, frame)
    frame = transformed(frame, features, member, sector).with_columns(member, sector)
    if newest is None:
        related = relate(frame, target).drop("symbol", "date")
        frame = frame.drop(_LABELS).hstack(related)
    else:
        frame = frame.filter(pl.int_range(pl.len()).reverse().over("symbol") < newest)
        unknown = [pl.lit(None, pl.Float64).alias(name) for name in target.columns]
        frame = frame.with_columns(*unknown, label_end=pl.lit(None, pl.Date))
    said = ("exchange", "sector", "member")
    frame = frame.select(pl.exclude(said), *said)
    check_features(frame.drop("member"), spec, target)
    return frame


def build(
    panel: pl.DataFrame, spec: FeatureSpec, scheduled: Sequence[date] | None = None
) -> pl.DataFrame:
    """Returns symbol, date, features, volatility, momentum, reversal, with all symbols members.

    For looking at features without a lake; row t sees rows up to t.

    Raises:
        DataError: the panel breaks its contract.
        UsageError: a calendar feature without the sessions that are `scheduled`.
    """
    features = [parse(name) for name in spec.features]
    frame = base_columns(panel, features, scheduled)
    everyone = pl.repeat(True, frame.height, eager=True)
    unknown = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    return transformed(frame, features, everyone, unknown)


def base_columns(
    panel: pl.DataFrame, features: Sequence[Feature], scheduled: Sequence[date] | None
) -> pl.DataFrame:
    """Returns symbol, date, features before their transforms, volatility, momentum, reversal."""
    narrow = np.empty((len(features), panel.height), dtype=np.float32)
    fill(panel, features, narrow, scheduled)
    wide = np.empty((len(_ALWAYS_MADE), panel.height))
    fill(panel, _ALWAYS_MADE, wide)
    named = [pl.Series(f.name, column) for f, column in zip(features, narrow, strict=True)]
    named += [pl.Series(f.name, column) for f, column in zip(_ALWAYS_MADE, wide, strict=True)]
    return panel.select("symbol", "date").hstack(named)


def transformed(
    frame: pl.DataFrame, features: Sequence[Feature], member: pl.Series, sector: pl.Series
) -> pl.DataFrame:
    """Returns `frame` with the transforms of the features done, in their order."""
    wanted = [feature for feature in features if feature.steps]
    if not wanted:
        return frame
    section = None
    if looks_across(wanted):
        section = CrossSection(frame, member.to_numpy(), sector_codes(sector))
    lengths = frame.get_column("symbol").rle().struct.field("len").to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)

    def work(feature: Feature) -> pl.Series:
        column = frame.get_column(feature.name).to_numpy()
        for step in feature.steps:
            if step.transform.scope == "symbol":
                column = _by_symbol(column, ends, step.transform, step.arguments)
            elif section is not None:
                column = section.apply(column, step.transform, step.arguments)
        # Beyond what float32 holds is infinity.
        return pl.Series(feature.name, np.where(np.isfinite(column), column, np.float32(np.nan)))

    return frame.with_columns(in_threads([partial(work, feature) for feature in wanted]))


def _by_symbol(
    column: NDArray[np.float32],
    ends: NDArray[np.int64],
    transform: Transform,
    arguments: tuple[int, ...],
) -> NDArray[np.float32]:
    out = np.empty_like(column)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        own = column[start:end].astype(np.float64)
        out[start:end] = transform.function(own, *arguments)
    return out


def newest_rows(
    panel: pl.DataFrame, features: Sequence[Feature], newest: int | None
) -> tuple[pl.DataFrame, pl.Series]:
    """Returns the bars that the newest rows hang on, and how many each has before it in `panel`.

    Args:
        panel: sorted by symbol and date.
        features: their lookback and warm-up decide.
        newest: rows wanted of each symbol; None keeps all bars. So does a feature that looks
            across symbols: one that missed sessions stands beside older rows of the others.
    """
    lengths = check_panel(panel)
    starts = np.cumsum(lengths) - lengths
    seen = np.arange(panel.height) - np.repeat(starts, lengths)
    if newest is None or looks_across(features):
        return panel, pl.Series("bars_seen", seen)
    kept = seen >= np.repeat(lengths, lengths) - (newest + bars_behind(features))
    return panel.filter(kept), pl.Series("bars_seen", seen[kept])


def bars_behind(features: Sequence[Feature], used: Sequence[str] | None = None) -> int:
    """Returns the earlier bars of its symbol that a row of the frame hangs on, warm-up included.

    Args:
        features: the features.
        used: which of volatility, momentum and reversal count besides; None counts all.
    """
    made = [f for f in _ALWAYS_MADE if used is None or f.name in used]
    return max(f.lookback + f.warm_up for f in (*features, *made))


def looks_across(features: Sequence[Feature]) -> bool:
    """Tells whether a row of the frame hangs on the other symbols of its date."""
    return any(step.transform.scope == "date" for f in features for step in f.steps)


def masked_rows(frame: pl.DataFrame, features: Sequence[str], lookback: int) -> dict[str, int]:
    """Returns for each feature in how many members' rows with enough history it is masked.

    Raises:
        DataError: a feature is masked in all of them.
    """
    ripe = frame.filter(pl.col("bars_seen") >= lookback, "member")
    masked = ripe.select(pl.col(features).is_nan().sum()).row(0, named=True)
    empty = [name for name, rows in masked.items() if rows == ripe.height > 0]
    if empty:
        raise DataError(
            f"{some_of(empty)} has no value in any of the {ripe.height} rows with {lookback} "
            "earlier bars: its bars lack what it is made of, or there are too few members to "
            "compare; take it out of features.features, or mend the bars."
        )
    return masked
