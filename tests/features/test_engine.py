import math
import statistics
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError
from tasks.features.contracts import check_features
from tasks.features.engine import build, compute, feature_frame
from tasks.features.indicators.entry import Feature, Indicator
from tasks.features.spec import FeatureSpec, parse
from tasks.lake.target_spec import TargetSpec
from tests.features.panels import FIRST, generated_bars, panel_of

SPEC = FeatureSpec(features=("rsi(14)", "log_return(1)"), lookback=20)
SESSIONS = [FIRST + timedelta(days=day) for day in range(400)]


@pytest.fixture(scope="module")
def panel():
    return panel_of(AAA=generated_bars(300, 31), BBB=generated_bars(280, 32))


def test_the_feature_frame_has_the_agreed_columns(panel):
    frame = feature_frame(panel, SESSIONS, SPEC, TargetSpec(horizon=2))
    assert dict(frame.schema) == {
        "symbol": pl.String,
        "date": pl.Date,
        "rsi(14)": pl.Float32,
        "log_return(1)": pl.Float32,
        "volatility": pl.Float64,
        "momentum": pl.Float64,
        "bars_seen": pl.Int64,
        "target": pl.Float64,
        "label_end": pl.Date,
    }
    assert frame.select("symbol", "date").equals(panel.select("symbol", "date"))


def test_volatility_momentum_and_bars_seen_are_as_defined(panel):
    frame = build(panel, SPEC).filter(pl.col("symbol") == "BBB")
    close = panel.filter(pl.col("symbol") == "BBB").get_column("close").to_list()
    changes = [math.log(close[t] / close[t - 1]) for t in range(241, 261)]
    assert frame["volatility"][260] == pytest.approx(statistics.stdev(changes), rel=1e-12)
    assert frame["momentum"][260] == pytest.approx(math.log(close[239] / close[8]), rel=1e-12)
    assert frame["momentum"].is_null().to_list() == [t < 252 for t in range(280)]
    assert frame["bars_seen"].to_list() == list(range(280))


def test_infinity_and_overflow_leave_as_null(panel):
    def endless(close):
        return np.where(close > close.mean(), np.inf, 1e300)

    feature = Feature("endless", Indicator("trend", endless, ("close",), (), lambda: 0), ())
    assert compute(panel, [feature]).get_column("endless").is_null().all()


def test_null_and_nan_mask_alike(panel):
    row = pl.int_range(pl.len()) == 100
    null = panel.with_columns(close=pl.when(~row).then("close"))
    nan = panel.with_columns(close=pl.when(row).then(float("nan")).otherwise("close"))
    assert_frame_equal(build(null, SPEC), build(nan, SPEC), check_exact=True)


def test_an_empty_panel_gives_an_empty_frame(panel):
    frame = feature_frame(panel.clear(), SESSIONS, SPEC, TargetSpec())
    assert frame.height == 0
    assert frame.schema == feature_frame(panel, SESSIONS, SPEC, TargetSpec()).schema


def test_building_does_not_touch_the_panel(panel):
    before = panel.clone()
    build(panel, SPEC)
    assert panel.equals(before)


def test_an_indicator_that_fails_stops_the_build(panel):
    def failing(close):
        raise ZeroDivisionError

    feature = Feature("failing", Indicator("trend", failing, ("close",), (), lambda: 0), ())
    with pytest.raises(ZeroDivisionError):
        compute(panel, [parse("rsi"), feature])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda p: p.drop("open"), "panel breaks its contract"),
        (lambda p: p.with_columns(extra=1), "panel breaks its contract"),
        (lambda p: p.cast({"volume": pl.Int64}), "panel breaks its contract"),
        (lambda p: p.with_columns(close=-pl.col("close")), "panel breaks its contract"),
        (lambda p: p.with_columns(high=float("inf")), "panel column high is infinite in 580 rows"),
        (lambda p: p.reverse(), "not sorted by symbol and date without repeats, first at BBB"),
        (lambda p: pl.concat([p.head(1), p]), "first at AAA 2020-01-01 \\(1 rows\\)"),
    ],
)
def test_a_panel_that_breaks_its_contract_is_refused(panel, damage, complaint):
    with pytest.raises(DataError, match=complaint):
        build(damage(panel), SPEC)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: f.rename({"rsi(14)": "rsi(15)"}), "feature frame breaks its contract"),
        (lambda f: f.cast({"rsi(14)": pl.Float64}), "feature frame breaks its contract"),
        (lambda f: f.with_columns(momentum=float("nan")), "momentum is not finite in 580 rows"),
        (lambda f: f.with_columns(label_end="date"), "label_end is not after the row's date"),
        (lambda f: f.reverse(), "feature frame is not sorted"),
    ],
)
def test_a_feature_frame_that_breaks_its_contract_is_refused(panel, damage, complaint):
    frame = feature_frame(panel, SESSIONS, SPEC, TargetSpec())
    check_features(frame, SPEC)
    with pytest.raises(DataError, match=complaint):
        check_features(damage(frame), SPEC)
