"""The figures of portfolios: an entry here adds a column to the report, with its interval."""

from tasks.evaluation.earned.drawdowns import CALMAR, DRAWDOWN_SESSIONS, MAX_DRAWDOWN
from tasks.evaluation.earned.entry import Figure
from tasks.evaluation.earned.growth import ANNUAL_RETURN, ANNUAL_VOLATILITY, HIT_RATE, SORTINO
from tasks.evaluation.earned.market import ALPHA, BETA, EXPOSURE

FIGURES: dict[str, Figure] = {
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
