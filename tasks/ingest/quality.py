"""Refuses bars and actions that cannot be true; each refused row goes to quarantine with its rule.

1. The rules on single rows are tried in the order of `RULES`; a row is refused by the first one
   it breaks, and the column at fault is named.
2. Among the rows left, a key (symbol, date) may stand once. Repeats that agree keep one and
   quarantine the rest; repeats that disagree are all refused, as none is known to be the true one.
3. Every row served is therefore either good or quarantined once, and the ceiling counts rows.

A price jump is no fault by itself: crashes are real.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

import polars as pl

from models.errors import DataError
from tasks.ingest.spec import QualitySpec

RULES: Mapping[str, str] = {
    "null_date": "The date is missing.",
    "off_calendar": "The exchange did not trade on that day.",
    "null_price": "An open, high, low or close is missing.",
    "non_finite_price": "A price is infinite or not a number.",
    "non_positive_price": "A price is zero or negative.",
    "high_below_low": "The high is below the low.",
    "open_or_close_outside_range": "Open or close lies outside low..high by over a millionth.",
    "null_volume": "The volume is missing.",
    "non_finite_volume": "The volume is infinite or not a number.",
    "negative_volume": "The volume is negative.",
    "non_positive_action": "A split or dividend is missing, not finite, zero or negative.",
    "dividend_not_below_close": "The dividend is no less than the close before it, per new share.",
    "duplicate_key": "The key stands more than once; repeats that agree keep one row.",
}

_PRICES = ("open", "high", "low", "close")
_TOLERANCE = 1e-6
_QUARANTINE = ("symbol", "date", "rule", "field", "value", "occurrence", "source")


class _Fault(NamedTuple):
    """`found` is true for rows that break `rule` by their column `field` ("row": by several)."""

    rule: str
    field: str
    found: pl.Expr


def check(bars: pl.DataFrame, sessions: Sequence[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the good bars and the quarantine, each sorted by symbol and date.

    Args:
        bars: Raw bars (`contracts.RawBars`).
        sessions: The exchange's sessions over all dates of `bars`.
    """
    values = (*_PRICES, "volume")
    sound, faulty = _refuse_faulty(bars, _bar_faults(sessions), values)
    good, repeats = _refuse_repeats(sound, ("symbol", "date"), values)
    return good, _numbered(pl.concat([faulty, repeats]))


def check_actions(actions: pl.DataFrame, bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the good actions and the quarantine.

    Args:
        actions: Splits and dividends (`contracts.Actions`).
        bars: Good as-traded bars; a dividend is held against the last close before its date, in
            the shares of that date. Without an earlier bar there is nothing to hold it against.
    """
    finite, faulty = _refuse_faulty(actions, _action_faults(), ("kind", "value"))
    sound, repeats = _refuse_repeats(finite, ("symbol", "date", "kind"), ("value",))
    splits = sound.filter(kind="split").select("symbol", "date", split="value")
    closes = bars.select("symbol", "date", previous_close="close").sort("symbol", "date")
    weighed = (
        sound.join(splits, on=["symbol", "date"], how="left")
        .sort("symbol", "date", "kind")
        .join_asof(
            closes,
            on="date",
            by="symbol",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .with_columns(pl.col("previous_close") / pl.col("split").fill_null(1.0))
    )
    too_high = (pl.col("kind") == "dividend") & (pl.col("value") >= pl.col("previous_close"))
    faults = [_Fault("dividend_not_below_close", "row", too_high)]
    good, dear = _refuse_faulty(weighed, faults, ("kind", "value", "previous_close"))
    return good.select(actions.columns), _numbered(pl.concat([faulty, repeats, dear]))


def count_by_symbol(frame: pl.DataFrame) -> dict[str, int]:
    """Returns the number of rows of each symbol."""
    return dict(frame.group_by("symbol").len().sort("symbol").iter_rows())


def enforce_ceiling(
    served: Mapping[str, int], refused: Mapping[str, int], spec: QualitySpec
) -> None:
    """Raises a DataError when more was refused than `spec` allows.

    Args:
        served: Bars received, by symbol.
        refused: Bars in quarantine, by symbol; a symbol without any may be left out.
    """
    shares = {s: refused.get(s, 0) / n for s, n in served.items() if n}
    if not shares:
        return
    worst = max(shares, key=lambda s: (shares[s], s))
    if shares[worst] > spec.max_refused_per_symbol:
        raise DataError(
            f"{worst} lost {refused[worst]} of {served[worst]} bars to quarantine "
            f"({shares[worst]:.2%}), more than max_refused_per_symbol="
            f"{spec.max_refused_per_symbol:g} allows; look at the quarantine, then mend the "
            "source, leave the symbol out or raise the ceiling."
        )
    lost, total = sum(refused.values()), sum(served.values())
    if lost / total > spec.max_refused_total:
        raise DataError(
            f"{lost} of {total} bars went to quarantine ({lost / total:.2%}), more than "
            f"max_refused_total={spec.max_refused_total:g} allows, the worst symbol being {worst} "
            f"({shares[worst]:.2%}); look at the quarantine, then mend the source or raise the "
            "ceiling."
        )


def _bar_faults(sessions: Sequence[date]) -> list[_Fault]:
    low, high = pl.col("low"), pl.col("high")
    floor, roof = low * (1 - _TOLERANCE), high * (1 + _TOLERANCE)
    outside = [~pl.col(c).is_between(floor, roof) for c in ("open", "close")]
    volume, traded = pl.col("volume"), pl.Series(sessions, dtype=pl.Date).implode()
    return [
        _Fault("null_date", "date", pl.col("date").is_null()),
        _Fault("off_calendar", "date", ~pl.col("date").is_in(traded)),
        *(_Fault("null_price", c, pl.col(c).is_null()) for c in _PRICES),
        *(_Fault("non_finite_price", c, ~pl.col(c).is_finite()) for c in _PRICES),
        *(_Fault("non_positive_price", c, pl.col(c) <= 0) for c in _PRICES),
        _Fault("high_below_low", "row", high < low),
        _Fault("open_or_close_outside_range", "row", pl.any_horizontal(outside)),
        _Fault("null_volume", "volume", volume.is_null()),
        _Fault("non_finite_volume", "volume", ~volume.is_finite()),
        _Fault("negative_volume", "volume", volume < 0),
    ]


def _action_faults() -> list[_Fault]:
    sound = pl.col("value").is_finite() & (pl.col("value") > 0)
    return [
        _Fault("null_date", "date", pl.col("date").is_null()),
        _Fault("non_positive_action", "row", ~sound.fill_null(False)),
    ]


def _refuse_faulty(
    rows: pl.DataFrame, faults: Sequence[_Fault], shown: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the rows without fault and the quarantine of the others, under their first fault."""
    # Most rows are sound: one pass finds the others, and only those are asked for their rule.
    faulty = pl.any_horizontal(f.found.fill_null(False) for f in faults)
    first = pl.coalesce(pl.when(f.found).then(pl.lit(i)) for i, f in enumerate(faults))
    broken = rows.filter(faulty).with_columns(fault=first)
    refused = (
        _quarantined(broken.filter(fault=i), f.rule, f.field, shown) for i, f in enumerate(faults)
    )
    return rows.filter(~faulty), pl.concat(refused)


def _refuse_repeats(
    rows: pl.DataFrame, key: Sequence[str], values: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the rows, sorted, whose key stands once, and the quarantine of the others."""
    ordered = rows.sort("symbol", "date", maintain_order=True).with_row_index("_row")
    # Once sorted, a repeated date stands next to its like; grouping all rows takes far longer.
    as_above = pl.all_horizontal(
        pl.col(c).eq_missing(pl.col(c).shift(1)) for c in ("symbol", "date")
    )
    suspects = ordered.filter(as_above | as_above.shift(-1, fill_value=False))
    at_odds = pl.struct(values).n_unique().over(key) > 1
    repeats = suspects.filter(at_odds | (pl.int_range(pl.len()).over(key) > 0))
    good = ordered.join(repeats, on="_row", how="anti", maintain_order="left").drop("_row")
    return good, _quarantined(repeats, "duplicate_key", "row", (*key[2:], *values))


def _quarantined(rows: pl.DataFrame, rule: str, field: str, shown: Sequence[str]) -> pl.DataFrame:
    whole = pl.concat_str(
        [pl.format("{}={}", pl.lit(c), pl.col(c).cast(pl.String).fill_null("null")) for c in shown],
        separator=" ",
    )
    value = whole if field == "row" else pl.col(field).cast(pl.String).fill_null("null")
    return rows.select(
        "symbol", "date", rule=pl.lit(rule), field=pl.lit(field), value=value, source="source"
    )


def _numbered(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Numbers rows that are equal otherwise, so that the second of two is not taken for known."""
    what = ("symbol", "date", "rule", "field", "value")
    return (
        quarantine.with_columns(occurrence=pl.int_range(pl.len(), dtype=pl.Int64).over(what))
        .select(_QUARANTINE)
        .sort("symbol", "date", "rule", maintain_order=True)
    )
