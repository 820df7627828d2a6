"""Flags odd bars and holds implausible ones, by the known history and people's reviews alone.

1. What shows on a bar and the one before it is found for all rows at once: gaps, halts, repeats,
   missing volume, an adjusted close at odds with the actions.
2. Moves of the price are weighed by `levels.py`, in the few symbols that have a large one.
3. What is found elsewhere (`stale_across_symbols`, `level_shift`) stays on a bar while its values
   do; so does `adjustment_mismatch` where the source's adjusted close is not at hand.
4. A hold that a person has released on the values as they are holds no longer.

Nothing is dropped and no value is changed. Flags and holds are a function of what is known up to
the night's session, so night by night and all at once end in the same.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from tasks.ingest.levels import Levels, weigh
from tasks.ingest.quarantine import PRICES, bar_text
from tasks.ingest.rules import has_flag, named
from tasks.ingest.spec import QualitySpec
from tasks.lake.tables import BARS

# Found by comparing symbols or fetches, which a symbol's own history cannot show.
_FOUND_ELSEWHERE = ("stale_across_symbols", "level_shift")
_MISMATCH = 0.01


def judge(
    history: pl.DataFrame,
    actions: pl.DataFrame,
    sessions: Sequence[date],
    through: date,
    reviews: pl.DataFrame,
    spec: QualitySpec,
) -> pl.DataFrame:
    """Returns the bars of `history` in the columns of `tables.BARS`, `flags` and `held` judged.

    Where a history starts in the middle of a symbol's life, its first 60 bars are context: their
    own verdicts lack what came before them.

    Args:
        history: Stored and new bars up to `through`, as traded, one row a key, sorted by symbol and
            date. `flags` and `held` are null for new rows; `adj_close` (the column may be left out)
            is the source's own where the row was fetched together with the one before.
        actions: symbol, date, kind, value.
        sessions: The exchange's sessions over all dates of `history` and up to `through`.
        through: The session of the night.
        reviews: What people have released (`tables.REVIEWS`).
        spec: Bounds of the rules.
    """
    if "adj_close" not in history.columns:
        history = history.with_columns(adj_close=pl.lit(None, pl.Float64))
    rows = _with_actions(history, actions).with_columns(
        place=_places(history["date"], sessions),
        first=pl.col("symbol").ne_missing(pl.col("symbol").shift(1)),
    )
    let_pass, vouched = _reviewed(history, reviews)
    found = {rule: _where(rows, here) for rule, here in _on_sight().items()}
    apart = _union([found[rule] for rule in ("not_final", *_FOUND_ELSEWHERE)], len(rows))
    levels = Levels(
        close=rows["close"].to_numpy(),
        open=rows["open"].to_numpy(),
        volume=rows["volume"].fill_null(np.nan).to_numpy(),
        split=rows["split"].to_numpy(),
        cash=rows["cash"].to_numpy(),
        place=rows["place"].to_numpy(),
        first=rows["first"].to_numpy(),
        apart=apart & ~let_pass,
        not_final=_union([found["not_final"]], len(rows)),
        let_pass=let_pass,
        stored_hold=_stored_hold(history),
    )
    found |= weigh(levels, _places(pl.Series([through]), sessions)[0], spec)
    implausible = _union([found[rule] for rule in named("hold")], len(rows))
    found["released"] = np.flatnonzero((implausible & let_pass) | vouched)
    held = pl.Series(implausible & ~let_pass, dtype=pl.Boolean)
    return history.with_columns(flags=_texts(found, len(rows)), held=held).select(
        list(BARS.columns)
    )


def _with_actions(history: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Adds `split` and `cash` of each bar; an action counts from the first bar on or after it."""
    days = history.select("symbol", "date", bar_date="date")
    value, is_split = pl.col("value"), pl.col("kind") == "split"
    acting = (
        actions.sort("symbol", "date")
        .join_asof(days, on="date", by="symbol", strategy="forward", check_sortedness=False)
        .drop_nulls("bar_date")
        .group_by("symbol", date="bar_date")
        .agg(split=value.filter(is_split).product(), cash=value.filter(~is_split).sum())
    )
    return history.join(
        acting, on=["symbol", "date"], how="left", maintain_order="left"
    ).with_columns(pl.col("split").fill_null(1.0), pl.col("cash").fill_null(0.0))


def _on_sight() -> Mapping[str, pl.Expr]:
    """Returns of each rule that a bar and the one before it show where it is met."""
    inside, volume = ~pl.col("first"), pl.col("volume")
    before = {c: pl.col(c).shift(1) for c in (*PRICES, "volume", "adj_close", "place")}
    no_volume = volume.fill_null(0.0) == 0.0
    alike = pl.all_horizontal(pl.col(c) == before[c] for c in (*PRICES, "volume"))
    still = pl.all_horizontal(pl.col(c) == before["close"] for c in PRICES)
    told = pl.col("adj_close").is_not_null() & before["adj_close"].is_not_null() & inside
    implied = before["close"] / before["adj_close"] / (pl.col("close") / pl.col("adj_close"))
    drop = before["close"] / pl.col("split")
    own = pl.col("split") * drop / (drop - pl.col("cash"))
    at_odds = ~((implied / own - 1).abs() <= _MISMATCH)
    stored = {rule: has_flag(pl.col("flags"), rule) for rule in _FOUND_ELSEWHERE}
    return stored | {
        "not_final": ~pl.col("final"),
        "null_volume": volume.is_null(),
        "zero_volume": volume == 0.0,
        "halt": inside & no_volume & still,
        "gap": inside & (pl.col("place") - before["place"] > 1),
        "stale": inside & alike & (volume > 0.0),
        "adjustment_mismatch": pl.when(told)
        .then(at_odds)
        .otherwise(has_flag(pl.col("flags"), "adjustment_mismatch")),
    }


def _reviewed(history: pl.DataFrame, reviews: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Returns which bars are released as they stand, and which were let out of quarantine."""
    mine = reviews.filter(kind="bar")
    if mine.is_empty():
        return np.zeros(len(history), dtype=bool), np.zeros(len(history), dtype=bool)
    seen = (
        history.with_row_index("row")
        .with_columns(value=bar_text())
        .join(mine.select("symbol", "date", "rule", "value"), on=["symbol", "date", "value"])
    )
    vouched = seen.filter(pl.col("rule").is_in(named("refuse")))
    released, let_out = (_union([r["row"].to_numpy()], len(history)) for r in (seen, vouched))
    return released, let_out


def _stored_hold(history: pl.DataFrame) -> np.ndarray:
    """Returns of each stored bar that was held for its level by which rule it was, else ""."""
    by_level = [r for r in named("hold") if r not in ("not_final", *_FOUND_ELSEWHERE)]
    names = [pl.when(has_flag(pl.col("flags"), r)).then(pl.lit(r)) for r in by_level]
    held = history.filter(pl.col("held").fill_null(False))
    if held.is_empty():
        return np.full(len(history), "", dtype=object)
    rule = pl.when("held").then(pl.coalesce(names))
    return history.select(rule.fill_null("")).to_series().to_numpy()


def _places(days: pl.Series, sessions: Sequence[date]) -> pl.Series:
    """Returns the number of each day's session; a day between two has that of the later."""
    open_days = pl.Series(sessions, dtype=pl.Date).to_physical().to_numpy()
    numbers = np.searchsorted(open_days, days.to_physical().to_numpy())
    return pl.Series(numbers, dtype=pl.Int64)


def _where(rows: pl.DataFrame, condition: pl.Expr) -> np.ndarray:
    return rows.select(condition.fill_null(False).arg_true()).to_series().to_numpy()


def _union(rows: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Returns a [count] mask that is true at the given rows."""
    mask = np.zeros(count, dtype=bool)
    for each in rows:
        mask[each] = True
    return mask


def _texts(found: Mapping[str, np.ndarray], count: int) -> pl.Series:
    """Returns the flags of each row: the rules it meets, sorted and joined by commas."""
    met = pl.concat(
        pl.DataFrame(
            {"row": numbers.astype(np.int64), "rule": [rule] * len(numbers)},
            schema={"row": pl.Int64, "rule": pl.String},
        )
        for rule, numbers in found.items()
    )
    ordered = met.sort("row", "rule").group_by("row", maintain_order=True)
    texts = ordered.agg(pl.col("rule").str.join(","))
    all_rows = pl.DataFrame({"row": pl.int_range(count, eager=True)})
    return all_rows.join(texts, on="row", how="left", maintain_order="left")["rule"].fill_null("")
