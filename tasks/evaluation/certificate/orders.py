"""What portfolios decide, seen from outside: by what they hold, whatever the rules inside."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from tasks.evaluation.aligned import traded_market
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.portfolio import Ledger, Market

Trade = Callable[[FloatArray, Market], Mapping[str, Ledger]]

# So much dearer is an open in the probe of where a fill takes its price.
_DEARER = 1.25
# Of the equity: what is left of cash by rounding buys shares too few to move anything.
_DUST = 1e-6


def held_until(
    panel: pl.DataFrame,
    forecasts: pl.DataFrame,
    cutoff: date,
    following: date,
    horizon: int,
    trade: Trade,
    spells: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Returns symbol, date, and the shares and cash of each portfolio up to a cutoff and after it.

    The orders of the cutoff fill on `following` at opens that equal its last closes, in every
    world alike, and what is held then hangs on nothing else of that session: it tells what was
    decided at the cutoff. The rest of that bar and all later ones are the panel's. Without any
    trade there are no rows.

    Args:
        panel: adjusted bars with `dividend_factor`, sorted by symbol and date.
        forecasts: symbol, date, score, up to the cutoff.
        cutoff: the last date with forecasts.
        following: the session after it.
        horizon: in sessions.
        trade: the portfolios by name.
        spells: the membership that names the sectors; None where nothing does.
    """
    nothing = forecasts.clear().select("symbol", "date")
    if forecasts.is_empty():
        return nothing
    opened = _with_open(panel, cutoff, following)
    signal, market = traded_market(opened, forecasts, horizon, spells)
    days = [place for place, day in enumerate(market.dates) if day <= following]
    symbols = forecasts["symbol"].unique().sort().to_list()
    ledgers = trade(signal, market)
    if not any(ledger.shares[days].any() for ledger in ledgers.values()):
        return nothing
    held = {name: ledger.shares[days].ravel() for name, ledger in ledgers.items()}
    held |= {f"cash of {n}": np.repeat(one.cash[days], len(symbols)) for n, one in ledgers.items()}
    dates = [day for place in days for day in [market.dates[place]] * len(symbols)]
    return pl.DataFrame({"symbol": symbols * len(days), "date": dates, **held})


def _with_open(panel: pl.DataFrame, cutoff: date, following: date) -> pl.DataFrame:
    """Returns the panel, every symbol's bar on `following` opened at its last close, and traded.

    What of the bar is not there or no number is that close, or a volume of 1.
    """
    past = panel.filter(pl.col("date") <= cutoff)
    last = pl.col("close", "dividend_factor").drop_nans().last()
    opened = past.group_by("symbol", maintain_order=True).agg(last).rename({"close": "last"})
    own = panel.filter(pl.col("date") == following).drop("dividend_factor")

    def there(name: str, otherwise: pl.Expr) -> pl.Expr:
        number = pl.col(name).is_finite() & (pl.col(name) > 0.0)
        return pl.when(number).then(pl.col(name)).otherwise(otherwise).alias(name)

    bars = opened.join(own, on="symbol", how="left", maintain_order="left").select(
        "symbol",
        "dividend_factor",
        pl.lit(following).alias("date"),
        pl.col("last").alias("open"),
        *(there(name, pl.col("last")) for name in ("high", "low", "close")),
        there("volume", pl.lit(1.0)),
    )
    others = panel.filter(pl.col("date") != following)
    return pl.concat([others, bars.select(panel.columns)]).sort("symbol", "date")


def fill_leaks(
    trade: Trade, signal: FloatArray, market: Market, count: int, seed: int
) -> Iterator[str | None]:
    """Tries whether a fill is later than the last input of its signal, where there are fills.

    1. From a session of fills on the signals turn around: the account of its close does not move,
       for these signals were made after that close.
    2. The open of that session rises for a symbol that is traded: the account of its close moves,
       so the fill took the price of that open and not one that was known to the signal.

    Args:
        trade: the portfolios by name.
        signal: [D, S].
        market: its bars.
        count: at most so many sessions.
        seed: of their draw.
    """
    truth = trade(signal, market)
    for day in _of_fills(truth.values(), count, seed):
        other = signal.copy()
        other[day:] = -other[day:]
        turned = trade(other, market)
        for name, ledger in truth.items():
            moved = _moved(ledger, turned[name], day)
            yield (
                f"what {name} holds at the close of {market.dates[day]} hangs on the forecasts "
                "made after that close"
                if moved
                else None
            )
        yield from _prices_paid(trade, truth, signal, market, day)


def _of_fills(ledgers: Iterable[Ledger], count: int, seed: int) -> Sequence[int]:
    """Returns some of the sessions on which any portfolio trades, but for the first."""
    moves = np.any([np.diff(one.shares, axis=0).any(axis=1) for one in ledgers], axis=0)
    days = np.flatnonzero(moves) + 1
    chosen = np.random.default_rng(seed).permutation(days)[:count]
    return [int(day) for day in sorted(chosen)]


def _prices_paid(
    trade: Trade, truth: Mapping[str, Ledger], signal: FloatArray, market: Market, day: int
) -> Iterator[str | None]:
    bought = {}
    for name, ledger in truth.items():
        value = np.nan_to_num(
            np.abs(ledger.shares[day] - ledger.shares[day - 1]) * market.open[day]
        )
        if value.max() > _DUST * ledger.equity[day]:
            bought[name] = int(value.argmax())
    for symbol in sorted(set(bought.values())):
        opens = market.open.copy()
        opens[day, symbol] *= _DEARER
        dearer = trade(signal, replace(market, open=opens))
        for name in (name for name, most in bought.items() if most == symbol):
            yield (
                None
                if _moved(truth[name], dearer[name], day)
                else f"{name} trades on {market.dates[day]} at a price that is not the open of "
                "that session: it was known when the order was decided"
            )


def _moved(one: Ledger, other: Ledger, day: int) -> bool:
    """Returns whether cash or shares differ in any bit up to a session."""
    return any(
        getattr(one, part)[: day + 1].tobytes() != getattr(other, part)[: day + 1].tobytes()
        for part in ("cash", "shares")
    )
