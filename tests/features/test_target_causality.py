"""A target sees the bars up to its label_end, and of those up to t only what its kind says."""

import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from tasks.lake.target_spec import TargetSpec
from tests.features.target_worlds import BAR, DAYS, FURTHER, NAMES, SPECS, index, market, targets

CUTOFFS = [DAYS[n] for n in (6, 7, 13, 21, 30, 38)]
WORLDS = [(market(seed), index(seed + 50)) for seed in (11, 12)]
each_spec = pytest.mark.parametrize("spec", SPECS, ids=NAMES)
with_further = pytest.mark.parametrize(
    "spec", [*SPECS, *FURTHER], ids=[*NAMES, *(f"{s.name}, also {s.also}" for s in FURTHER)]
)
each_world = pytest.mark.parametrize("world", WORLDS, ids=["11", "12"])


def replaced(bars: pl.DataFrame, where: pl.Expr, names=BAR) -> pl.DataFrame:
    """Other prices, without order or sense, where there is one."""
    nonsense = pl.Series([1e3 + 7.0 * (n % 11) for n in range(bars.height)])
    return bars.with_columns(
        pl.when(where & pl.col(n).is_not_null()).then(nonsense).otherwise(n).alias(n) for n in names
    )


def known_by(found: pl.DataFrame, cutoff) -> pl.DataFrame:
    """The targets with those masked that are not known yet."""
    known = pl.col("label_end") <= cutoff
    return found.with_columns(pl.when(known).then(cs.exclude("symbol", "date")))


@each_world
@with_further
def test_bars_after_the_label_end_change_no_target_by_a_bit(spec, world):
    bars, benchmark = world
    whole = targets(bars, spec, benchmark)
    for cutoff in CUTOFFS:
        later = pl.col("date") > cutoff
        found = targets(replaced(bars, later), spec, replaced(benchmark, later))
        assert_frame_equal(known_by(found, cutoff), known_by(whole, cutoff), check_exact=True)


@each_world
@with_further
def test_at_a_cutoff_there_are_just_the_targets_known_by_then(spec, world):
    bars, benchmark = world
    whole = targets(bars, spec, benchmark)
    for cutoff in CUTOFFS:
        seen, past = pl.col("date") <= cutoff, [day for day in DAYS if day <= cutoff]
        found = targets(bars.filter(seen), spec, benchmark.filter(seen), past)
        assert_frame_equal(found, known_by(whole, cutoff).filter(seen), check_exact=True)


@pytest.mark.parametrize(
    "spec", [s for s in SPECS if s.kind == "open_to_open"], ids=lambda spec: spec.name
)
def test_an_open_to_open_target_is_known_at_the_open_of_its_label_end(spec):
    bars, benchmark = WORLDS[0]
    whole = targets(bars, spec, benchmark)
    for cutoff in CUTOFFS:
        shut = pl.col("date") >= cutoff
        rest = ("high", "low", "close")
        found = targets(replaced(bars, shut, rest), spec, replaced(benchmark, shut, rest))
        assert_frame_equal(known_by(found, cutoff), known_by(whole, cutoff), check_exact=True)


@each_spec
def test_the_bar_at_the_label_end_changes_the_target(spec):
    bars, benchmark = market(13, missing=0.0, masked=0.0), index(60)
    whole = targets(bars, spec, benchmark)
    # A barrier touched earlier is not untouched by a later bar.
    open_ = pl.col("target") == 0 if spec.kind == "triple_barrier" else pl.col("target") <= 0
    rows = whole.filter(open_).rows(named=True)[:20]
    assert len(rows) >= 15
    for row in rows:
        here = (pl.col("symbol") == row["symbol"]) & (pl.col("date") == row["label_end"])
        dearer = bars.with_columns(pl.col(BAR) * pl.when(here).then(3.0).otherwise(1.0))
        found = targets(dearer, spec, benchmark).filter(symbol=row["symbol"], date=row["date"])
        assert found["target"][0] > row["target"]


@each_spec
def test_of_the_past_a_target_sees_the_close_of_t_at_most(spec):
    bars, benchmark = WORLDS[1]
    whole = targets(bars, spec, benchmark)
    for day in DAYS[5:30:4]:
        past, before = pl.col("date") <= day, pl.col("date") < day
        closes = before if spec.kind == "close_to_close" else past
        other, index_ = (
            replaced(replaced(frame, past, ("open", "high", "low")), closes, ("close",))
            for frame in (bars, benchmark)
        )
        found = targets(other, spec, index_)
        assert found.filter(date=day).equals(whole.filter(date=day))
        if spec.kind == "close_to_close" and spec.form == "value":
            at_close = replaced(bars, pl.col("date") == day, ("close",))
            changed = targets(at_close, spec, benchmark).filter(date=day)
            assert not changed.equals(whole.filter(date=day))


def test_whether_a_row_has_a_barrier_label_does_not_hang_on_what_its_price_did():
    bars = WORLDS[0][0]
    spec = TargetSpec(kind="triple_barrier", horizon=5)
    wide = spec.model_copy(update={"barrier_up": 20.0, "barrier_down": 20.0})
    found, untouched = targets(bars, spec), targets(bars, wide)
    assert found["label_end"].equals(untouched["label_end"])
    assert (untouched["target"].drop_nulls() == 0).all()
    assert found["target"].n_unique() == 4
