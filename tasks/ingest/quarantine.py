"""How rows are refused, what of them is written down, and which of them a person has released."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from tasks.lake.tables import QUARANTINE, REVIEWS

PRICES = ("open", "high", "low", "close")
TAPE = (*PRICES, "volume")
NO_REVIEWS = pl.DataFrame(schema=dict(REVIEWS.columns))

# With such a value nothing can be computed, whoever vouches for it.
UNFIT_RULES = (
    "null_date",
    "null_price",
    "non_finite_price",
    "non_positive_price",
    "non_finite_volume",
    "negative_volume",
    "non_positive_action",
    "dividend_not_below_close",
)


class Fault(NamedTuple):
    """`found` is true for rows that break `rule` by their column `field` ("row": by several)."""

    rule: str
    field: str
    found: pl.Expr


def bar_text() -> pl.Expr:
    """Returns the one text of a bar's values, by which a person's review names what was seen.

    To eight digits: after a later split the source's rounding changes the ones behind.
    """
    words = [
        pl.format("{}={}", pl.lit(c), pl.col(c).round_sig_figs(8).cast(pl.String).fill_null("null"))
        for c in TAPE
    ]
    return pl.concat_str(words, separator=" ")


def action_text(value: str) -> pl.Expr:
    """Returns the one text of an action whose value is in the column `value`."""
    return pl.format("{} {}", "kind", _plain(value))


def quarantined(refused: pl.DataFrame) -> pl.DataFrame:
    """Returns refused bars or actions in the shape of `tables.QUARANTINE`, without `run`.

    Rows that are equal otherwise are numbered, so that the second of two is not taken for known.

    Args:
        refused: Rows with `kind`, `rule`, `field` and the text `seen`; bars have the columns of the
            tape, actions have `value`.
    """
    what = ("symbol", "date", "kind", "rule", "field", "value")
    amount = pl.lit(None, pl.Float64) if "close" in refused.columns else pl.col("value")
    tape = [pl.col(c) if c in refused.columns else pl.lit(None, pl.Float64).alias(c) for c in TAPE]
    kept = ("symbol", "date", "kind", "rule", "field", "source")
    return (
        refused.select(*kept, *tape, value=pl.col("seen"), amount=amount)
        .with_columns(occurrence=pl.int_range(pl.len(), dtype=pl.Int64).over(what))
        .select([c for c in QUARANTINE.columns if c != "run"])
        .sort("symbol", "date", "rule", maintain_order=True)
    )


def released(refused: pl.DataFrame, reviews: pl.DataFrame) -> pl.Series:
    """Tells of each refused row whether a person has let it pass, and it can be computed with.

    Args:
        refused: Rows with symbol, date, kind, rule and the text `seen`.
        reviews: What people have released; a review counts while the whole row reads as then.
    """
    if reviews.is_empty():
        return pl.repeat(False, len(refused), eager=True)
    key = ["symbol", "date", "kind", "rule", "value"]
    reviewed = reviews.select(*key).unique().with_columns(reviewed=pl.lit(True))
    whole = bar_text() if "close" in refused.columns else action_text("value")
    marked = refused.with_columns(value=whole).join(
        reviewed, on=key, how="left", maintain_order="left"
    )
    may_pass = pl.col("reviewed").fill_null(False) & ~pl.col("rule").is_in(UNFIT_RULES)
    return marked.select(may_pass).to_series()


def text(*columns: str) -> pl.Expr:
    """Returns the text of several columns' values, with their names."""
    words = [pl.format("{}={}", pl.lit(c), _plain(c)) for c in columns]
    return pl.concat_str(words, separator=" ")


def refuse_faulty(
    rows: pl.DataFrame, faults: Sequence[Fault], whole: pl.Expr
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the rows without fault, and the others with `rule`, `field` and `seen`."""
    # Most rows are sound: one pass finds the others, and only those are asked for their rule.
    faulty = pl.any_horizontal(f.found.fill_null(False) for f in faults)
    first = pl.coalesce(pl.when(f.found).then(pl.lit(i)) for i, f in enumerate(faults))
    rules, fields = (pl.Series([f[i] for f in faults]) for i in (0, 1))
    texts = [
        pl.when(pl.col("field") == c).then(whole if c == "row" else _plain(c))
        for c in dict.fromkeys(fields)
    ]
    refused = (
        rows.filter(faulty)
        .with_columns(fault=first)
        .with_columns(
            rule=pl.lit(rules).gather(pl.col("fault")), field=pl.lit(fields).gather(pl.col("fault"))
        )
        .with_columns(seen=pl.coalesce(texts))
        .sort("fault", maintain_order=True)
        .drop("fault")
    )
    return rows.filter(~faulty), refused


def refuse_repeats(
    rows: pl.DataFrame,
    key: Sequence[str],
    values: Sequence[str],
    whole: pl.Expr,
    reviews: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the rows, sorted, of which each key stands once, and the others with their rule."""
    ordered = rows.sort("symbol", "date", maintain_order=True).with_row_index("_row")
    # Once sorted, a repeated date stands next to its like; grouping all rows takes far longer.
    as_above = pl.all_horizontal(
        pl.col(c).eq_missing(pl.col(c).shift(1)) for c in ("symbol", "date")
    )
    suspects = ordered.filter(as_above | as_above.shift(-1, fill_value=False)).with_columns(
        rule=pl.lit("duplicate_key"), field=pl.lit("row"), seen=whole
    )
    # What a person has chosen stands for its key; the rows beside it are repeats of no account.
    suspects = suspects.with_columns(chosen=released(suspects, reviews))
    counts = pl.col("chosen") | ~pl.col("chosen").any().over(key)
    suspects = suspects.with_columns(counts=counts)
    versions = pl.struct(values).filter(pl.col("counts")).n_unique().over(key)
    first = pl.col("counts") & (pl.col("counts").cum_sum().over(key) == 1)
    repeats = suspects.filter(~((versions == 1) & first))
    good = ordered.join(repeats, on="_row", how="anti", maintain_order="left").drop("_row")
    return good, repeats.drop("_row", "chosen", "counts")


def _plain(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null("null")
