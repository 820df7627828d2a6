from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.lake.factors import (
    adjust,
    back_adjusted,
    forward_factors,
    index_prices,
    panel_with_dividends,
)
from tests.lake.frames import actions, bars, random_market, weekdays

MON, TUE, WED, THU, FRI = weekdays(5, date(2020, 1, 6))
NONE = actions([])
WITHDRAWN = (("split", 1.0), ("dividend", 0.0), ("capital_gain", 0.0))


def factors(closes, acting, symbol="A"):
    days = weekdays(len(closes), MON)
    raw = bars([(symbol, d, c) for d, c in zip(days, closes, strict=True)])
    made = forward_factors(raw, acting).filter(pl.col("symbol") == symbol)
    return made["split_factor"].to_list(), made["total_factor"].to_list()


def test_without_actions_prices_and_volumes_stay_as_traded():
    raw = bars([("A", MON, 100.0), ("A", TUE, 101.0)])
    assert_frame_equal(adjust(raw, NONE), raw.drop("source", "flags", "held", "final"))


def test_a_split_multiplies_prices_and_divides_volume_from_its_day_on():
    # 7 new for 1 old: 700 becomes 100; a holder of one share has 7 × 102 the day after.
    raw = bars([("A", MON, 700.0), ("A", TUE, 100.0), ("A", WED, 102.0)], volume=14.0)
    panel = adjust(raw, actions([("A", TUE, "split", 7.0)]))
    assert panel["close"].to_list() == [700.0, 700.0, 714.0]
    assert panel["open"].to_list() == pytest.approx([693.0, 693.0, 706.86])
    assert panel["volume"].to_list() == [14.0, 2.0, 2.0]


def test_a_dividend_is_reinvested_at_the_close_before_less_the_dividend():
    # 100 closes, 4 are paid: 100 / 96 shares from the ex-date on.
    split, total = factors([100.0, 96.0, 97.0], actions([("A", TUE, "dividend", 4.0)]))
    assert split == [1.0, 1.0, 1.0]
    assert total == pytest.approx([1.0, 100 / 96, 100 / 96], rel=1e-15)


def test_the_dividend_factor_gives_back_the_value_traded():
    raw = bars([("A", d, c) for d, c in zip((MON, TUE, WED), (100.0, 96.0, 24.5), strict=True)])
    acting = actions([("A", TUE, "dividend", 4.0), ("A", WED, "split", 4.0)])
    panel = panel_with_dividends(raw, acting)
    assert panel["dividend_factor"].to_list() == pytest.approx([1.0, 100 / 96, 100 / 96])
    traded = panel["close"] * panel["volume"] / panel["dividend_factor"]
    assert traded.to_list() == pytest.approx((raw["close"] * raw["volume"]).to_list())
    assert_frame_equal(panel.drop("dividend_factor"), adjust(raw, acting), check_exact=True)


def test_a_dividend_on_the_day_of_a_split_is_per_new_share():
    # 100 before is 50 in new shares; 2 paid on each: 2 × 50 / 48.
    acting = actions([("A", TUE, "split", 2.0), ("A", TUE, "dividend", 2.0)])
    split, total = factors([100.0, 48.0], acting)
    assert split == [1.0, 2.0]
    assert total == pytest.approx([1.0, 2 * 50 / 48], rel=1e-15)


def test_a_benchmark_keeps_its_holders_wealth_over_splits_and_dividends():
    # 200 before is 100 in new shares, of which the first 2 are paid: nothing but a half a per cent
    # was won. Another symbol's actions have no say.
    raw = bars([("SPY", MON, 200.0), ("SPY", TUE, 100.5), ("SPY", WED, 98.49)])
    acting = [("SPY", TUE, "split", 2.0), ("SPY", WED, "dividend", 2.01), ("A", WED, "split", 5.0)]
    found = index_prices(raw, actions(acting))
    assert found.columns == ["date", "open", "close"]
    assert found["close"].to_list() == pytest.approx([200.0, 201.0, 201.0])
    assert found["open"].to_list() == pytest.approx([0.99 * 200, 0.99 * 201, 0.99 * 201])
    # What was known before the dividend is what is known after it.
    earlier = index_prices(raw.head(2), actions(acting[:1]))
    assert_frame_equal(earlier, found.head(2), check_exact=True)


def test_factors_multiply_up():
    acting = actions(
        [("A", TUE, "dividend", 1.0), ("A", WED, "split", 2.0), ("A", FRI, "dividend", 0.5)]
    )
    split, total = factors([100.0, 99.0, 50.0, 51.0, 50.0], acting)
    paid = 100 / 99
    assert split == [1.0, 1.0, 2.0, 2.0, 2.0]
    assert total == pytest.approx([1.0, paid, 2 * paid, 2 * paid, 2 * paid * 51 / 50.5], rel=1e-15)


def test_a_reverse_split_makes_fewer_shares():
    assert factors([1.0, 10.0], actions([("A", TUE, "split", 0.1)])) == ([1.0, 0.1], [1.0, 0.1])


@pytest.mark.parametrize("day", [date(2019, 12, 2), date(2020, 1, 4), MON])
def test_an_action_up_to_the_first_bar_has_nothing_to_act_on(day):
    acting = actions([("A", day, "split", 2.0), ("A", day, "dividend", 1.0)])
    assert factors([50.0, 51.0], acting) == ([1.0, 1.0], [1.0, 1.0])


def test_an_action_off_the_sessions_counts_from_the_next_bar():
    raw = bars([("A", FRI, 100.0), ("A", FRI + timedelta(days=3), 50.0)])
    saturday = actions([("A", FRI + timedelta(days=1), "split", 2.0)])
    assert adjust(raw, saturday)["close"].to_list() == [100.0, 100.0]


def test_an_action_on_a_day_the_symbol_did_not_trade_counts_from_its_next_bar():
    raw = bars([("A", MON, 100.0), ("A", WED, 50.0), ("B", TUE, 9.0)])
    assert adjust(raw, actions([("A", TUE, "split", 2.0)]))["close"].to_list() == [100, 100, 9]


def hold(raw, *days):
    return raw.with_columns(held=pl.col("date").is_in(list(days)))


def test_a_held_bar_is_not_in_the_panel_and_no_close_before_an_action():
    # 1000.0 is a price in pence; the dividend is paid on the 100 of Monday.
    raw = bars([("A", MON, 100.0), ("A", TUE, 1000.0), ("A", WED, 96.0), ("A", THU, 97.0)])
    acting = actions([("A", WED, "dividend", 4.0)])
    panel = adjust(hold(raw, TUE), acting)
    assert_frame_equal(panel, adjust(raw.filter(pl.col("date") != TUE), acting), check_exact=True)
    assert panel["close"].to_list() == pytest.approx([100, 100, 97 * 100 / 96], rel=1e-15)
    assert back_adjusted(hold(raw, TUE), acting)["date"].to_list() == [MON, WED, THU]


def test_an_action_on_a_held_bar_counts_from_the_next_bar_and_none_before_the_first():
    raw = bars([("A", MON, 100.0), ("A", TUE, 51.0), ("A", WED, 50.0)])
    split = actions([("A", TUE, "split", 2.0)])
    assert adjust(hold(raw, TUE), split)["close"].to_list() == [100.0, 100.0]
    assert adjust(hold(raw, MON), split)["close"].to_list() == [51.0, 50.0]
    assert adjust(hold(raw, MON, TUE, WED), split).is_empty()


def test_what_is_paid_on_one_day_adds_up_whatever_it_is_called():
    paid = [("A", TUE, "dividend", 1.0), ("A", TUE, "capital_gain", 3.0)]
    assert factors([100.0, 96.0], actions(paid)) == ([1.0, 1.0], [1.0, 100 / 96])


def test_a_withdrawn_action_changes_nothing():
    raw, acting, days = random_market(4)
    withdrawn = actions([("A", d, k, v) for d in days for k, v in WITHDRAWN]).join(
        acting, on=["symbol", "date"], how="anti"
    )
    both = pl.concat([acting, withdrawn])
    assert_frame_equal(adjust(raw, both), adjust(raw, acting), check_exact=True)
    assert_frame_equal(back_adjusted(raw, both), back_adjusted(raw, acting), check_exact=True)


def test_an_unknown_volume_stays_unknown():
    raw = bars([("A", MON, 100.0), ("A", TUE, 50.0)]).with_columns(volume=pl.Series([None, 4.0]))
    split = actions([("A", TUE, "split", 2.0)])
    assert adjust(raw, split)["volume"].to_list() == [None, 2.0]
    assert back_adjusted(raw, split)["volume"].to_list() == [None, 4.0]


def test_an_action_after_the_last_bar_changes_nothing():
    acting = actions([("A", FRI, "split", 2.0)])
    assert factors([50.0, 51.0], acting) == ([1.0, 1.0], [1.0, 1.0])


def loop_factors(raw, acting):
    """The definition, written as a loop."""
    made = {}
    for symbol in raw["symbol"].unique().sort():
        waiting = acting.filter(pl.col("symbol") == symbol).sort("date").rows(named=True)
        split = total = 1.0
        before = None
        for bar in raw.filter(pl.col("symbol") == symbol).sort("date").iter_rows(named=True):
            due = [a for a in waiting if a["date"] <= bar["date"]]
            waiting = waiting[len(due) :]
            if before is not None:
                for action in due:
                    if action["kind"] == "split":
                        split, total = split * action["value"], total * action["value"]
                        before /= action["value"]
                paid = sum(a["value"] for a in due if a["kind"] != "split")
                total *= before / (before - paid)
            made[symbol, bar["date"]] = (split, total)
            before = bar["close"]
    return made


@pytest.mark.parametrize("seed", range(3))
def test_factors_of_many_symbols_agree_with_a_plain_loop(seed):
    raw, acting, _ = random_market(seed)
    made = forward_factors(raw, acting)
    expected = loop_factors(raw, acting)
    assert made.height == len(expected)
    for row in made.iter_rows(named=True):
        found = (row["split_factor"], row["total_factor"])
        assert found == pytest.approx(expected[row["symbol"], row["date"]], rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_later_bars_and_actions_change_no_earlier_row_by_a_bit(seed):
    raw, acting, days = random_market(seed)
    cutoff = days[30]
    past = pl.col("date") <= cutoff
    known = adjust(raw.filter(past), acting.filter(past))
    assert_frame_equal(adjust(raw, acting).filter(past), known, check_exact=True)
    wild = acting.with_columns(pl.when(past).then("value").otherwise(1.9).alias("value"))
    assert_frame_equal(adjust(raw, wild).filter(past), known, check_exact=True)


def test_a_symbol_does_not_depend_on_the_others_or_on_the_order_of_rows():
    raw, acting, _ = random_market(0)
    together = adjust(raw, acting)
    for symbol in ("A", "B", "C"):
        mine = pl.col("symbol") == symbol
        alone = adjust(raw.filter(mine), acting.filter(mine))
        assert_frame_equal(alone, together.filter(mine), check_exact=True)
    shuffled = adjust(
        raw.sample(fraction=1, shuffle=True, seed=1),
        acting.sample(fraction=1, shuffle=True, seed=2),
    )
    # Factors of one day may be multiplied in another order.
    assert_frame_equal(shuffled, together, rel_tol=1e-12)
