"""What each sector earned: the gain of an account, name by name, summed by the sector of the day.

1. A name gains in a session by what it was worth at the close before, by what was traded at the
   open, and by what it is worth at this close; its own costs and its loss at a delisting go off.
2. Interest is no name's. With it the names' gains make up the change of the equity.
3. A contribution is a gain over the equity of the close before. Means of the sessions add up, and
   so a year is 252 of them; compounded returns would not.
"""

from collections.abc import Mapping
from itertools import chain

import numpy as np

from tasks.evaluation.metrics import FloatArray, mean_over_dates
from tasks.evaluation.performance import SESSIONS_PER_YEAR, over_equity
from tasks.evaluation.portfolio import Ledger, Market
from tasks.evaluation.sectors import Sectors
from tasks.evaluation.significance import Resamples, interval

PORTFOLIOS = ("long_only", "long_short")


def last_prices(market: Market) -> FloatArray:
    """Returns what positions are marked with at each close [D, S]; 0 before the first bar."""
    seen = np.where(np.isfinite(market.close), market.close, market.open)
    day = np.where(np.isfinite(seen), np.arange(len(seen))[:, None], 0)
    newest = np.take_along_axis(seen, np.maximum.accumulate(day, axis=0), axis=0)
    return np.nan_to_num(newest)


def name_gains(ledger: Ledger, market: Market, price: FloatArray) -> FloatArray:
    """Returns what each name gained after its costs from close to close [D - 1, S], in currency.

    `price` is that of `last_prices`.
    """
    # Who is paid out has no open.
    traded_at = np.where(np.isfinite(market.open), market.open, price)[1:]
    traded = np.diff(ledger.shares, axis=0) * traded_at
    return np.diff(ledger.shares * price, axis=0) - traded - ledger.paid[1:]


def contributions(
    ledger: Ledger, market: Market, price: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Returns the gains of the names [D - 1, S] and the interest [D - 1] over the equity before.

    Together they are the simple returns: 0 from the day of ruin on.
    """
    gains = over_equity(name_gains(ledger, market, price).T, ledger.equity).T
    return gains, over_equity(ledger.interest[1:], ledger.equity)


def earned_by_sector(
    ledgers: Mapping[str, Ledger], market: Market, resamples: Resamples, confidence: float
) -> list[dict[str, object]] | None:
    """Returns rows of the sectors, of the interest and of both; None where nothing has a sector.

    A row has kind, name and, by portfolio, `earned`, the contribution to the return a year with
    its interval, and `gross` and `net`, the mean values of its positions over equity.

    Args:
        ledgers: the accounts, with their shares.
        market: what they traded on.
        resamples: of these sessions.
        confidence: of the intervals.
    """
    if market.sector is None:
        return None
    groups = Sectors(market.sector_names, market.sector).groups()
    heads = [("sector", name) for name, _ in groups] + [("interest", None), ("all", None)]
    found: list[dict[str, object]] = [{"kind": kind, "name": name} for kind, name in heads]
    price = last_prices(market)
    for portfolio in PORTFOLIOS:
        ledger = ledgers[portfolio]
        gains, interest = contributions(ledger, market, price)
        alive = ledger.equity > 0.0
        held = ledger.shares[alive] * price[alive] / ledger.equity[alive, None]
        # One after another: each is as large as the market.
        parts = ((np.where(c[1:], gains, 0.0), np.where(c[alive], held, 0.0)) for _, c in groups)
        rest = (interest[:, None], np.zeros((1, 1))), (np.c_[gains, interest], held)
        for row, (gained, worth) in zip(found, chain(parts, rest), strict=True):
            draws = SESSIONS_PER_YEAR * mean_over_dates(gained.sum(axis=1), resamples.counts)
            row[portfolio] = {
                "earned": interval(draws, confidence),
                "gross": float(np.abs(worth).sum(axis=1).mean()),
                "net": float(worth.sum(axis=1).mean()),
            }
    return found
