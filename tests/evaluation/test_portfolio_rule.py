"""What is said of a portfolio's rule: no setting is left out."""

import pytest

from tasks.evaluation.portfolio_rule import portfolio_rule
from tasks.evaluation.portfolio_spec import PortfolioSpec

OTHER = {
    "top_share": 0.35, "top_count": 7, "drop_limit": 3, "rebalance_every": 9, "staggered": False,
    "max_weight": 0.11, "max_sector_weight": 0.31, "max_turnover": 0.41,
    "volatility_target": 0.13, "min_dollar_volume": 5e6, "max_volatility": 0.61,
    "commission_bps": 1.7, "spread_bps": 2.7, "impact": 0.7, "max_participation": 0.07,
    "borrow_bps_per_year": 57.0, "interest_bps_per_year": 17.0, "delisted_after": 27,
    "delisting_loss": 0.37, "capital": 7e6,
}  # fmt: skip


def test_every_setting_but_the_capacity_curves_capitals_is_tried():
    assert {*OTHER, "capacity"} == set(PortfolioSpec.model_fields)


@pytest.mark.parametrize("name", OTHER)
def test_the_rule_says_every_setting(name):
    value = OTHER[name]
    changed = PortfolioSpec().model_copy(update={name: value})
    told = " ".join(portfolio_rule(changed, 5).values())
    assert told != " ".join(portfolio_rule(PortfolioSpec(), 5).values())
    if not isinstance(value, bool):
        share = f"{100 * value:g} %" if value < 1 and name != "impact" else None
        assert (share or f"{value:,g}".replace("e+06", ",000,000")) in told


def test_the_default_rule_in_words():
    rule = portfolio_rule(PortfolioSpec(), 5)
    assert "holds the best 20 % of the names" in rule["Portfolio rule"]
    assert "every 5 sessions, in 5 tranches a session apart" in rule["Portfolio rule"]
    assert rule["Costs"].startswith("commission 1 bp and half the spread 2 bp of what is traded")
    assert rule["Filters and limits"] == "an order is at most 10 % of the average daily volume"
    assert "every session, all at once" in portfolio_rule(PortfolioSpec(), 1)["Portfolio rule"]
    free = PortfolioSpec(impact=0, max_participation=None)
    assert "no slippage" in portfolio_rule(free, 5)["Costs"]
    assert portfolio_rule(free, 5)["Filters and limits"] == "none"
