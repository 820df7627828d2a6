"""What a proof does to bars: other futures, other pasts, other symbols, later actions.

Bars come sorted by symbol and date. Columns beside the bars (such as `member`) ride along with
their rows.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl

PRICES = ("open", "high", "low", "close")
BAR = (*PRICES, "volume")


def with_future(panel: pl.DataFrame, future: pl.DataFrame, after: date) -> pl.DataFrame:
    """Returns the panel, its bars after a date taken from the same rows of `future`."""
    later = panel.get_column("date") > after
    return panel.with_columns(
        pl.when(later).then(future.get_column(name)).otherwise(pl.col(name)).alias(name)
        for name in BAR
    )


def constant_bars(panel: pl.DataFrame, value: float) -> pl.DataFrame:
    """Returns bars that are `value` in every row."""
    return pl.DataFrame({name: np.full(panel.height, value) for name in BAR})


def bars_of_another_stock(panel: pl.DataFrame) -> pl.DataFrame:
    """Returns for each symbol the bars of the next one, read backwards and over again.

    Backwards, so that a symbol that is alone in the panel too meets bars that are not its own.
    """
    lengths = panel.get_column("symbol").rle().struct.field("len").to_numpy().astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    takes = []
    for own, start, length in zip(lengths, np.roll(starts, -1), np.roll(lengths, -1), strict=True):
        takes.append(start + length - 1 - np.arange(own) % length)
    return panel.select(BAR)[np.concatenate(takes)]


def made_up_bars(panel: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Returns bars that have nothing to do with one another, each symbol's about its usual price.

    All are possible bars: no feature is masked because of them.
    """
    draw = np.random.default_rng(seed)
    usual = panel.select(pl.col("close").fill_nan(None).median().over("symbol").fill_null(1.0))
    level = usual.to_series().to_numpy()
    first, last = (level * np.exp(draw.normal(0.0, 0.3, panel.height)) for _ in range(2))
    return pl.DataFrame(
        {
            "open": first,
            "high": np.maximum(first, last) * draw.uniform(1.01, 1.2, panel.height),
            "low": np.minimum(first, last) * draw.uniform(0.8, 0.99, panel.height),
            "close": last,
            "volume": np.exp(draw.normal(12.0, 1.0, panel.height)),
        }
    )


def with_changed_bar(panel: pl.DataFrame, row: int, draw: np.random.Generator) -> pl.DataFrame:
    """Returns the panel with one bar at another price, high above and low below the rest of it.

    The price is up to seven times or a seventh of what it was: a rank moves only when its symbol
    overtakes another, a clipped value only when the change is small.
    """
    bar = panel.select(BAR).row(row, named=True)
    level = np.exp(draw.uniform(-2.0, 2.0))
    scales = {"open": level * draw.uniform(0.95, 1.05), "close": level * draw.uniform(0.95, 1.05)}
    scales |= {"high": level * draw.uniform(1.06, 1.12), "low": level * draw.uniform(0.88, 0.94)}
    # More volume even where there was none.
    bar["volume"] = (bar["volume"] or 0.0) * draw.uniform(1.2, 3.0) + 1000.0
    bar |= {name: bar[name] and bar[name] * scale for name, scale in scales.items()}
    here = pl.int_range(pl.len()) == row
    return panel.with_columns(
        pl.when(here).then(pl.lit(value, pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in bar.items()
    )


def stranger(panel: pl.DataFrame, name: str, like: str, value: float | None) -> pl.DataFrame:
    """Returns rows of a symbol that is no member: on the dates of `like`, its bars backwards.

    With `value`, all its bars are that.
    """
    model = panel.filter(pl.col("symbol") == like)
    bars = constant_bars(model, value) if value is not None else model.select(BAR).reverse()
    rows = model.with_columns(bars).with_columns(symbol=pl.lit(name))
    return rows.with_columns(member=pl.lit(False)) if "member" in panel.columns else rows


def renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Returns the frame with other symbols, sorted again."""
    return frame.with_columns(pl.col("symbol").replace(names)).sort("symbol", "date")


def with_later_action(
    bars: pl.DataFrame, actions: pl.DataFrame, after: date, ratio: float, moved: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns bars and actions with an action of every symbol on its first bar after a date.

    Args:
        bars: as traded.
        actions: symbol, date, kind, value.
        after: the last date before it.
        ratio: new shares per old of a split; 1.0 is a dividend of 2 % of the last close instead.
        moved: whether the bars from that day on are priced accordingly.
    """
    past = bars.filter(pl.col("date") <= after).group_by("symbol").agg(pl.col("close").last())
    day = bars.filter(pl.col("date") > after).group_by("symbol").agg(pl.col("date").min())
    met = day.join(past, on="symbol").sort("symbol")
    dividend = ratio == 1.0
    injected = met.select(
        "symbol",
        "date",
        kind=pl.lit("dividend" if dividend else "split"),
        value=pl.col("close") * 0.02 if dividend else pl.lit(ratio),
    ).drop_nulls()
    later = (pl.col("date") > after) & pl.col("symbol").is_in(injected["symbol"].implode())
    price = 0.98 if dividend else 1.0 / ratio
    # Cash counts in the shares of its day: what was half a price must not become all of it.
    cash = later & (pl.col("kind") != "split")
    value = pl.when(cash).then(pl.col("value") * min(price, 1.0)).otherwise("value")
    actions = actions.with_columns(value)
    if moved:
        bars = bars.with_columns(
            *(pl.when(later).then(pl.col(n) * price).otherwise(pl.col(n)).alias(n) for n in PRICES),
            pl.when(later).then(pl.col("volume") * ratio).otherwise(pl.col("volume")),
        )
    return bars, pl.concat([actions, injected], how="diagonal_relaxed")
