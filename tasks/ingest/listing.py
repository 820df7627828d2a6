"""What is known of the symbols themselves: their currency, their listing, whether they have died.

A source that does not know a symbol tonight may be wrong: markets are closed, servers are moved.
Only its explicit word on several sessions, one after another, makes a symbol delisted, and the
first bar served after that makes it listed again. A delisted symbol is still asked for.
"""

from typing import Any

import polars as pl

from tasks.ingest.holdings import Night
from tasks.ingest.providers.base import Answer, Fetched
from tasks.lake.store import Lake
from tasks.lake.tables import SECURITIES

# Sessions in a row on which the source must say that it has no such symbol.
_WORDS_UNTIL_DELISTED = 3
_SAID_BY_SOURCE = ("currency", "timezone", "instrument", "first_traded")


def listing_rows(
    lake: Lake, fetched: Fetched, known: pl.DataFrame, source: str, night: Night
) -> pl.DataFrame:
    """Returns the rows of `securities` for the symbols that got an answer; `known` are those held.

    `status` is listed, missing (the source says that it has no such symbol), or delisted; `since`
    is the session on which that was first said.
    """
    held = _by_symbol(known)
    said = _by_symbol(fetched.listings)
    gone = [s for s, a in fetched.answers.items() if a.outcome == "unknown_symbol"]
    words = _sessions_unknown(lake, gone, source, night)
    traded = lake.newest_dates("bars", gone, night.session, night.now)
    rows = []
    for symbol, answer in fetched.answers.items():
        before, now = held.get(symbol, {}), said.get(symbol, {})
        status = _status(answer, words.get(symbol, 0), symbol in traded)
        if status is None:
            continue
        same = before.get("status") == status
        rows.append(
            {
                "symbol": symbol,
                "source": before.get("source") or source,
                "exchange": night.exchange,
                "status": status,
                "since": before["since"] if same else night.session,
                # The first word stays: a price in another currency is then met as such.
                **{c: before.get(c) or now.get(c) for c in _SAID_BY_SOURCE},
            }
        )
    return pl.DataFrame(rows, schema=dict(SECURITIES.columns))


def _status(answer: Answer, words: int, traded: bool) -> str | None:
    """Returns the symbol's state after this answer; None where there was no answer."""
    if answer.outcome in ("ok", "empty"):
        return "listed"
    if answer.outcome != "unknown_symbol":
        return None
    return "delisted" if traded and words + 1 >= _WORDS_UNTIL_DELISTED else "missing"


def _sessions_unknown(lake: Lake, symbols: list[str], source: str, night: Night) -> dict[str, int]:
    """Returns on how many earlier sessions in a row each symbol was unknown to the source."""
    if not symbols:
        return {}
    log = lake.read("fetch_log", cutoff=night.session, known_by=night.now, symbols=symbols)
    sessions = (
        log.filter((pl.col("source") == source) & (pl.col("session") < night.session))
        .group_by("symbol", "session")
        .agg(unknown=(pl.col("outcome") == "unknown_symbol").all())
        .sort("symbol", "session", descending=[False, True])
    )
    in_a_row = sessions.filter(pl.col("unknown").cum_min().over("symbol"))
    return dict(in_a_row.group_by("symbol").len().iter_rows())


def _by_symbol(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["symbol"]: row for row in frame.iter_rows(named=True)}
