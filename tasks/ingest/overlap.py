"""What a source serves now beside what the lake holds of the same bars, and whether they agree."""

import polars as pl

from tasks.ingest.actions import with_later_splits
from tasks.ingest.quarantine import PRICES, TAPE

_RELATIVE, _RELATIVE_VOLUME = 1e-6, 1e-4
# Sources publish split-adjusted prices to six decimals, and whole shares.
_HALF_UNIT, _HALF_SHARE = 5e-7, 0.5
_UNITS, _UNIT_BAND = (100.0, 0.01), 0.01
_SPLIT = 0.1


def side_by_side(
    fetched: pl.DataFrame,
    stored: pl.DataFrame,
    actions_fetched: pl.DataFrame,
    actions_stored: pl.DataFrame,
) -> pl.DataFrame:
    """Returns the rows fetched with what is held of each (`…_held`), and whether the two agree.

    Further columns: `there` (a bar is held), `trusted` (and is a measure), `same`, `ratio` (of the
    closes), `in_units` (that ratio is 100 or 1/100), `by_split` (it is that of later splits).

    Args:
        fetched: Good bars, as traded.
        stored: What the lake holds (`tables.BARS`).
        actions_fetched: Good actions that came with the bars: by their splits the source has
            divided its prices.
        actions_stored: The actions held: by their splits it had.
    """
    key = ["symbol", "date"]
    was = {f"{c}_held": c for c in (*TAPE, "source", "flags", "held", "final")}
    rows = fetched.select(*key, *TAPE, "source").join(
        stored.select(*key, there=pl.lit(True), **was), on=key, how="left"
    )
    rows = with_later_splits(rows.sort(key), actions_fetched.filter(kind="split"), "later")
    rows = with_later_splits(rows, actions_stored.filter(kind="split"), "later_held")
    rounding = (pl.col("later") + pl.col("later_held")) * _HALF_UNIT
    near = [
        (pl.col(c) - pl.col(f"{c}_held")).abs() <= rounding + pl.col(f"{c}_held") * _RELATIVE
        for c in PRICES
    ]
    # Of a consolidated share that was rounded to whole ones, many old ones make up one.
    share = [
        pl.when(pl.col(f) < 1).then(_HALF_SHARE / pl.col(f)).otherwise(0.0)
        for f in ("later", "later_held")
    ]
    off = (pl.col("volume") - pl.col("volume_held")).abs()
    volume_near = off <= pl.col("volume_held") * _RELATIVE_VOLUME + share[0] + share[1]
    # A volume that is lost takes nothing away from the one that is held.
    volume_near = pl.col("volume").is_null() | volume_near.fill_null(False)
    ratio = pl.col("close") / pl.col("close_held")
    units = [(ratio / u - 1).abs() <= _UNIT_BAND for u in _UNITS]
    # The source has adjusted by its splits twice, or not at all, or by one that it tells no more.
    factors = [pl.col("later"), pl.col("later_held"), pl.col("later") / pl.col("later_held")]
    splits = [
        ((f - 1).abs() > _SPLIT) & ((ratio / s - 1).abs() <= _UNIT_BAND)
        for f in factors
        for s in (f, 1 / f)
    ]
    return rows.with_columns(
        pl.col("there").fill_null(False),
        by_split=pl.any_horizontal(splits).fill_null(False),
        same=pl.all_horizontal(near) & volume_near,
        ratio=ratio,
        in_units=pl.any_horizontal(units).fill_null(False),
        # What is held back or was still open is no measure for what comes now.
        trusted=pl.col("there") & ~pl.col("held_held") & pl.col("final_held"),
    ).with_columns(pl.col("same", "trusted").fill_null(False))
