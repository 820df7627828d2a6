"""Bars some sessions ahead, counted in sessions of the exchange and not in rows of the symbol."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import DataError

Ints = NDArray[np.int64]


class SessionRows:
    """Finds for each bar of a panel the bar of the same symbol some sessions later."""

    def __init__(self, panel: pl.DataFrame, sessions: Sequence[date], reach: int) -> None:
        """Numbers the bars' sessions.

        Args:
            panel: symbol and date of N bars, sorted by both.
            sessions: the exchange's sessions, ascending, over the panel's span.
            reach: the most sessions that will be looked ahead.

        Raises:
            DataError: a bar's date is no session.
        """
        days = pl.Series(sessions, dtype=pl.Date).to_physical().to_numpy()
        dates = panel["date"].to_physical().to_numpy()
        session = np.searchsorted(days, dates)
        held = session < len(days)
        held[held] = days[session[held]] == dates[held]
        if not held.all():
            symbol, day = panel.select("symbol", "date").row(int(np.argmin(held)))
            raise DataError(
                f"{np.count_nonzero(~held)} bars lie on no session of the calendar, first {symbol} "
                f"{day}; quarantine them or pass the right exchange's sessions over the panel's "
                "span."
            )
        self.session: Ints = session.astype(np.int64)
        self.sessions = len(days)
        # One line of places for all symbols, so far apart that no step ahead meets the next one.
        symbols = panel["symbol"].rle_id().to_numpy().astype(np.int64)
        self.place: Ints = symbols * (len(days) + reach) + self.session

    def ahead(self, steps: int) -> Ints:
        """Returns the row of the bar `steps` sessions after each row's [N], -1 where none is."""
        wanted = self.place + steps
        # Without gaps it lies `steps` rows further; only the other rows are searched for.
        found = np.minimum(np.arange(wanted.size) + steps, wanted.size - 1)
        gaps = np.flatnonzero(self.place[found] != wanted)
        found[gaps] = np.searchsorted(self.place, wanted[gaps])
        found[found == wanted.size] = 0
        return np.where(self.place[found] == wanted, found, -1)

    def due(self, steps: int) -> pl.Series:
        """Returns the number of the session `steps` after each row's, null beyond the last."""
        numbers = pl.Series(self.session + steps)
        return numbers.set(numbers >= self.sessions, None)
