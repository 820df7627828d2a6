"""What a user may choose about the portfolios that trade the forecasts."""

from pydantic import BaseModel, ConfigDict, Field


class PortfolioSpec(BaseModel):
    """How forecasts become positions, and what trading them costs.

    The defaults suit 5 names as well as 8,000; a limit that is empty does not exist.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_share: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the names bought (and, long-short, sold); 0 to 0.5.",
    )
    top_count: int | None = Field(
        None, ge=1, le=100_000, description="Names bought instead of a share of them; in names."
    )
    drop_limit: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Names that may leave a side at one rebalance while they are still candidates.",
    )
    rebalance_every: int | None = Field(
        None, ge=1, le=252, description="Sessions between two rebalances; empty means the horizon."
    )
    staggered: bool = Field(
        True,
        description="Split the capital into as many equal tranches as there are sessions between "
        "two rebalances, each a session later than the one before; no start day is special.",
    )
    max_weight: float | None = Field(
        None, gt=0, le=1, description="Largest weight of a name, share of equity; the rest is cash."
    )
    max_sector_weight: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Largest sum of weights, long and short, of a sector, share of equity; the "
        "rest is cash. Names without a known sector count as one.",
    )
    max_turnover: float | None = Field(
        None,
        gt=0,
        le=2,
        description="Largest value bought plus sold at one rebalance, share of its equity.",
    )
    volatility_target: float | None = Field(
        None,
        gt=0,
        le=2,
        description="Annual volatility above which weights are scaled down, by the returns up to "
        "the close of the decision; never scaled up. 0.1 is 10 %.",
    )
    min_dollar_volume: float | None = Field(
        None,
        gt=0,
        le=1e12,
        description="Least average value traded a session up to the decision, currency units.",
    )
    max_volatility: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Largest annual volatility of a name up to the decision; 0.5 is 50 %.",
    )
    commission_bps: float = Field(
        1.0, ge=0, le=1000, description="Commission on the traded value, in basis points."
    )
    spread_bps: float = Field(
        2.0, ge=0, le=1000, description="Half the bid-ask spread, paid on each trade, basis points."
    )
    impact: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Slippage is this times the daily volatility times the square root of the "
        "order's share of the average daily volume; 0 for none.",
    )
    max_participation: float | None = Field(
        0.1,
        gt=0,
        le=1,
        description="Largest order, share of the average daily volume; what is above lapses.",
    )
    borrow_bps_per_year: float = Field(
        50.0, ge=0, le=10_000, description="Fee on the value of shorts, basis points a year."
    )
    interest_bps_per_year: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="Interest on cash, the proceeds of shorts aside, basis points a year.",
    )
    delisted_after: int = Field(
        20,
        ge=1,
        le=1000,
        description="Sessions without a bar after which a position is paid out at its last price; "
        "until then it is halted and kept.",
    )
    delisting_loss: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of a long position lost when it is paid out; 0.3 after a bankruptcy.",
    )
    capital: float = Field(
        1_000_000.0, gt=0, le=1e12, description="Cash at the start, in currency units."
    )
    capacity: tuple[float, ...] = Field(
        (1e5, 1e6, 1e7, 1e8, 1e9, 1e10),
        description="Capitals of the capacity curve, ascending, in currency units; empty for none.",
    )

    def rebalancing(self, horizon: int) -> tuple[int, int]:
        """Returns the sessions between two rebalances, and the tranches of the capital."""
        every = self.rebalance_every or horizon
        return every, every if self.staggered else 1
