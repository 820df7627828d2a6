"""The target: what a forecast made after the close of session t is held against.

1. `label` takes one exchange: each bar gets what its own later bars say. Bars ahead are counted
   in sessions of the exchange, never in rows of the symbol.
2. `relate` takes all symbols together: the excess, the scale, the rank or the direction.

The rule for missing bars is one for all kinds: a label needs a bar at both of its ends, whatever
lies between. So no row has or lacks a label because of how its own price moved inside the span.
And its span ends on a session fixed beforehand, even where a barrier is touched early: otherwise,
of the rows before a border, purging would keep those that touched and drop those that did not.

A target never changes once it is there: it hangs on no bar after its `label_end`.

Each further horizon of a target is labelled and related by itself, in the same way. A row's targets
come all together, when the longest label is known: `label_end` is that session.
"""

import math
from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import UsageError
from models.intervals import VOLATILITY_FLOOR
from tasks.features.ahead import SessionRows
from tasks.features.barriers import first_touches
from tasks.lake.target_spec import TargetSpec, further_name

Floats = NDArray[np.float64]

_TARGET = pl.col("target")


def label(
    panel: pl.DataFrame,
    sessions: Sequence[date],
    spec: TargetSpec,
    volatility: pl.Series,
    benchmark: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Returns symbol, date, label, label_end and reference, one row for each bar of the panel.

    Those of a further horizon have its number behind their names, such as label_5.

    `label` is, with h the horizon and null where a bar it needs is missing or masked:

    - open_to_open: log(open[t+1+h] / open[t+1]). A forecast made after the close of t can be
      traded at the next open at the earliest.
    - close_to_close: log(close[t+h] / close[t]). Nobody can trade at close[t] after having seen
      it; a portfolio fills at the next open all the same and does not earn this.
    - triple_barrier: the barrier that the highs and lows of t+1 … t+h touch first, +1 the upper,
      -1 the lower, 0 none; see `first_touches`. The barriers lie around open[t+1], in multiples
      of the volatility known at t times sqrt(h). (López de Prado 2018, chapter 3, there with
      closes.)

    `label_end` is the session by whose close the label is known: t+1+h for open_to_open (known at
    its open already), t+h for the others. It is there for masked labels too, and null only where
    the sessions end before it.

    `reference` is the benchmark's own label of the same sessions, null without one.

    Args:
        panel: symbol, date and the prices, adjusted so that a split inside the span is no return,
            sorted by symbol and date.
        sessions: the exchange's sessions, ascending, over the panel's span.
        spec: what to label with.
        volatility: of the panel's rows, known at t: standard deviation of one-bar log returns.
        benchmark: date, open, close of the benchmark; bars off these sessions have no say.

    Raises:
        DataError: a bar's date is no session.
        UsageError: an excess over a benchmark is asked for, and there is none.
    """
    if spec.excess == "benchmark" and benchmark is None:
        raise UsageError(
            "target.excess='benchmark' needs a benchmark, and the provider has none; name one "
            "with provider.benchmark or take target.excess='universe'."
        )
    made = panel.select("symbol", "date")
    for horizon in spec.horizons:
        one = _label(panel, sessions, spec.at(horizon), volatility, benchmark)
        made = made.with_columns(one[c].alias(n) for c, n in _names(spec, horizon).items())
    return made


def relate(frame: pl.DataFrame, spec: TargetSpec) -> pl.DataFrame:
    """Returns symbol, date, target and label_end of all symbols, in the order of `frame`.

    Of further horizons too: `TargetSpec.columns` between date and label_end. Without a target at
    the main horizon, or before the longest label is known, a row has none of them; what a further
    horizon alone lacks for ever, such as a bar at its end, is null there alone.

    1. Excess: the label minus the mean of the members' labels of the same date, or minus
       `reference`.
    2. Scale: divided by the volatility known at t times sqrt(horizon); masked where the
       volatility is below one basis point a bar, as of a suspended or pegged symbol.
    3. Form: the rank among the members of the date, (average rank - 0.5) / n - 0.5 (an excess
       that is not scaled changes no rank), or the sign, 0 within the dead zone.

    Symbols that are no members are measured by the members, but have no rank. Where fewer than
    two members have a label, nobody has a target that hangs on them. Such a target is known when
    the last of the members' labels is, and is masked before, so that it never changes.

    Args:
        frame: symbol, date, label, label_end, reference (see `label`), member and volatility,
            sorted by symbol and date; other columns are left alone.
        spec: what to make of the labels.
    """
    made = frame.select("symbol", "date")
    for horizon, name in zip(spec.horizons, spec.columns, strict=True):
        one = _relate(frame, spec, horizon)
        made = made.with_columns(one["target"].alias(name))
        # Where the longest label is known, so are the others.
        if horizon == spec.longest:
            made = made.with_columns(one["label_end"])
    known = pl.col("target").is_not_null() & pl.col("label_end").is_not_null()
    return made.select(
        "symbol",
        "date",
        *(pl.when(known).then(name).alias(name) for name in (*spec.columns, "label_end")),
    )


def _names(spec: TargetSpec, horizon: int) -> dict[str, str]:
    """Returns what the columns of one horizon's labels are called among those of all."""
    names = ("label", "label_end", "reference")
    if horizon == spec.horizon:
        return {name: name for name in names}
    return {name: further_name(name, horizon) for name in names}


def _label(
    panel: pl.DataFrame,
    sessions: Sequence[date],
    spec: TargetSpec,
    volatility: pl.Series,
    benchmark: pl.DataFrame | None,
) -> pl.DataFrame:
    """Returns label, label_end and reference of one horizon."""
    rows = SessionRows(panel, sessions, _reach(spec))
    if spec.kind == "triple_barrier":
        values = _barrier_labels(panel, rows, spec, _floats(volatility))
    else:
        values = _log_returns(panel, rows, spec)
    due = pl.Series("label_end", sessions, dtype=pl.Date).gather(rows.due(_reach(spec)))
    labelled = panel.select("symbol", "date").with_columns(
        pl.Series("label", values).fill_nan(None), due
    )
    nothing = pl.lit(None, pl.Float64).alias("reference")
    if benchmark is None or spec.excess != "benchmark":
        return labelled.with_columns(nothing)
    own = _log_returns_of(benchmark, sessions, spec)
    return labelled.join(own, on="date", how="left", maintain_order="left")


def _relate(frame: pl.DataFrame, spec: TargetSpec, horizon: int) -> pl.DataFrame:
    """Returns target and label_end of one horizon.

    Here label_end is there for masked targets too, and null where it is not yet known whether there
    will be one.
    """
    names = {name: of_it for of_it, name in _names(spec, horizon).items()}
    needed = ("symbol", "date", *names, "member", "volatility")
    made = frame.select(name for name in needed if name in frame.columns).rename(
        names, strict=False
    )
    made = made.with_columns(target=_finite(pl.col("label")))
    # Step by step: polars would compute a nested expression anew wherever it stands.
    for step in (_exceeding, _scaled, _formed):
        made = step(made, spec.at(horizon))
    return made


def _exceeding(frame: pl.DataFrame, spec: TargetSpec) -> pl.DataFrame:
    if spec.excess == "benchmark":
        return frame.with_columns(target=_TARGET - pl.col("reference"))
    if spec.excess == "universe":
        among = _among_members(frame)
        return among.with_columns(target=_TARGET - pl.col("peers").mean().over("date"))
    return frame


def _scaled(frame: pl.DataFrame, spec: TargetSpec) -> pl.DataFrame:
    if spec.scale == "none":
        return frame
    known = pl.when(pl.col("volatility") >= VOLATILITY_FLOOR).then("volatility")
    return frame.with_columns(target=_finite(_TARGET / (known * math.sqrt(spec.horizon))))


def _formed(frame: pl.DataFrame, spec: TargetSpec) -> pl.DataFrame:
    if spec.form == "rank":
        place = pl.col("peers").rank("average").over("date")
        among = _among_members(frame)
        return among.with_columns(target=(place - 0.5) / pl.col("count") - 0.5)
    if spec.form == "direction":
        near = _TARGET.abs() <= spec.dead_zone
        return frame.with_columns(target=pl.when(near).then(0.0).otherwise(_TARGET.sign()))
    return frame


def _among_members(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns the frame with `peers`, the members' targets, and `count`, how many a date has.

    A target that hangs on them needs two, and is known when the last of all members' labels is:
    that is its label_end.
    """
    late = pl.when("member").then("label_end")
    frame = frame.with_columns(
        pl.when("member").then("target").alias("peers"),
        last=late.max().over("date"),
        unripe=(pl.col("member") & pl.col("label_end").is_null()).any().over("date"),
    )
    frame = frame.with_columns(count=pl.col("peers").count().over("date"))
    ripe = ~pl.col("unripe") & pl.col("label_end").is_not_null()
    there = ripe & (pl.col("count") > 1)
    return frame.with_columns(
        pl.when(there).then("target").alias("target"),
        pl.when(there).then("peers").alias("peers"),
        label_end=pl.when(ripe).then(pl.max_horizontal("label_end", "last")),
    )


def _reach(spec: TargetSpec) -> int:
    """Returns how many sessions after t the label ends."""
    return spec.horizon + (spec.kind == "open_to_open")


def _log_returns(panel: pl.DataFrame, rows: SessionRows, spec: TargetSpec) -> Floats:
    if spec.kind == "open_to_open":
        prices, first = _floats(panel["open"]), rows.ahead(1)
    else:
        prices, first = _floats(panel["close"]), np.arange(panel.height)
    last = rows.ahead(_reach(spec))
    there = (first >= 0) & (last >= 0)
    values = np.full(panel.height, np.nan)
    values[there] = np.log(prices[last[there]] / prices[first[there]])
    return values


def _log_returns_of(
    benchmark: pl.DataFrame, sessions: Sequence[date], spec: TargetSpec
) -> pl.DataFrame:
    """Returns date and reference: the benchmark's log returns over the exchange's sessions."""
    # A bar on every session, null where there is none: only the two ends of a label count.
    days = pl.DataFrame({"symbol": "benchmark", "date": pl.Series(sessions, dtype=pl.Date)})
    bars = days.join(benchmark, on="date", how="left", maintain_order="left")
    values = _log_returns(bars, SessionRows(bars, sessions, _reach(spec)), spec)
    return bars.select("date", reference=pl.Series(values).fill_nan(None))


def _barrier_labels(
    panel: pl.DataFrame, rows: SessionRows, spec: TargetSpec, volatility: Floats
) -> Floats:
    opens, highs, lows = (_floats(panel[name]) for name in ("open", "high", "low"))
    entry, last = rows.ahead(1), rows.ahead(spec.horizon)
    complete = np.isfinite(opens + highs + lows)
    # Below the floor a symbol is suspended or pegged, and any tick would touch a barrier.
    labelled = (entry >= 0) & (last >= 0) & (volatility >= VOLATILITY_FLOOR)
    labelled &= np.isfinite(opens[entry]) & complete[last]
    return first_touches(
        rows.place,
        np.where(labelled, entry, -1),
        volatility * math.sqrt(spec.horizon),
        opens,
        highs,
        lows,
        spec.barrier_up,
        spec.barrier_down,
        spec.horizon,
    )


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _finite(value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_finite()).then(value)
