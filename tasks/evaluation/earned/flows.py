"""What portfolios held, traded and paid, by year and over their equity."""

from functools import partial

from tasks.evaluation.earned.entry import FlowFigure, Flows
from tasks.evaluation.metrics import FloatArray, mean_over_dates, ratio_over_dates
from tasks.evaluation.performance import SESSIONS_PER_YEAR


def a_year(flows: Flows, weights: FloatArray, name: str) -> FloatArray:
    """Returns the mean of a flow over the sessions, times those of a year."""
    return mean_over_dates(getattr(flows, name), weights) * SESSIONS_PER_YEAR


def gross_exposure(flows: Flows, weights: FloatArray) -> FloatArray:
    """Returns the mean of longs plus shorts over equity: 1 fully invested, 0 all cash."""
    return mean_over_dates(flows.gross_exposure, weights)


def filled(flows: Flows, weights: FloatArray) -> FloatArray:
    """Returns the share of what was ordered that was traded; NaN without orders."""
    return ratio_over_dates(flows.turnover, flows.turnover + flows.unfilled, weights)


def _paid(title: str, name: str) -> FlowFigure:
    return FlowFigure(
        title, "a year, of the equity", "percent", 2, False, partial(a_year, name=name)
    )


GROSS_EXPOSURE = FlowFigure("Gross exposure", "mean", "percent", 0, False, gross_exposure)
TURNOVER = FlowFigure(
    "Turnover", "a year, times the equity", "decimal", 1, False, partial(a_year, name="turnover")
)
COSTS = _paid("Costs", "costs")
COMMISSION = _paid("commission", "commission")
SPREAD = _paid("half the spread", "spread")
SLIPPAGE = _paid("slippage", "slippage")
BORROW = _paid("borrow fee", "borrow")
INTEREST = _paid("Interest earned", "interest")
WRITTEN_OFF = _paid("Lost at delistings", "written_off")
FILLED = FlowFigure("Orders filled", "of their value", "percent", 1, False, filled)
