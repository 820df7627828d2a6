"""The target: what a forecast made at the close of session t is held against."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from models.errors import DataError


def open_to_open(panel: pl.DataFrame, sessions: Sequence[date], horizon: int) -> pl.DataFrame:
    """Returns symbol, date, target and label_end, one row for each bar of the panel.

    The target is log(open[t+1+horizon] / open[t+1]): a forecast made after the close of t can be
    traded at the next open at the earliest, never at its own close. Bars ahead are counted in
    sessions of the exchange, not in rows of the symbol: where a symbol has no bar at t+1 or
    t+1+horizon, target and label_end (the session of the second open) are null.

    Args:
        panel: adjusted bars, so that a split inside the span is no return.
        sessions: the exchange's sessions, ascending, over the panel's span.
        horizon: sessions between the two opens.

    Raises:
        DataError: a bar's date is no session.
    """
    calendar = pl.DataFrame({"date": sessions}, schema={"date": pl.Date}).with_row_index("session")
    numbered = panel.select("symbol", "date", "open").join(
        calendar.cast({"session": pl.Int64}), on="date", how="left", maintain_order="left"
    )
    stray = numbered.filter(pl.col("session").is_null())
    if stray.height:
        symbol, day = stray.row(0)[:2]
        raise DataError(
            f"{stray.height} bars lie on no session of the calendar, first {symbol} {day}; "
            "quarantine them or pass the right exchange's sessions over the panel's span."
        )
    opens = numbered.select("symbol", "session", "date", "open")
    ahead = numbered.select(
        "symbol",
        "date",
        entry=pl.col("session") + 1,
        exit=pl.col("session") + 1 + horizon,
    )
    for end in ("entry", "exit"):
        ahead = ahead.join(
            opens.rename({"date": f"{end}_date", "open": f"{end}_open"}),
            left_on=["symbol", end],
            right_on=["symbol", "session"],
            how="left",
            maintain_order="left",
        )
    target = (pl.col("exit_open") / pl.col("entry_open")).log()
    known = target.is_finite()
    return ahead.select(
        "symbol",
        "date",
        target=pl.when(known).then(target),
        label_end=pl.when(known).then(pl.col("exit_date")),
    )
