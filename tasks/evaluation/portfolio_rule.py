"""The rule of the portfolios in words: what they hold and when, what trading costs, what is barred.

Every setting of `PortfolioSpec` but the capacity curve's capitals, which the curve itself shows.
"""

from tasks.evaluation.portfolio_spec import PortfolioSpec


def portfolio_rule(spec: PortfolioSpec, horizon: int) -> dict[str, str]:
    """Returns the rule by heading, each part in one sentence or a list of settings."""
    return {
        "Portfolio rule": f"{_held(spec)} {_timed(spec, horizon)}",
        "Costs": _costs(spec),
        "Filters and limits": _limits(spec),
        "Delistings": f"after {spec.delisted_after} sessions without a bar a position is paid out "
        f"at its last price, longs less {_percent(spec.delisting_loss)} of it",
        "Riskless rate": f"none is subtracted; cash earns {spec.interest_bps_per_year:g} bp a year",
    }


def _held(spec: PortfolioSpec) -> str:
    top = f"{_percent(spec.top_share)} of the names"
    if spec.top_count is not None:
        top = f"{spec.top_count} names"
    return (
        f"Long only holds the best {top} in equal parts, whatever the sign of their forecasts; "
        "long-short puts half as much into the same and sells the worst as many; "
        "forecast-weighted holds by the forecast less the mean of its date, longs plus shorts "
        "equal to the equity; equal weight holds all names that have a forecast."
    )


def _timed(spec: PortfolioSpec, horizon: int) -> str:
    every, tranches = spec.rebalancing(horizon)
    sessions = "session" if every == 1 else f"{every} sessions"
    if tranches > 1:
        return f"Rebalanced every {sessions}, in {tranches} tranches a session apart."
    return f"Rebalanced every {sessions}, all at once."


def _costs(spec: PortfolioSpec) -> str:
    slippage = "no slippage"
    if spec.impact:
        slippage = (
            f"slippage of {spec.impact:g} × daily volatility × √(order / average daily volume)"
        )
    return (
        f"commission {spec.commission_bps:g} bp and half the spread {spec.spread_bps:g} bp of what "
        f"is traded, {slippage}, borrow fee {spec.borrow_bps_per_year:g} bp a year; capital "
        f"{spec.capital:,.0f} currency units"
    )


def _limits(spec: PortfolioSpec) -> str:
    """Returns what is set; a limit that is empty does not exist."""
    shares = {
        "an order is at most {} of the average daily volume": spec.max_participation,
        "at most {} of the equity in a name": spec.max_weight,
        "at most {} of the equity in a sector": spec.max_sector_weight,
        "at most {} of the equity traded at a rebalance": spec.max_turnover,
        "weights scaled down to an annual volatility of {}": spec.volatility_target,
        "only names of an annual volatility up to {}": spec.max_volatility,
    }
    named = [text.format(_percent(share)) for text, share in shares.items() if share is not None]
    if spec.drop_limit is not None:
        named.append(f"at most {spec.drop_limit} names leave a side at a rebalance")
    if spec.min_dollar_volume is not None:
        named.append(
            f"only names of which {spec.min_dollar_volume:,.0f} currency units are traded a session"
        )
    return "; ".join(named) or "none"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
