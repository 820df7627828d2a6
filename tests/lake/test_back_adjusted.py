from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.lake.factors import back_adjusted
from tests.lake.frames import actions, bars, random_market, weekdays

MON, TUE, WED, THU = weekdays(4, date(2020, 1, 6))
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "demo_us40_2010_2021.parquet"


def test_back_adjusted_by_hand():
    # 7 for 1 and 2 a new share on Tuesday, after 714 = 102 a new share; 5 on 100 on Thursday.
    closes = [714.0, 100.0, 100.0, 96.0]
    raw = bars([("A", d, c) for d, c in zip((MON, TUE, WED, THU), closes, strict=True)], volume=7.0)
    acting = actions(
        [("A", TUE, "split", 7.0), ("A", TUE, "dividend", 2.0), ("A", THU, "capital_gain", 5.0)]
    )
    made = back_adjusted(raw, acting)
    paid = 1 - 5 / 100
    expected = [714 / 7 * (1 - 2 / 102) * paid, 100 * paid, 100 * paid, 96]
    assert made["close"].to_list() == pytest.approx(expected, rel=1e-15)
    assert made["volume"].to_list() == pytest.approx([49, 7, 7, 7], rel=1e-15)
    assert made.columns == ["symbol", "date", "open", "high", "low", "close", "volume"]


def loop_back_adjusted(raw, acting):
    """The vendors' way: from the last bar back, each action multiplies all bars before it."""
    made = {}
    for symbol in raw["symbol"].unique():
        rows = raw.filter(pl.col("symbol") == symbol).sort("date").rows(named=True)
        prices = [[r[c] for c in ("open", "high", "low", "close")] for r in rows]
        volumes = [r["volume"] for r in rows]
        for n in range(len(rows) - 1, 0, -1):
            due = [
                a
                for a in acting.filter(pl.col("symbol") == symbol).rows(named=True)
                if rows[n - 1]["date"] < a["date"] <= rows[n]["date"]
            ]
            split = float(np.prod([a["value"] for a in due if a["kind"] == "split"]))
            paid = sum(a["value"] for a in due if a["kind"] != "split")
            step = (1 - paid / (rows[n - 1]["close"] / split)) / split
            prices[:n] = [[p * step for p in bar] for bar in prices[:n]]
            volumes[:n] = [v * split for v in volumes[:n]]
        for row, bar, volume in zip(rows, prices, volumes, strict=True):
            made[symbol, row["date"]] = (*bar, volume)
    return made


@pytest.mark.parametrize("seed", range(3))
def test_back_adjusted_agrees_with_a_plain_loop(seed):
    raw, acting, _ = random_market(seed)
    both = acting.group_by("symbol", "date").len().filter(pl.col("len") > 1)
    assert both.height, "a day with a split and a dividend"
    assert acting.filter(kind="split")["value"].min() < 1
    expected = loop_back_adjusted(raw, acting)
    made = back_adjusted(raw, acting)
    assert made.height == len(expected)
    for symbol, day, *values in made.iter_rows():
        assert values == pytest.approx(expected[symbol, day], rel=1e-12)
    last = raw.sort("date").group_by("symbol").last()
    ends = made.join(last, on=["symbol", "date"], suffix="_traded")
    for column in ("open", "high", "low", "close", "volume"):
        assert ends[column].equals(ends[f"{column}_traded"])


@pytest.fixture(scope="module")
def real():
    if not REAL.exists():
        pytest.skip("the real bars of ../shared/data are not here")
    frame = pl.read_parquet(REAL).with_columns(pl.col("volume").cast(pl.Float64))
    long = [
        frame.filter(chosen).select("symbol", "date", kind=pl.lit(kind), value=column)
        for kind, column, chosen in (
            ("split", "split", pl.col("split") != 1),
            ("dividend", "dividend", pl.col("dividend") > 0),
        )
    ]
    made = back_adjusted(frame.drop("split", "dividend"), pl.concat(long))
    return made.select("symbol", "date", back="close").join(
        frame, on=["symbol", "date"], maintain_order="left"
    )


def test_back_adjusted_prices_agree_with_the_vendors_within_a_quarter_of_a_per_cent(real):
    # The vendor reinvests a dividend at the ex-date's close, we at the close before it, less the
    # dividend: over 45 dividends the two drift apart. ABT's and GOOGL's distributions of half
    # their price, coded as dividends, drift further and are left out.
    ordinary = real.filter(~pl.col("symbol").is_in(["ABT", "GOOGL"]))
    error = (ordinary["back"] / ordinary["adj_close"] - 1).abs()
    assert ordinary["symbol"].n_unique() == 38
    assert error.max() < 2.5e-3


def test_away_from_dividends_returns_agree_with_the_vendors_to_its_printed_digits(real):
    # adj_close is printed to six decimals; the lowest are near 1.
    def step(column):
        return (pl.col(column) / pl.col(column).shift(1)).over("symbol")

    steps = real.with_columns(ours=step("back"), theirs=step("adj_close"))
    plain = steps.filter(pl.col("dividend") == 0).drop_nulls("ours")
    assert (plain["split"] != 1).sum() >= 10
    assert (plain["ours"] / plain["theirs"] - 1).abs().max() < 2e-6
