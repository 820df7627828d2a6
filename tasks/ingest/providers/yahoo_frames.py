"""Turns the charts of many symbols into frames of bars and actions, as traded.

1. All bars are gathered into one frame, all actions into another, and their stamps turned into
   dates of the exchange's own time zone.
2. What is no bar goes: rows without any price or volume, and, where an answer ends with two rows
   of one date, the first of them, for Yahoo appends today's running bar to one it has already.
3. Yahoo serves prices, dividends and capital gains divided by every split after them, volumes
   multiplied. That is undone with the splits in the answer, before those past `end` are cut off.
   `adj_close` stays as served.
"""

from collections.abc import Mapping
from datetime import date

import polars as pl

from tasks.ingest.actions import undo_split_adjustment
from tasks.ingest.contracts import ACTION_COLUMNS, LISTING_COLUMNS, RAW_BAR_COLUMNS
from tasks.ingest.providers.yahoo_answer import QUOTES, Chart

_SOURCE = pl.lit("yahoo").alias("source")
_VALUES = (*QUOTES, "adj_close")


def as_traded(
    charts: Mapping[str, Chart], starts: Mapping[str, date], end: date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the bars and the actions from each symbol's start to `end`, sorted by symbol."""
    bars, actions = _bars(charts), _actions(charts)
    splits = actions.filter(
        (pl.col("kind") == "split") & pl.col("value").is_finite() & (pl.col("value") > 0)
    ).select("symbol", "date", "value")
    wanted = pl.DataFrame(
        {"symbol": list(starts), "start": list(starts.values())},
        schema={"symbol": pl.String, "start": pl.Date},
    )
    bars = _within(undo_split_adjustment(bars, splits), wanted, end)
    actions = _within(_cash_as_traded(actions, splits), wanted, end)
    return (
        bars.select(RAW_BAR_COLUMNS),
        actions.select(list(ACTION_COLUMNS)).sort("symbol", "date", "kind"),
    )


def listings(charts: Mapping[str, Chart]) -> pl.DataFrame:
    """Returns what the answers say of the symbols themselves, sorted by symbol."""
    rows = [(s, c.currency, c.timezone, c.instrument, c.first_traded) for s, c in charts.items()]
    text = dict.fromkeys(("symbol", "currency", "timezone", "instrument"), pl.String)
    frame = pl.DataFrame(rows, schema={**text, "stamp": pl.Int64}, orient="row")
    return (
        frame.with_columns(first_traded=_local_date(frame))
        .select(list(LISTING_COLUMNS))
        .sort("symbol")
    )


def _bars(charts: Mapping[str, Chart]) -> pl.DataFrame:
    symbols, zones, currencies, stamps = [], [], [], []
    values: dict[str, list[float | None]] = {name: [] for name in _VALUES}
    for symbol, chart in charts.items():
        count = len(chart.stamps)
        symbols += [symbol] * count
        zones += [chart.timezone] * count
        currencies += [chart.currency] * count
        stamps += chart.stamps
        for name, column in chart.columns.items():
            values[name] += column
    frame = pl.DataFrame(
        [
            pl.Series("symbol", symbols, pl.String),
            pl.Series("timezone", zones, pl.String),
            pl.Series("currency", currencies, pl.String),
            pl.Series("stamp", stamps, pl.Int64),
            # Whole numbers stand beside fractions in one list; not strict, they become such.
            *(pl.Series(n, v, pl.Float64, strict=False).fill_nan(None) for n, v in values.items()),
        ]
    )
    dated = frame.with_columns(_SOURCE, date=_local_date(frame)).sort("symbol", "stamp")
    priced = pl.any_horizontal(pl.col("open", "high", "low", "close").is_not_null())
    dated = dated.filter(priced | (pl.col("volume").fill_null(0) != 0))
    # The next row is of the same day, and the last one of its symbol.
    key = pl.struct("symbol", "date")
    superseded = (key == key.shift(-1)) & pl.col("symbol").ne_missing(pl.col("symbol").shift(-2))
    return dated.filter(~superseded.fill_null(False))


def _actions(charts: Mapping[str, Chart]) -> pl.DataFrame:
    rows = [(s, c.timezone, *action) for s, c in charts.items() for action in c.actions]
    schema = {
        "symbol": pl.String,
        "timezone": pl.String,
        "stamp": pl.Int64,
        "kind": pl.String,
        "value": pl.Float64,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)
    return frame.with_columns(_SOURCE, date=_local_date(frame))


def _cash_as_traded(actions: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Multiplies dividends and capital gains by the splits after them."""
    cash = actions.filter(pl.col("kind") != "split")
    # They were divided as prices were; what is called a dividend there is treated as a price.
    prices = cash.rename({"value": "dividend"}).with_columns(volume=pl.lit(None, pl.Float64))
    freed = undo_split_adjustment(prices, splits).rename({"dividend": "value"})
    return pl.concat([actions.filter(pl.col("kind") == "split"), freed.select(actions.columns)])


def _within(rows: pl.DataFrame, wanted: pl.DataFrame, end: date) -> pl.DataFrame:
    return rows.join(wanted, on="symbol", how="left", maintain_order="left").filter(
        pl.col("date").is_between("start", end)
    )


def _local_date(frame: pl.DataFrame) -> pl.Expr:
    """Returns the date of `stamp` (seconds) in each row's `timezone`."""
    instant = pl.from_epoch("stamp", time_unit="s").dt.replace_time_zone("UTC")
    dates: list[pl.Expr] = [
        pl.when(pl.col("timezone") == zone).then(instant.dt.convert_time_zone(zone).dt.date())
        for zone in frame["timezone"].unique().sort()
    ]
    return pl.coalesce(dates or [pl.lit(None, pl.Date)])
