"""The figures of portfolios: an entry here adds a column to the report, with its interval."""

from tasks.evaluation.earned.drawdowns import CALMAR, DRAWDOWN_SESSIONS, MAX_DRAWDOWN
from tasks.evaluation.earned.entry import Figure, FlowFigure
from tasks.evaluation.earned.flows import (
    BORROW,
    COMMISSION,
    COSTS,
    FILLED,
    GROSS_EXPOSURE,
    INTEREST,
    SLIPPAGE,
    SPREAD,
    TURNOVER,
    WRITTEN_OFF,
)
from tasks.evaluation.earned.growth import (
    ANNUAL_RETURN,
    ANNUAL_VOLATILITY,
    HIT_RATE,
    SORTINO,
    TOTAL_RETURN,
)
from tasks.evaluation.earned.market import ALPHA, BETA, EXPOSURE

# Of the returns: what was earned and risked.
FIGURES: dict[str, Figure] = {
    "total_return": TOTAL_RETURN,
    "annual_return": ANNUAL_RETURN,
    "annual_volatility": ANNUAL_VOLATILITY,
    "sortino": SORTINO,
    "hit_rate": HIT_RATE,
    "max_drawdown": MAX_DRAWDOWN,
    "drawdown_sessions": DRAWDOWN_SESSIONS,
    "calmar": CALMAR,
    "alpha": ALPHA,
    "beta": BETA,
    "exposure": EXPOSURE,
}
# Of the account: what was held, traded and paid.
FLOWS: dict[str, FlowFigure] = {
    "gross_exposure": GROSS_EXPOSURE,
    "turnover": TURNOVER,
    "costs": COSTS,
    "commission": COMMISSION,
    "spread": SPREAD,
    "slippage": SLIPPAGE,
    "borrow": BORROW,
    "interest": INTEREST,
    "written_off": WRITTEN_OFF,
    "filled": FILLED,
}
