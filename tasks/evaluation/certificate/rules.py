"""Rules that no other future reveals: borders, membership, and the count of trials.

They are computed anew from dates alone, not with what the run itself used.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

_FOLLOWING = {"fit": "stop", "stop": "calibrate", "calibrate": "test"}


def purge_leaks(rows: pl.DataFrame, spans: Sequence[Mapping[str, Any]]) -> Iterator[str | None]:
    """Tries of every span of every fold whether its labels are known when the next one begins.

    Args:
        rows: fold, span, symbol, date, label_end of every row that a fold uses.
        spans: of each fold in its order, the first date of each span by name, as ISO text.
    """
    for fold, starts in enumerate(spans):
        for span, following in _FOLLOWING.items():
            border = pl.lit(starts[following]).str.to_date()
            mine = rows.filter(pl.col("fold") == fold, pl.col("span") == span)
            inside = (pl.col("date") < border) & (pl.col("label_end") <= border)
            late = mine.filter(~inside.fill_null(False))
            yield None if late.is_empty() else _row_of(
                late, f"{span} rows of fold {fold} reach beyond {starts[following]}, where its "
                f"{following} span begins"
            )  # fmt: skip


def oldest_bars(frame: pl.DataFrame, lookback: int, behind: int, across: bool) -> pl.Series:
    """Returns the date of the oldest bar that the window ending on each row hangs on.

    Args:
        frame: symbol and date of every bar, sorted.
        lookback: rows of a window.
        behind: earlier bars of its symbol that a row's features hang on, warm-up included.
        across: whether they hang on those of the other symbols of the row's date too.
    """
    # One step after the other: a window expression inside another one sees that one's groups.
    earlier = pl.col("date").shift(behind).fill_null(pl.col("date").first())
    made = frame.select("symbol", "date", oldest=earlier.over("symbol").to_physical())
    if across:
        made = made.with_columns(pl.col("oldest").min().over("date"))
    window = pl.col("oldest").rolling_min(lookback, min_samples=1).over("symbol")
    return made.select(window.cast(pl.Date))["oldest"]


def overlap_leaks(
    rows: pl.DataFrame, tested: Mapping[int, Sequence[Mapping[str, Any]]]
) -> Iterator[str | None]:
    """Tries of every combinatorial fold whether a row it learns from shares sessions with a test.

    A row reaches from the oldest bar that its features hang on to the end of its label, a test
    span from its first date to the end of its last label.

    Args:
        rows: as for `purge_leaks`, with `oldest`, the date of that bar.
        tested: by fold the first and last dates of its test spans, as ISO text.
    """
    for fold, spans in tested.items():
        mine = rows.filter(pl.col("fold") == fold)
        learned, judged = mine.filter(pl.col("span") != "test"), mine.filter(span="test")
        for span in spans:
            first, last = (pl.lit(span[end]).str.to_date() for end in ("start", "end"))
            known = judged.filter(pl.col("date").is_between(first, last))["label_end"].max()
            shared = learned.filter(
                pl.col("oldest") <= pl.max_horizontal(last, pl.lit(known, pl.Date)),
                pl.col("label_end") >= first,
            )
            yield None if shared.is_empty() else _row_of(
                shared, f"rows that fold {fold} learns from share sessions with its test span "
                f"{span['start']} to {span['end']} or the labels of it"
            )  # fmt: skip


def stranger_leaks(rows: pl.DataFrame, spells: pl.DataFrame) -> Iterator[str | None]:
    """Tries of every symbol whether it is used only on dates on which it was a member.

    Args:
        rows: symbol and date of every row that is used.
        spells: symbol, from, to; both inside, null without an end.
    """
    for (symbol,), own in rows.group_by("symbol", maintain_order=True):
        outside = own.filter(~_inside(spells.filter(symbol=symbol)))
        yield None if outside.is_empty() else _row_of(
            outside, "rows are used on dates on which their symbol was no member of the universe"
        )  # fmt: skip


def survivor_leaks(left_out: pl.DataFrame, spells: pl.DataFrame) -> Iterator[str | None]:
    """Tries of every symbol that ever was a member whether a bar of it as one is left out.

    Args:
        left_out: symbol and date of the bars that no row is made of, or that count as a
            stranger's.
        spells: symbol, from, to; both inside, null without an end.
    """
    for symbol in spells["symbol"].unique().sort():
        lost = left_out.filter(pl.col("symbol") == symbol, _inside(spells.filter(symbol=symbol)))
        yield None if lost.is_empty() else _row_of(
            lost, "bars of a member of the universe are left out: only survivors may be there"
        )  # fmt: skip


def counting_leaks(
    counted: pl.DataFrame,
    fitted: Mapping[str, datetime],
    since: datetime | None = None,
    first: datetime | None = None,
) -> Iterator[str | None]:
    """Tries of every fit whether its trial had been counted before.

    Args:
        counted: status, commit, committed_at of every row of the trial in the lake.
        fitted: by a fit's name, the instant at which it was finished.
        since: when the run that counted the trial began. Fits from before are those of an earlier
            trial that comes to the same fits. None takes all fits for this trial's.
        first: when the first trial of the same specification on the same universe was counted.
            Another portfolio trades the same fits, and other seeds may share some: they may be
            that trial's. None where this trial is the first.
    """
    started = counted.filter(status="started")
    if started.is_empty():
        yield "the trial of this run is not in the table `trials`"
        return
    own = started.sort("commit").row(0, named=True)
    done = counted.filter(pl.col("status") != "started", pl.col("commit") < own["commit"])
    yield None if done.is_empty() else "the trial was completed before it was counted"
    at: datetime = own["committed_at"] or datetime.max.replace(tzinfo=UTC)
    earliest = at if first is None else min(at, first)
    for name, when in fitted.items():
        late = when < earliest and (since is None or when >= since)
        yield (
            f"{name} was finished at {when}, before its trial was counted at {at}" if late else None
        )


def _inside(spells: pl.DataFrame) -> pl.Expr:
    """Returns whether a row's date lies inside one of the spells of its symbol."""
    inside = pl.lit(False)
    for first, last in spells.select("from", "to").iter_rows():
        begun = pl.lit(True) if first is None else pl.col("date") >= first
        inside |= begun & (pl.lit(True) if last is None else pl.col("date") <= last)
    return inside


def _row_of(rows: pl.DataFrame, told: str) -> str:
    symbol, day = rows.select("symbol", "date").row(0)
    return f"{rows.height} {told}, the first {symbol} {day}"
