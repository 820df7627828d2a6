"""The rules by which bars and actions are refused, held or flagged: one table for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class Rule:
    """What meeting a rule leads to, and what the rule says.

    refuse: the row cannot be true and goes to quarantine. hold: the bar is kept in `bars` and used
    by nothing until it is released. flag: the row is kept, used and counted.
    """

    severity: Literal["refuse", "hold", "flag"]
    text: str


def _all(severity: Literal["refuse", "hold", "flag"], texts: Mapping[str, str]) -> dict[str, Rule]:
    return {name: Rule(severity, text) for name, text in texts.items()}


RULES: Mapping[str, Rule] = {
    **_all(
        "refuse",
        {
            "null_date": "The date is missing.",
            "off_calendar": (
                "The exchange did not trade on that day; the value says so where the bar repeats "
                "the one before, as a forward-filled holiday does."
            ),
            "null_price": "An open, high, low or close is missing.",
            "non_finite_price": "A price is infinite or not a number.",
            "non_positive_price": "A price is zero or negative.",
            "high_below_low": "The high is below the low.",
            "open_or_close_outside_range": (
                "Open or close lies outside low..high by over a millionth."
            ),
            "non_finite_volume": "The volume is infinite or not a number.",
            "negative_volume": "The volume is negative.",
            "duplicate_key": "The key stands more than once; repeats that agree keep one row.",
            "wrong_currency": "The prices are in another currency than the symbol's.",
            "unit_error": (
                "A bar that the lake holds is served at 100 times or 1/100 of its price, or off by "
                "the splits after it."
            ),
            "source_mismatch": (
                "Another source serves the symbol, and is not shown to agree with what is held."
            ),
            "non_positive_action": (
                "A split, dividend or capital gain is missing, not finite, zero or negative."
            ),
            "dividend_not_below_close": (
                "The cash of the day is no less than the close before it, per new share."
            ),
        },
    ),
    **_all(
        "hold",
        {
            "not_final": "The session had not closed, with a margin, when the bar was fetched.",
            "jump": (
                "The total return is far beyond what the symbol does, and no later bar has "
                "confirmed it, or the next one has gone back."
            ),
            "unexplained_split": (
                "A jump by a small rational on no unusual volume without a split: held until the "
                "split arrives or 5 sessions have passed."
            ),
            "unit_error_level": (
                "The price stands at 100 times or 1/100 of the level before; held for as long as "
                "it does, whatever time passes."
            ),
            "stale_across_symbols": (
                "The bar repeats the one before, as those of many symbols do on that session."
            ),
            "level_shift": (
                "The source serves all that is held at another level, by one ratio, and no action "
                "explains it."
            ),
        },
    ),
    **_all(
        "flag",
        {
            "null_volume": "The volume is missing; it stays so.",
            "zero_volume": "The volume is zero.",
            "halt": "No volume, and all prices are the close before: nothing was traded.",
            "gap": "Sessions are missing between the bar before and this one.",
            "stale": "Prices and volume, not zero, repeat the bar before.",
            "large_move": "A jump that later sessions have let stand.",
            "adjustment_mismatch": (
                "The source's adjusted close steps by another factor than its own splits and "
                "dividends, by over 1 %."
            ),
            "large_dividend": (
                "The cash of the day is at least 20 % of the close before it, per new share: a "
                "special dividend, a spin-off, or a split into share classes."
            ),
            "odd_split": (
                "A split whose ratio has no denominator up to 10, nor 20 (within 0.1 %), or beyond "
                "50: often a spin-off."
            ),
            "released": "A person has let the row pass.",
        },
    ),
}


def named(severity: Literal["refuse", "hold", "flag"]) -> tuple[str, ...]:
    """Returns the names of the rules of one severity, in the order of the table."""
    return tuple(name for name, rule in RULES.items() if rule.severity == severity)


def with_flag(flags: pl.Expr, rule: str) -> pl.Expr:
    """Returns the text of `flags` with `rule` in its place in it."""
    names = flags.fill_null("").str.split(",").list.concat(pl.lit(rule).implode())
    return names.list.unique().list.sort().list.join(",").str.strip_chars_start(",")


def has_flag(flags: pl.Expr, rule: str) -> pl.Expr:
    """Tells whether `rule` stands in the text of `flags`; null flags have none."""
    return flags.fill_null("").str.split(",").list.contains(rule)
