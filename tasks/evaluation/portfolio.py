"""A portfolio that trades forecasts, share by share.

1. The capital is split into tranches that rebalance one session after the other, each on its own
   account (Jegadeesh and Titman 1993), so that no start day is special.
2. At the close of t the forecasts of t name a tranche's weights, and the shares to hold follow
   from its equity and the prices of that close. Filters, limits and the expected volatility look
   at data up to that close. Nothing later is known.
3. Overnight shorts pay their borrow fee and cash earns interest, on the values at the close.
4. At the open of t+1 the orders fill at that open. A symbol without one is not traded: what was
   held stays held, what was to be bought stays cash, and the order lapses. A name that is held
   and no longer wanted is sold.
5. Sales come first; if a rise overnight makes the purchases dearer than the cash there is, all
   are cut by the same share, so that nobody lends money.
6. A trade pays commission, half the spread, and slippage: the square-root law, impact × daily
   volatility × √(value / average daily volume), both as known at the close of t (Torre 1997,
   Barra's Market Impact Model; Tóth et al. 2011, Physical Review X 1, 021006). An order beyond
   its share of the volume is cut.
7. Equity is marked at the close; a symbol without a bar keeps its last price. After
   `delisted_after` sessions without one its positions are paid out at that price, longs less the
   loss. Only the number of silent sessions decides, so a later return changes nothing.

Prices are total-return adjusted (`tasks/lake/factors.py`): a split changes nothing and a dividend
is reinvested, without a fill of its own. Shares are fractional. Dollar volume alone is as traded:
of prices with reinvested dividends it would grow by their yield, faster than the market.
"""

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from models.errors import UsageError
from tasks.evaluation import kernel
from tasks.evaluation.liquidity import VOLATILITY_SESSIONS
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import SESSIONS_PER_YEAR
from tasks.evaluation.portfolio_spec import PortfolioSpec

# The order is that of the kernel's numbers. forecast_weighted is alphalens' factor portfolio.
Mode = Literal["long_only", "long_short", "forecast_weighted", "equal_weight"]
_NO_LIMIT = 2**31
_EMPTY = np.empty((0, 0))


@dataclass(frozen=True)
class Market:
    """Bars of one universe, [D, S]; NaN where a symbol has no bar.

    Attributes:
        dates: the sessions.
        open, close: total-return prices.
        tradable: whether orders fill at this session's open.
        dollar_volume: average value traded a session, known at the close (`liquidity.py`).
        volatility: standard deviation of daily log returns, known at the close.
        member: whether the symbol belongs to the universe; None where all do.
        sector: number of the symbol's sector from 0 on, -1 where unknown; None without any.
        sector_names: what the numbers stand for.
        earlier_close: closes of the sessions before the first [L, S]; None without any.
    """

    dates: list[date]
    open: FloatArray
    close: FloatArray
    tradable: npt.NDArray[np.bool_]
    dollar_volume: FloatArray | None = None
    volatility: FloatArray | None = None
    member: npt.NDArray[np.bool_] | None = None
    sector: npt.NDArray[np.int64] | None = None
    sector_names: tuple[str, ...] = ()
    earlier_close: FloatArray | None = None


@dataclass(frozen=True)
class Ledger:
    """The account, [D]: values at each close, and what each session traded and paid.

    Attributes:
        dates: the sessions.
        equity, cash: at the close, currency units.
        long, short: value of the positions on each side, both 0 or above.
        turnover: bought plus sold value over the equity of the close before.
        unfilled: value ordered but not traded, for want of an open or of volume.
        commission, spread, slippage, borrow: paid; interest: earned; written_off: lost at
            delistings.
        shares: held at the close [D, S]; without rows where they were not to be kept.
        paid: costs and losses at delistings of each name, as `shares`.
    """

    dates: list[date]
    equity: FloatArray
    cash: FloatArray
    long: FloatArray
    short: FloatArray
    turnover: FloatArray
    unfilled: FloatArray
    commission: FloatArray
    spread: FloatArray
    slippage: FloatArray
    borrow: FloatArray
    interest: FloatArray
    written_off: FloatArray
    shares: FloatArray
    paid: FloatArray

    @property
    def positions_value(self) -> FloatArray:
        """Value of the positions at each close, shorts negative."""
        return self.long - self.short

    @property
    def costs(self) -> FloatArray:
        """Commission, spread, slippage and borrow fee of each session."""
        return self.commission + self.spread + self.slippage + self.borrow

    @property
    def gross_exposure(self) -> FloatArray:
        """Longs plus shorts over equity; NaN after ruin."""
        alive = self.equity > 0.0
        return np.where(alive, self.long + self.short, np.nan) / np.where(alive, self.equity, 1.0)

    @property
    def net_exposure(self) -> FloatArray:
        """Longs less shorts over equity; NaN after ruin."""
        alive = self.equity > 0.0
        return np.where(alive, self.long - self.short, np.nan) / np.where(alive, self.equity, 1.0)


def simulate(
    signal: FloatArray,
    market: Market,
    mode: Mode,
    spec: PortfolioSpec,
    horizon: int,
    keep_shares: bool = True,
) -> Ledger:
    """Returns the account of a portfolio that trades `signal` [D, S] (NaN = no forecast).

    A tranche decides at the first close with forecasts that is `rebalance_every` sessions (by
    default the horizon) after its last decision, the first tranche at the first such close; without
    forecasts the portfolio keeps what it has.

    Raises:
        UsageError: the specification needs what the market does not have.
    """
    _require(market, spec)
    names = signal.shape[1]
    priced = spec.impact > 0.0 or spec.max_participation is not None
    data = kernel.Data(
        signal=candidates(signal, market, spec),
        open=np.ascontiguousarray(market.open, dtype=np.float64),
        close=np.ascontiguousarray(market.close, dtype=np.float64),
        tradable=np.ascontiguousarray(market.tradable),
        dollar_volume=_or_row(market.dollar_volume if priced else None, names, np.inf),
        volatility=_or_row(market.volatility if priced else None, names, 0.0),
        sector=_sectors(market, spec),
        returns=_returns(market) if spec.volatility_target else _EMPTY,
    )
    book = np.zeros((signal.shape[0], len(kernel.COLUMNS)))
    shares, paid = np.zeros((2, *(signal.shape if keep_shares else (0, 0))))
    kernel.run(data, _rules(mode, spec, horizon), book, shares, paid)
    columns = dict(zip(kernel.COLUMNS, book.T, strict=True))
    return Ledger(dates=market.dates, shares=shares, paid=paid, **columns)


def target_weights(signal: FloatArray, mode: Mode, spec: PortfolioSpec) -> FloatArray:
    """Returns the share of equity to hold in each symbol [S] before limits; ties go to the earlier.

    long_only puts all equity into the top names in equal parts, whatever the sign of their
    forecasts; long_short puts half above and half below zero, so that gross exposure is one;
    forecast_weighted is proportional to the forecast less the mean of its date, gross one too.
    """
    weights, unchosen = np.zeros(signal.size), np.zeros((2, signal.size), dtype=bool)
    known = np.isfinite(signal)
    if known.any():
        kernel.choose(signal, known, _rules(mode, spec, 1), unchosen[0], unchosen[1], weights)
    return weights


def _require(market: Market, spec: PortfolioSpec) -> None:
    needs = {
        "impact": spec.impact > 0.0,
        "max_participation": spec.max_participation is not None,
        "min_dollar_volume": spec.min_dollar_volume is not None,
        "max_volatility": spec.max_volatility is not None,
    }
    asked = [name for name, wanted in needs.items() if wanted]
    if asked and (market.dollar_volume is None or market.volatility is None):
        raise UsageError(
            f"The portfolio's {', '.join(asked)} need the dollar volume and the volatility of each "
            "symbol, and this market has none; give them, or set impact=0 and leave the rest empty."
        )
    if spec.max_sector_weight is not None and market.sector is None:
        raise UsageError(
            f"max_sector_weight={spec.max_sector_weight} needs the symbols' sectors, and this "
            "market has none; name them in the universe's file, or leave the limit empty."
        )


def candidates(signal: FloatArray, market: Market, spec: PortfolioSpec) -> FloatArray:
    """Returns the signal with NaN for what may not be held by what the close knows."""
    rules = (market.member, spec.min_dollar_volume, spec.max_volatility)
    if all(rule is None for rule in rules):
        return np.ascontiguousarray(signal, dtype=np.float64)
    barred = np.zeros(signal.shape, dtype=bool) if market.member is None else ~market.member
    if spec.min_dollar_volume is not None:
        barred |= ~(market.dollar_volume >= spec.min_dollar_volume)  # type: ignore[operator]
    if spec.max_volatility is not None:
        most = spec.max_volatility / math.sqrt(SESSIONS_PER_YEAR)
        barred |= ~(market.volatility <= most)  # type: ignore[operator]
    return np.where(barred, np.nan, signal)


def _or_row(values: FloatArray | None, names: int, neutral: float) -> FloatArray:
    if values is None:
        return np.full((1, names), neutral)
    return np.ascontiguousarray(values, dtype=np.float64)


def _sectors(market: Market, spec: PortfolioSpec) -> npt.NDArray[np.int64]:
    if market.sector is None or spec.max_sector_weight is None:
        return np.empty((0, 0), dtype=np.int64)
    return np.ascontiguousarray(market.sector, dtype=np.int64)


def _returns(market: Market) -> FloatArray:
    """Returns simple returns from close to close [L + D, S], 0 where a bar is missing."""
    closes = market.close
    if market.earlier_close is not None:
        closes = np.concatenate([market.earlier_close, closes])
    returns = np.zeros(closes.shape)
    returns[1:] = np.nan_to_num(closes[1:] / closes[:-1] - 1.0)
    return returns


def _rules(mode: Mode, spec: PortfolioSpec, horizon: int) -> kernel.Rules:
    every, tranches = spec.rebalancing(horizon)
    target = spec.volatility_target
    return kernel.Rules(
        mode=get_args(Mode).index(mode),
        top_share=spec.top_share,
        top_count=spec.top_count or 0,
        drop_limit=_NO_LIMIT if spec.drop_limit is None else spec.drop_limit,
        max_weight=spec.max_weight or math.inf,
        max_sector_weight=spec.max_sector_weight or math.inf,
        max_turnover=spec.max_turnover or math.inf,
        volatility_target=target / math.sqrt(SESSIONS_PER_YEAR) if target else math.inf,
        volatility_sessions=VOLATILITY_SESSIONS,
        every=every,
        tranches=tranches,
        commission=spec.commission_bps / 1e4,
        spread=spec.spread_bps / 1e4,
        impact=spec.impact,
        max_participation=spec.max_participation or math.inf,
        borrow=spec.borrow_bps_per_year / 1e4 / SESSIONS_PER_YEAR,
        interest=spec.interest_bps_per_year / 1e4 / SESSIONS_PER_YEAR,
        delisted_after=spec.delisted_after,
        delisting_loss=spec.delisting_loss,
        capital=spec.capital,
    )
