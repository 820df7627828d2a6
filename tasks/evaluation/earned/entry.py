"""What the registries of portfolio figures hold."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from tasks.evaluation.column import Column
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.performance import alive_before, over_equity
from tasks.evaluation.portfolio import Ledger


@dataclass(frozen=True)
class Paths:
    """What happened to a portfolio, and resamples of it: N sequences of D sessions.

    Row 0 is what happened. A resample draws whole sessions, so that portfolio and market stay
    together.

    Attributes:
        returns: simple_returns from close to close, after costs [N, D].
        market: the same of the benchmark, or of equal weight where there is none [N, D].
        invested: value of the positions over equity at each close; shorts count below 0 [N, D].
    """

    returns: FloatArray
    market: FloatArray
    invested: FloatArray


@dataclass(frozen=True)
class Flows:
    """What a portfolio held, traded and paid in each session [D], after the first close.

    Amounts are shares of the equity at the close before, 0 from the day of ruin on.

    Attributes:
        gross_exposure: longs plus shorts over equity at each close; NaN after ruin.
        turnover: bought plus sold.
        unfilled: ordered but not traded.
        costs: commission, spread, slippage and borrow fee together.
        commission, spread, slippage, borrow: paid; interest: earned; written_off: lost at
            delistings.
    """

    gross_exposure: FloatArray
    turnover: FloatArray
    unfilled: FloatArray
    costs: FloatArray
    commission: FloatArray
    spread: FloatArray
    slippage: FloatArray
    borrow: FloatArray
    interest: FloatArray
    written_off: FloatArray

    @classmethod
    def of(cls, ledger: Ledger) -> "Flows":
        """Returns those of an account."""
        amounts = [f.name for f in fields(cls) if f.name not in ("gross_exposure", "turnover")]
        return cls(
            gross_exposure=ledger.gross_exposure[1:],
            turnover=np.where(alive_before(ledger.equity), ledger.turnover[1:], 0.0),
            **{name: over_equity(getattr(ledger, name)[1:], ledger.equity) for name in amounts},
        )


@dataclass(frozen=True)
class Figure(Column):
    """One registry entry of what a portfolio earned and risked.

    Attributes:
        function: takes the paths; returns the value of each [N], NaN where undefined.
    """

    function: Callable[[Paths], FloatArray]


@dataclass(frozen=True)
class FlowFigure(Column):
    """One registry entry of what a portfolio held, traded and paid.

    Attributes:
        function: takes the flows and ways of counting the sessions [N, D]; returns [N].
    """

    function: Callable[[Flows, FloatArray], FloatArray]
