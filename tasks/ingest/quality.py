"""Refuses bars and actions that cannot be true; each refused row goes to quarantine with its rule.

1. The rules on single rows are tried in the order of `rules.RULES`; a row is refused by the first
   one it breaks, and the column at fault is named.
2. A refused row that a person has released passes after all, unless nothing could be done with it.
3. Among the rows left, a key (symbol, date) may stand once. Repeats that agree keep one and
   quarantine the rest; repeats that disagree are all refused, as none is known to be the true one,
   unless a person has said which.
4. Every row served is therefore either good or quarantined once, and the ceiling counts rows.

A price jump is no fault by itself: crashes are real, and `judge.py` weighs them.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from models.errors import DataError
from tasks.ingest.actions import is_odd_split
from tasks.ingest.quarantine import (
    PRICES,
    TAPE,
    Fault,
    bar_text,
    quarantined,
    refuse_faulty,
    refuse_repeats,
    released,
    text,
)
from tasks.ingest.spec import QualitySpec

_TOLERANCE = 1e-6
_LARGE_DIVIDEND = 0.2
# A night serves a few sessions of a symbol, and one bad bar of them is no fifth of its history.
_YEAR = 252
_CASH = ("dividend", "capital_gain")


def check(
    bars: pl.DataFrame,
    sessions: Sequence[date],
    currency: Mapping[str, str],
    reviews: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the good bars (without `currency`) and the quarantine, sorted by symbol and date.

    Args:
        bars: Raw bars (`contracts.RawBars`).
        sessions: The exchange's sessions over all dates of `bars`.
        currency: What a symbol's prices are to be in; where it or the bar says none, any will do.
        reviews: What people have released (`tables.REVIEWS`).
    """
    served = bars.with_columns(kind=pl.lit("bar"))
    sound, faulty = _sift(served, _bar_faults(sessions, currency), reviews)
    good, repeats = refuse_repeats(sound, ("symbol", "date"), TAPE, bar_text(), reviews)
    return good.drop("kind", "currency"), quarantined(pl.concat([faulty, repeats]))


def check_actions(
    actions: pl.DataFrame, bars: pl.DataFrame, reviews: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the good actions, with `flags`, and the quarantine.

    Args:
        actions: Splits and cash (`contracts.Actions`).
        bars: symbol, date, close: good as-traded bars, of one date the first row counting. The
            cash of a day is held against the last close before it, in the shares of that day.
            Without an earlier bar there is nothing to hold it against.
        reviews: What people have released (`tables.REVIEWS`).
    """
    words = text("kind", "value")
    finite, faulty = refuse_faulty(actions, _action_faults(), words)
    sound, repeats = refuse_repeats(finite, ("symbol", "date", "kind"), ("value",), words, reviews)
    weighed = _weighed(sound, bars)
    is_cash = pl.col("kind").is_in(_CASH)
    too_high = is_cash & (pl.col("cash") >= pl.col("before"))
    dearness = text("kind", "value", "cash", "before")
    good, dear = refuse_faulty(
        weighed, [Fault("dividend_not_below_close", "row", too_high)], dearness
    )
    large = is_cash & (pl.col("cash") >= _LARGE_DIVIDEND * pl.col("before"))
    odd = (pl.col("kind") == "split") & is_odd_split(pl.col("value"))
    flags = (
        pl.when(large.fill_null(False))
        .then(pl.lit("large_dividend"))
        .when(odd)
        .then(pl.lit("odd_split"))
        .otherwise(pl.lit(""))
    )
    refused = pl.concat([faulty, repeats, dear.select(faulty.columns)])
    return good.select(*actions.columns, flags=flags), quarantined(refused)


def enforce_ceiling(
    served: Mapping[str, int], refused: Mapping[str, int], spec: QualitySpec
) -> None:
    """Raises a DataError when more was refused than `spec` allows.

    Shares are of at least a year of bars: a night serves a handful, and one bad bar among five is
    no sign of a bad source.

    Args:
        served: Bars received, by symbol.
        refused: Bars in quarantine, by symbol; a symbol without any may be left out.
        spec: The ceilings.
    """
    shares = {s: refused.get(s, 0) / max(n, _YEAR) for s, n in served.items() if n}
    if not shares:
        return
    worst = max(shares, key=lambda s: (shares[s], s))
    if shares[worst] > spec.max_refused_per_symbol:
        raise DataError(
            f"{worst} lost {refused[worst]} of {served[worst]} bars to quarantine "
            f"({shares[worst]:.2%} of {max(served[worst], _YEAR)}), more than "
            f"max_refused_per_symbol={spec.max_refused_per_symbol:g} allows; look at the "
            "quarantine, then mend the source, leave the symbol out or raise the ceiling."
        )
    lost, total = sum(refused.values()), sum(served.values())
    share = lost / max(total, _YEAR)
    if share > spec.max_refused_total:
        raise DataError(
            f"{lost} of {total} bars went to quarantine ({share:.2%} of {max(total, _YEAR)}), more "
            f"than max_refused_total={spec.max_refused_total:g} allows, the worst symbol being "
            f"{worst} ({refused.get(worst, 0)}); look at the quarantine, then mend the source or "
            "raise the ceiling."
        )


def _bar_faults(sessions: Sequence[date], currency: Mapping[str, str]) -> list[Fault]:
    low, high = pl.col("low"), pl.col("high")
    floor, roof = low * (1 - _TOLERANCE), high * (1 + _TOLERANCE)
    outside = [~pl.col(c).is_between(floor, roof) for c in ("open", "close")]
    volume, traded = pl.col("volume"), pl.Series(sessions, dtype=pl.Date).implode()
    named = pl.col("currency")
    # Most sources say no currency, and then no symbol needs looking up.
    expected = pl.col("symbol").replace_strict(currency, default=None, return_dtype=pl.String)
    foreign = pl.when(named.is_not_null()).then(named != expected) if currency else pl.lit(False)
    return [
        Fault("null_date", "date", pl.col("date").is_null()),
        Fault("off_calendar", "date", ~pl.col("date").is_in(traded)),
        *(Fault("null_price", c, pl.col(c).is_null()) for c in PRICES),
        *(Fault("non_finite_price", c, ~pl.col(c).is_finite()) for c in PRICES),
        *(Fault("non_positive_price", c, pl.col(c) <= 0) for c in PRICES),
        Fault("high_below_low", "row", high < low),
        Fault("open_or_close_outside_range", "row", pl.any_horizontal(outside)),
        Fault("non_finite_volume", "volume", ~volume.is_finite()),
        Fault("negative_volume", "volume", volume < 0),
        Fault("wrong_currency", "currency", foreign),
    ]


def _action_faults() -> list[Fault]:
    sound = pl.col("value").is_finite() & (pl.col("value") > 0)
    return [
        Fault("null_date", "date", pl.col("date").is_null()),
        Fault("non_positive_action", "row", ~sound.fill_null(False)),
    ]


def _weighed(actions: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Adds the day's `cash` and the close `before`, both per share of that day."""
    day = ["symbol", "date"]
    value, kind = pl.col("value"), pl.col("kind")
    days = actions.group_by(day).agg(
        cash=value.filter(kind.is_in(_CASH)).sum(), split=value.filter(kind == "split").product()
    )
    # Of equal dates the join takes the last row, which reversing makes the first one given.
    closes = bars.join(days, on="symbol", how="semi").reverse().sort(day, maintain_order=True)
    return (
        actions.join(days, on=day, how="left")
        .sort("symbol", "date", "kind")
        .join_asof(
            closes.select(*day, before="close"),
            on="date",
            by="symbol",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .with_columns(pl.col("before") / pl.col("split"))
    )


def _sift(
    bars: pl.DataFrame, faults: Sequence[Fault], reviews: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns what `refuse_faulty` does; a released bar must still obey the other rules."""
    sound, faulty = refuse_faulty(bars, faults, bar_text())
    faulty = _naming_repeats(faulty, sound)
    let_pass = released(faulty, reviews)
    passing, faulty = faulty.filter(let_pass), faulty.filter(~let_pass)
    for (rule,), rows in passing.group_by("rule", maintain_order=True):
        others = [f for f in faults if f.rule != rule]
        obeying, breaking = _sift(rows.select(bars.columns), others, reviews)
        sound, faulty = pl.concat([sound, obeying]), pl.concat([faulty, breaking])
    return sound, faulty


def _naming_repeats(faulty: pl.DataFrame, sound: pl.DataFrame) -> pl.DataFrame:
    """Adds to the text of an off-calendar bar that it repeats the bar before, if it does."""
    closed = faulty.filter(rule="off_calendar").with_row_index("_row")
    if closed.is_empty():
        return faulty
    near = sound.join(closed.select("symbol").unique(), on="symbol", how="semi")
    before = near.sort("symbol", "date").select(
        "symbol", "date", before="date", **{f"{c}_before": c for c in PRICES}
    )
    repeats = pl.all_horizontal(pl.col(c) == pl.col(f"{c}_before") for c in PRICES)
    named = (
        closed.sort("symbol", "date")
        .join_asof(before, on="date", by="symbol", check_sortedness=False)
        .with_columns(
            seen=pl.when(repeats)
            .then(pl.format("{} repeats {}", "seen", "before"))
            .otherwise("seen")
        )
        .sort("_row")
    )
    others = faulty.filter(pl.col("rule") != "off_calendar")
    return pl.concat([others, named.select(faulty.columns)])
