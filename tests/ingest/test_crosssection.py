from datetime import date, timedelta

import polars as pl
import pytest

from tasks.ingest.crosssection import missing_sessions, stale_sessions
from tasks.ingest.spec import QualitySpec

DAYS = [date(2013, 1, 7) + timedelta(days=i) for i in range(5)]
SYMBOLS = [f"S{i:02d}" for i in range(40)]


def universe(stale: int = 0, day: int = 3, **changes: pl.Expr) -> pl.DataFrame:
    """40 symbols over five sessions; on `day` the first `stale` of them repeat the day before."""
    rows = []
    for number, symbol in enumerate(SYMBOLS):
        for i, session in enumerate(DAYS):
            shown = i - 1 if i == day and number < stale else i
            price = 10.0 + number + shown
            volume = 1000.0 + shown
            rows.append((symbol, session, price, price + 1, price - 1, price, volume))
    tape = ("open", "high", "low", "close", "volume")
    schema = {"symbol": pl.String, "date": pl.Date, **dict.fromkeys(tape, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(**changes)


@pytest.mark.parametrize(("stale", "held"), [(9, 0), (10, 10), (40, 40)])
def test_bars_that_many_symbols_repeat_are_to_be_held(stale, held):
    found = stale_sessions(universe(stale), QualitySpec())
    assert found.rows() == [(s, DAYS[3]) for s in SYMBOLS[:held]]


def test_a_small_share_of_many_symbols_is_no_fault_of_the_source():
    assert stale_sessions(universe(10), QualitySpec(stale_share=0.3)).is_empty()
    assert stale_sessions(universe(12), QualitySpec(stale_share=0.3)).height == 12


def test_a_new_volume_does_not_make_old_prices_new():
    row = pl.int_range(1, pl.len() + 1).cast(pl.Float64)
    assert stale_sessions(universe(10, volume=row), QualitySpec()).height == 10


@pytest.mark.parametrize("volume", [0.0, None])
def test_a_halt_of_many_shares_repeats_nothing(volume):
    # Every bar after the first shows one price and no volume, as halted shares do.
    flat = {c: pl.lit(10.0) for c in ("open", "high", "low", "close")}
    halted = universe(0, **flat, volume=pl.lit(volume, pl.Float64))
    assert stale_sessions(halted, QualitySpec()).is_empty()


def test_the_first_bar_of_a_symbol_repeats_nothing():
    # Next to each other in the frame, the last bar of one symbol and the first of the next agree.
    rows = [(s, d, 1.0 + (s < "S20"), 5.0, 1.0, 2.0, 3.0) for s in SYMBOLS for d in DAYS[:1]]
    bars = pl.DataFrame(rows, schema=universe().schema, orient="row")
    assert stale_sessions(bars, QualitySpec()).is_empty()


def test_the_source_is_blamed_when_most_symbols_lack_a_session():
    bars = universe()
    spec = QualitySpec(blame_source_above=0.5)
    for lacking, blamed in ((20, False), (21, True)):
        lost = pl.col("symbol").is_in(SYMBOLS[:lacking]) & (pl.col("date") == DAYS[2])
        found = missing_sessions(bars.filter(~lost), DAYS, spec)
        assert found.rows()[2] == (DAYS[2], lacking, 40, blamed)
        assert [m for _, m, *_ in found.rows()] == [0, 0, lacking, 0, 0]


def test_a_symbol_is_missed_only_while_it_is_alive():
    bars = universe().filter(
        ~((pl.col("symbol") == "S00") & (pl.col("date") < DAYS[2])),
        ~((pl.col("symbol") == "S01") & (pl.col("date") > DAYS[2])),
    )
    assert missing_sessions(bars, DAYS, QualitySpec())["missing"].to_list() == [0, 0, 0, 1, 1]
    gone = pl.when(pl.col("symbol") == "S01").then(pl.lit(DAYS[2]))
    listed = bars.group_by("symbol").agg(first=pl.col("date").min()).with_columns(last=gone)
    told = missing_sessions(bars, DAYS, QualitySpec(), listed)
    assert told["missing"].to_list() == [0] * 5
    assert told["expected"].to_list() == [0, 39, 39, 39 + 1 - 1, 39]
