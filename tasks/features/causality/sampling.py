"""What a proof is made on: a few symbols of a panel, and cutoffs that meet every kind of leak."""

from datetime import date

import numpy as np
import polars as pl


def sample_panel(panel: pl.DataFrame, symbols: int, rows: int, seed: int) -> pl.DataFrame:
    """Returns the rows of a few symbols on the last `rows` dates of a panel, in its order.

    Symbols with the most bars on these dates come first, equal ones by lot: the sample's symbols
    then share their dates, without which nothing across symbols could show.

    Args:
        panel: any frame of symbol and date.
        symbols: how many.
        rows: how many dates; the longest lookback and some hundred more.
        seed: of the lot.
    """
    days = panel.get_column("date").unique().sort().tail(rows)
    recent = panel.filter(pl.col("date").is_in(days.implode()))
    counted = recent.group_by("symbol").len("bars").sort("symbol")
    lot = np.random.default_rng(seed).permutation(counted.height)
    chosen = counted.with_columns(lot=lot).sort("bars", "lot", descending=[True, False])
    return recent.filter(pl.col("symbol").is_in(chosen["symbol"].head(symbols).implode()))


def sample_cutoffs(panel: pl.DataFrame, count: int, warm_up: int, seed: int) -> list[date]:
    """Returns `count` dates that bars follow, ascending; fewer where the panel has fewer.

    A back-filled warm-up shows only at a cutoff inside it. A quarter of the cutoffs lie within the
    first `warm_up` bars of some symbol, evenly over the logarithm, so that a warm-up of nine bars
    is met as surely as one of 252. The last date that a bar follows is among them: there a window
    that reaches one bar ahead has its last value.

    Args:
        panel: bars.
        count: how many cutoffs.
        warm_up: the longest lookback, in bars.
        seed: of the draw.
    """
    days = panel.get_column("date").unique().sort().to_list()[:-1]
    if len(days) <= count:
        return days
    draw = np.random.default_rng(seed)
    held = panel.sort("symbol", "date").group_by("symbol", maintain_order=True).agg("date")
    early = [own.to_list()[:warm_up] for own in held["date"]]
    chosen = {days[-1]}
    for _ in range(count // 4):
        own = early[draw.integers(len(early))]
        chosen.add(own[int(len(own) ** draw.random()) - 1])
    chosen &= set(days)
    rest = [day for day in days if day not in chosen]
    more = draw.choice(len(rest), count - len(chosen), replace=False)
    return sorted(chosen | {rest[i] for i in more})
