from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.ingest.actions import undo_split_adjustment
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.reconcile import FINDINGS, Reconciled, reconcile, reconcile_actions
from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import sessions
from tasks.lake.tables import ACTIONS, BARS, QUARANTINE

DAYS = sessions("XNYS", date(2013, 1, 2), date(2013, 2, 28))
CLOSES = [100.0, 101.37, 99.2, 103.11, 102.5, 104.75, 103.9]
HELD = 6
"""Of the seven sessions served, the last is new."""


def served(
    closes: Sequence[float] = CLOSES, source: str = "primary", symbol: str = "A", first: int = 0
) -> pl.DataFrame:
    close = pl.Series(closes, dtype=pl.Float64)
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": DAYS[first : first + len(closes)],
            "open": close * 0.99,
            "high": close * 1.02,
            "low": close * 0.98,
            "close": close,
            "volume": [1000.0 + i for i in range(len(closes))],
            "adj_close": close,
            "source": source,
        }
    )


def stored(bars: pl.DataFrame, flags: str = "", held: bool = False) -> pl.DataFrame:
    return bars.with_columns(flags=pl.lit(flags), held=pl.lit(held), final=pl.lit(True)).select(
        list(BARS.columns)
    )


def acting(*rows: tuple[str, int, str, float]) -> pl.DataFrame:
    """Actions of symbol, number of the session, kind, value."""
    dated = [(s, DAYS[n], kind, value, "primary", "") for s, n, kind, value in rows]
    return pl.DataFrame(dated, schema=dict(ACTIONS.columns), orient="row")


LAKE = stored(served().head(HELD))
NONE = acting()


def held_against(
    fetched: pl.DataFrame,
    lake: pl.DataFrame = LAKE,
    actions: pl.DataFrame = NONE,
    known: pl.DataFrame = NONE,
    full: Sequence[str] = (),
    reviews: pl.DataFrame = NO_REVIEWS,
) -> Reconciled:
    return reconcile(fetched, lake, actions, known, QualitySpec(), full, reviews)


def findings(found: Reconciled) -> list[str]:
    assert set(found.findings["finding"]) <= set(FINDINGS)
    return found.findings["finding"].to_list()


def handed_on(found: Reconciled) -> list[int]:
    """The numbers of the sessions handed on."""
    return [DAYS.index(d) for d in found.bars["date"]]


def scaled(bars: pl.DataFrame, ratio: float, rows: Sequence[int] | None = None) -> pl.DataFrame:
    row = pl.int_range(pl.len())
    here = row.is_in(list(rows)) if rows is not None else row >= 0
    prices = ("open", "high", "low", "close")
    return bars.with_columns(pl.when(here).then(pl.col(c) * ratio).otherwise(c) for c in prices)


def test_of_bars_that_agree_only_the_new_date_is_handed_on():
    found = held_against(served())
    assert (findings(found), handed_on(found), found.refetch) == (["same"], [HELD], ())
    assert found.bars["flags"].to_list() == [None]
    assert found.refused.is_empty()


def test_a_symbol_that_the_lake_does_not_know_is_all_new():
    found = held_against(served(symbol="B"))
    assert (findings(found), handed_on(found)) == ([], list(range(7)))


@pytest.mark.parametrize("ratio", [1 + 5e-7, 1 - 5e-7])
def test_rounding_is_no_revision(ratio):
    assert findings(held_against(scaled(served(), ratio))) == ["same"]


def test_a_revised_bar_is_handed_on_and_the_others_are_not():
    found = held_against(scaled(served(), 1.001, [3]))
    assert (findings(found), handed_on(found)) == (["revised"], [3, HELD])
    assert found.findings.row(0, named=True)["date"] == DAYS[3]


def test_a_revised_volume_is_a_revision_and_a_lost_one_is_not():
    here = pl.int_range(pl.len()) == 3
    for volume, finding in ((2000.0, "revised"), (1003.05, "same"), (None, "same")):
        changed = pl.when(here).then(pl.lit(volume, pl.Float64)).otherwise("volume")
        assert findings(held_against(served().with_columns(volume=changed))) == [finding]


def test_the_split_of_the_night_rescales_nothing():
    # The source divides all prices before the split by 7, and rounds to six decimals.
    split = acting(("A", HELD, "split", 7.0))
    tape = served([*CLOSES[:HELD], CLOSES[HELD] / 7])
    prices = ("open", "high", "low", "close")
    before = pl.col("date") < DAYS[HELD]
    adjusted = tape.with_columns(
        *((pl.when(before).then(pl.col(c) / 7).otherwise(c)).round(6) for c in prices),
        volume=pl.when(before).then(pl.col("volume") * 7).otherwise("volume").round(0),
    )
    fetched = undo_split_adjustment(adjusted, split)
    assert not fetched.head(HELD).equals(tape.head(HELD))
    found = held_against(fetched, stored(tape.head(HELD)), split)
    assert (findings(found), handed_on(found)) == (["restated_split"], [HELD])
    assert found.findings.select("date", "ratio").row(0) == (DAYS[HELD], 7.0)


def test_penny_shares_before_a_large_split_keep_their_rounding():
    # 0.0412 a share; after 1:50 the source says 2.06, after 50:1 only 0.000824.
    split = acting(("A", HELD, "split", 50.0))
    tape = served([0.0412, 0.0417, 0.0409, 0.0411, 0.0413, 0.0412, 0.0008])
    prices = ("open", "high", "low", "close")
    rounded = tape.with_columns(
        (pl.when(pl.col("date") < DAYS[HELD]).then((pl.col(c) / 50).round(6) * 50).otherwise(c))
        for c in prices
    )
    assert findings(held_against(rounded, stored(tape.head(HELD)))) == ["revised"]
    assert findings(held_against(rounded, stored(tape.head(HELD)), split)) == ["restated_split"]


def test_a_dividend_of_the_night_is_told():
    found = held_against(served(), actions=acting(("A", HELD, "dividend", 1.0)))
    assert (findings(found), handed_on(found)) == (["restated_dividend"], [HELD])


def test_an_action_that_was_known_is_no_news():
    known = acting(("A", 2, "split", 2.0))
    assert findings(held_against(served(), actions=known, known=known)) == ["same"]


@pytest.mark.parametrize("unit", [100.0, 0.01])
def test_a_bar_in_another_unit_is_refused_and_the_held_one_stays(unit):
    found = held_against(scaled(served(), unit, [4]))
    assert (findings(found), handed_on(found), found.refetch) == (["unit_error"], [HELD], ())
    row = found.refused.row(0, named=True)
    assert (row["rule"], row["date"], row["kind"]) == ("unit_error", DAYS[4], "bar")
    assert row["close"] == CLOSES[4] * unit
    assert {**found.refused.schema, "run": pl.String()} == QUARANTINE.columns


def test_a_released_unit_error_is_handed_on():
    fetched = scaled(served(), 100.0, [4])
    refused = held_against(fetched).refused
    let = refused.select(
        "symbol", "kind", "rule", "value", reason="field", reviewer="field", date="date"
    )
    found = held_against(fetched, reviews=let)
    assert (handed_on(found), found.refused.height) == ([4, HELD], 0)


def test_a_held_bar_is_no_measure_and_its_correction_is_taken():
    # The night before served session 5 in pence; it was held, and now comes in pounds.
    lake = pl.concat(
        [LAKE.head(5), stored(scaled(served(), 100.0).slice(5, 1), "unit_error_level", True)]
    )
    found = held_against(served(), lake)
    assert (findings(found), handed_on(found)) == (["revised"], [5, HELD])


def test_a_bar_of_an_open_session_is_handed_on_again_whatever_it_says():
    lake = LAKE.with_columns(final=pl.int_range(pl.len()) < 5, held=pl.int_range(pl.len()) >= 5)
    found = held_against(served(), lake)
    assert (findings(found), handed_on(found)) == (["same"], [5, HELD])


@pytest.mark.parametrize("ratio", [0.5, 1.25, 0.99])
def test_a_shift_of_the_whole_level_asks_for_the_symbol_in_full(ratio):
    found = held_against(scaled(served(), ratio))
    assert (findings(found), found.refetch) == (["level_shift"], ("A",))
    assert found.findings["ratio"].to_list() == [pytest.approx(ratio)]
    assert handed_on(found) == [HELD]
    assert found.bars["flags"].to_list() == ["level_shift"]
    again = held_against(scaled(served(), ratio), full=["A"])
    assert (again.refetch, handed_on(again)) == ((), [HELD])


def test_one_bar_off_is_a_revision_and_no_shift():
    lake = LAKE.tail(1)
    found = held_against(scaled(served(), 0.5), lake)
    assert findings(found) == ["revised"]


def test_two_bars_off_by_different_ratios_are_revisions_and_no_shift():
    fetched = scaled(scaled(served(), 1.02, [1]), 1.03, [4])
    found = held_against(fetched)
    assert (findings(found), handed_on(found)) == (["revised"], [1, 4, HELD])


def test_most_bars_off_by_several_ratios_are_a_level_that_has_moved_and_rewrite_nothing():
    # As where a source loses two splits at once.
    fetched = scaled(scaled(served(), 0.5, range(3)), 0.25, range(3, HELD))
    found = held_against(fetched)
    assert (findings(found), handed_on(found), found.refetch) == (["level_shift"], [HELD], ("A",))


def test_a_bar_off_by_a_split_that_is_told_no_more_is_refused_and_the_split_stays():
    split = acting(("A", 2, "split", 4.0))
    found = held_against(scaled(served(), 0.25, [0, 1]), known=split)
    assert (findings(found), handed_on(found)) == (["unit_error"], [HELD])
    assert found.agreed == {"A": DAYS[2]}
    assert reconcile_actions(NONE, split, found.agreed, "primary").is_empty()
    back = held_against(served(), known=split)
    assert reconcile_actions(NONE, split, back.agreed, "primary")["value"].to_list() == [1.0]


def test_a_source_that_took_a_new_dividend_out_of_its_prices_has_not_shifted():
    paid = acting(("A", HELD, "dividend", 10.0))
    ratio = 1 - 10.0 / CLOSES[HELD - 1]
    found = held_against(scaled(served(), ratio, range(HELD)), actions=paid)
    assert (findings(found), handed_on(found), found.refetch) == (["restated_dividend"], [HELD], ())


def test_rounding_to_cents_is_no_shift():
    prices = ("open", "high", "low", "close")
    found = held_against(served().with_columns(pl.col(c).round(1) for c in prices))
    assert (findings(found), found.refetch) == (["revised"], ())


@pytest.mark.parametrize("ratio", [2.0, 0.5])
def test_a_split_that_came_before_its_prices_is_no_shift(ratio):
    split = acting(("A", HELD, "split", 2.0))
    found = held_against(scaled(served(), ratio, range(HELD)), actions=split)
    assert (findings(found), handed_on(found), found.refetch) == (["restated_split"], [HELD], ())
    assert found.bars["flags"].to_list() == [None]


def test_a_level_that_lasts_is_held_on_and_one_that_is_back_is_judged_anew():
    shifted = stored(scaled(served(), 0.5), "level_shift", True)
    last = pl.concat([LAKE.head(5), shifted.slice(5, 1)])
    still = held_against(scaled(served(), 0.5), last)
    assert (findings(still), handed_on(still)) == (["level_shift"], [HELD])
    unmeasured = held_against(scaled(served(), 0.5).tail(2), shifted.slice(5, 1))
    assert (findings(unmeasured), unmeasured.bars["flags"].to_list()) == (
        ["level_shift"],
        ["level_shift"],
    )
    # A split between 4 and 5 that the source had not stated: as traded, 5 was right all along.
    right = pl.concat([served().head(5), scaled(served(), 0.5).tail(2)])
    split = acting(("A", 5, "split", 2.0))
    back = held_against(right, last, split)
    assert (findings(back), handed_on(back)) == (["restated_split"], [5, HELD])
    assert back.bars["flags"].to_list() == [None, None]


def test_another_source_that_agrees_fills_dates_that_are_not_held():
    fetched = scaled(served(source="other"), 1.0005, range(HELD))
    found = held_against(fetched)
    assert (findings(found), handed_on(found)) == (["same"], [HELD])
    assert found.bars["source"].to_list() == ["other"]


@pytest.mark.parametrize(
    ("fetched", "lake"),
    [
        (scaled(served(source="other"), 1.002), LAKE),
        (served(source="other"), LAKE.tail(4)),
        (served(source="other").tail(1), LAKE),
    ],
)
def test_another_source_that_is_not_shown_to_agree_is_refused(fetched, lake):
    found = held_against(fetched, lake)
    assert (findings(found), handed_on(found)) == (["source_mismatch"], [])
    assert set(found.refused["rule"]) == {"source_mismatch"}
    assert found.refused.height == fetched.height


def test_the_first_source_comes_back_after_one_night_of_another():
    lake = pl.concat([LAKE.head(5), stored(scaled(served(source="other"), 1.0005).slice(5, 1))])
    found = held_against(served(), lake)
    assert (findings(found), handed_on(found)) == (["revised"], [5, HELD])


def test_symbols_do_not_mix():
    fetched = pl.concat([scaled(served(), 0.5), served(symbol="B"), served(symbol="C")])
    lake = pl.concat([LAKE, LAKE.with_columns(symbol=pl.lit("B"))])
    found = held_against(fetched, lake)
    assert found.findings.select("symbol", "finding").rows() == [
        ("A", "level_shift"),
        ("B", "same"),
    ]
    counts = found.bars.group_by("symbol").len().sort("symbol").rows()
    assert counts == [("A", 1), ("B", 1), ("C", 7)]


def test_nothing_served_finds_nothing():
    found = held_against(served().head(0))
    assert found.bars.is_empty()
    assert found.refused.is_empty()
    assert found.findings.is_empty()


def test_actions_are_appended_where_new_or_changed():
    known = acting(("A", 1, "dividend", 1.0), ("A", 2, "split", 2.0), ("A", 3, "dividend", 0.5))
    told = acting(
        ("A", 1, "dividend", 1.00004),
        ("A", 2, "split", 3.0),
        ("A", 3, "dividend", 0.5),
        ("A", 4, "dividend", 0.7),
    )
    rows = reconcile_actions(told, known, {"A": DAYS[0]}, "primary")
    assert_frame_equal(rows, acting(("A", 2, "split", 3.0), ("A", 4, "dividend", 0.7)))


def test_what_another_source_has_stated_is_neither_changed_nor_withdrawn():
    known = acting(("A", 1, "dividend", 1.0), ("A", 3, "dividend", 0.5))
    far = len(DAYS) - 1
    assert DAYS[far] - DAYS[3] > timedelta(days=5)
    told = acting(("A", 1, "dividend", 1.1), ("A", 2, "capital_gain", 0.1), ("A", 4, "split", 2.0))
    told = pl.concat([told, acting(("A", far, "dividend", 0.7))])
    rows = reconcile_actions(told, known, {"A": DAYS[0]}, "another")
    # Another kind of event is news, and so is one that is days off.
    assert_frame_equal(rows, acting(("A", 4, "split", 2.0), ("A", far, "dividend", 0.7)))


def test_an_action_that_is_served_and_refused_is_not_withdrawn():
    known = acting(("A", 3, "dividend", 0.5))
    stated = acting(("A", 3, "dividend", 5000.0))
    assert reconcile_actions(NONE, known, {"A": DAYS[0]}, "primary", stated).is_empty()


def test_an_action_that_is_no_longer_served_is_withdrawn_within_what_was_served():
    known = acting(
        ("A", 1, "dividend", 1.0),
        ("A", 3, "dividend", 0.5),
        ("A", 4, "split", 2.0),
        ("B", 4, "split", 2.0),
    )
    rows = reconcile_actions(NONE, known, {"A": DAYS[2]}, "primary")
    assert_frame_equal(rows, acting(("A", 3, "dividend", 0.0), ("A", 4, "split", 1.0)))
    withdrawn = pl.concat([known.filter(symbol="B"), rows])
    assert reconcile_actions(NONE, withdrawn, {"A": DAYS[2]}, "primary").is_empty()
    back = acting(("A", 4, "split", 2.0))
    assert_frame_equal(reconcile_actions(back, withdrawn, {"A": DAYS[2]}, "primary"), back)


def test_a_history_of_the_users_own_may_be_restated_as_a_whole():
    # As each dividend does to fully adjusted prices.
    fetched = scaled(served(), 0.98, range(HELD))
    found = reconcile(fetched, LAKE, NONE, NONE, QualitySpec(), {"A"}, own_history=True)
    assert (findings(found), handed_on(found)) == (["revised"], list(range(HELD + 1)))
    assert found.bars["flags"].null_count() == HELD + 1
