from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.liquidity import FEWEST, VOLATILITY_SESSIONS, VOLUME_SESSIONS, with_liquidity
from tests.evaluation.worlds import START


@pytest.fixture
def panel():
    rng = np.random.default_rng(0)
    length = 100
    days = [START + timedelta(days=day) for day in range(length)]
    return pl.concat(
        pl.DataFrame(
            {
                "symbol": symbol,
                "date": days,
                "close": 50 * np.exp(np.cumsum(rng.normal(0, 0.02, length))),
                "volume": np.exp(rng.normal(12, 1, length)),
            }
        )
        for symbol in ("A", "B")
    )


def test_each_row_sees_its_own_symbol_up_to_its_own_bar(panel):
    made = with_liquidity(panel.sample(fraction=1.0, shuffle=True, seed=0))
    for (_,), own in made.group_by("symbol"):
        value = (own["close"] * own["volume"]).to_numpy()
        change = np.diff(np.log(own["close"].to_numpy()))
        for row in range(own.height):
            seen = value[max(0, row + 1 - VOLUME_SESSIONS) : row + 1]
            assert own["dollar_volume"][row] == pytest.approx(seen.mean(), rel=1e-9)
            moves = change[max(0, row - VOLATILITY_SESSIONS) : row]
            found = own["volatility"][row]
            if len(moves) < FEWEST:
                assert found is None
            else:
                assert found == pytest.approx(moves.std(ddof=1), rel=1e-9)


def test_what_comes_later_changes_nothing(panel):
    cut = START + timedelta(days=70)
    wild = pl.when(pl.col("date") > cut).then(1e9).otherwise(pl.col("close"))
    whole, altered = with_liquidity(panel), with_liquidity(panel.with_columns(close=wild))
    columns, before = ("dollar_volume", "volatility"), pl.col("date") <= cut
    assert whole.filter(before).select(columns).equals(altered.filter(before).select(columns))
