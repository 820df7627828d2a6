"""What the engine makes of a panel, of indicators of one's own, and of panels that are wrong."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError, UsageError
from tasks.features.engine import compute, fill
from tasks.features.indicators.entry import Feature, Indicator
from tasks.features.kernels.elementwise import lagged
from tasks.features.kernels.recursive import wilder_mean
from tasks.features.kernels.windows import rolling_max
from tasks.features.names import parse
from tests.features.panels import BAR, generated_bars, panel_of

FEATURES = [parse("rsi(14)"), parse("log_return(1)"), parse("chaikin_oscillator(3,10)")]


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    return panel_of(AAA=generated_bars(300, 31), BBB=generated_bars(280, 32))


def own(function, *columns, lookback=0, periods=(), **more) -> Feature:
    """A feature that nobody has registered."""
    entry = Indicator("trend", function, columns, periods, lambda *_: lookback, **more)
    return Feature(function.__name__, entry, periods)


def masked_at(panel: pl.DataFrame, row: int, value: float | None) -> pl.DataFrame:
    elsewhere = pl.int_range(pl.len()) != row
    return panel.with_columns(
        pl.when(elsewhere).then(name).otherwise(value).alias(name) for name in BAR
    )


def test_features_stand_beside_their_keys_as_float32_and_nan_where_masked(panel):
    frame = compute(panel, FEATURES)
    assert frame.select("symbol", "date").equals(panel.select("symbol", "date"))
    assert frame.columns[2:] == ["rsi(14)", "log_return(1)", "chaikin_oscillator(3,10)"]
    assert set(frame.dtypes[2:]) == {pl.Float32}
    assert sum(frame.null_count().row(0)) == 0
    # Of the third the unit, an average over 20 bars, comes last.
    assert frame.select(pl.col(pl.Float32).is_nan().sum()).row(0) == (2 * 14, 2 * 1, 2 * 19)


def test_the_same_columns_can_be_had_in_float64(panel):
    out = np.empty((3, panel.height))
    fill(panel, FEATURES, out)
    narrow = compute(panel, FEATURES).drop("symbol", "date").to_numpy()
    np.testing.assert_array_equal(out.T.astype(np.float32), narrow)


def test_each_unit_is_divided_by_what_it_is_measured_in(panel):
    def opened(open):
        return open

    def spread(high, low):
        return high - low

    def shares(volume):
        return 1.0 * volume

    def money(close, volume):
        return close * volume

    def part_of_money(close, volume):
        return 1.0 / (close * volume)

    def square(close, volume):
        return close * close / volume

    features = [
        own(opened, "open", unit="price", joined=True),
        own(spread, "high", "low", unit="price_difference", joined=True),
        own(shares, "volume", unit="volume", joined=True),
        own(money, "close", "volume", unit="money"),
        own(part_of_money, "close", "volume", unit="per_money"),
        own(square, "close", "volume", unit="price_square_per_volume"),
    ]
    made = compute(panel, features).row(299, named=True)
    bars = panel.row(299, named=True)
    last = panel[280:300]
    usual_shares = last["volume"].mean()
    usual_money = (last["close"] * last["volume"]).mean()
    traded = bars["close"] * bars["volume"]
    assert made["opened"] == pytest.approx(bars["open"] / bars["close"] - 1, rel=1e-6)
    assert made["spread"] == pytest.approx((bars["high"] - bars["low"]) / bars["close"], rel=1e-6)
    assert made["shares"] == pytest.approx(bars["volume"] / usual_shares, rel=1e-6)
    assert made["money"] == pytest.approx(traded / usual_money, rel=1e-6)
    assert made["part_of_money"] == pytest.approx(usual_money / traded, rel=1e-6)
    assert made["square"] == pytest.approx(usual_shares / bars["volume"], rel=1e-6)


@pytest.mark.parametrize("joined", [False, True])
def test_infinity_and_what_float32_cannot_hold_are_masked(panel, joined):
    def endless(close, volume):
        return close / np.where(volume > 1e6, 0.0, 1e-300)

    feature = own(endless, "close", "volume", joined=joined)
    assert compute(panel, [feature])["endless"].is_nan().all()
    out = np.empty((1, panel.height))
    fill(panel, [feature], out)
    assert np.isnan(out).all()


def test_null_and_nan_mask_alike(panel):
    expected = compute(masked_at(panel, 100, float("nan")), FEATURES)
    assert_frame_equal(compute(masked_at(panel, 100, None), FEATURES), expected, check_exact=True)
    assert expected["rsi(14)"][100:120].is_nan().sum() == 15


def test_an_empty_panel_gives_an_empty_frame_and_no_features_the_keys(panel):
    empty = compute(panel.clear(), FEATURES)
    assert empty.height == 0
    assert empty.schema == compute(panel, FEATURES).schema
    assert compute(panel, []).equals(panel.select("symbol", "date"))


def test_an_indicator_that_writes_into_its_columns_changes_no_other_and_not_the_panel(panel):
    def writer(close):
        close[:] = 1.0
        return close

    def reader(close):
        return close

    for bars in (panel, panel.rechunk()):
        before = bars.clone()
        frame = compute(bars, [own(writer, "close"), own(reader, "close"), *FEATURES])
        assert bars.equals(before)
        assert frame["reader"].to_list() == bars["close"].cast(pl.Float32).to_list()


def test_an_indicator_in_plain_numpy_needs_nothing_from_the_engine(panel):
    def second_difference(close, period):
        out = np.full(close.size, np.nan)
        for t in range(2 * period, close.size):
            out[t] = close[t] - 2 * close[t - period] + close[t - 2 * period]
        return out

    feature = own(second_difference, "close", lookback=6, periods=(3,), unit="price_difference")
    holed = masked_at(panel, 310, None)
    values = compute(holed, [feature])["second_difference"].to_list()
    close = [np.nan if price is None else price for price in holed["close"].to_list()]
    for begin, end in ((0, 300), (300, 580)):
        for t in range(begin, end):
            expected = np.nan
            if t - begin >= 6:
                expected = (close[t] - 2 * close[t - 3] + close[t - 6]) / close[t]
            assert values[t] == pytest.approx(expected, rel=1e-5, abs=1e-7, nan_ok=True)
    assert np.flatnonzero(np.isnan(values[306:])).tolist() == [4, 7, 10]


def test_an_indicator_as_a_polars_expression_needs_nothing_from_the_engine(panel):
    def nearness(high, close, period):
        """A masked bar is null here, so that polars passes over it."""
        return close / high.rolling_max(period, min_samples=1)

    feature = own(nearness, "high", "close", periods=(4,), lookback=3, expression=True)
    values = compute(masked_at(panel, 310, None), [feature])["nearness"].to_list()
    close, high = panel["close"].to_list(), panel["high"].to_list()
    for begin, end in ((0, 300), (300, 580)):
        for t in range(begin, end):
            seen = [high[s] for s in range(max(begin, t - 3), t + 1) if s != 310]
            expected = close[t] / max(seen) if t - begin >= 3 and t != 310 else np.nan
            assert values[t] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_an_expression_may_give_truth_whole_numbers_and_nulls(panel):
    def risen(close):
        return pl.when(close > close.shift(1)).then(close > 0.0)

    values = compute(panel, [own(risen, "close", expression=True)])["risen"]
    close = panel["close"].to_list()
    expected = [t not in (0, 300) and close[t] > close[t - 1] for t in range(580)]
    assert values.to_list() == pytest.approx([1.0 if e else np.nan for e in expected], nan_ok=True)


def test_an_indicator_of_kernels_runs_over_many_symbols_and_begins_anew_at_each(panel):
    def breakout(close, high, period):
        return close / lagged(rolling_max(high, period), 1) - 1.0

    made = [
        compute(panel, [own(breakout, "close", "high", periods=(5,), lookback=5, joined=joined)])
        for joined in (True, False)
    ]
    assert_frame_equal(*made, check_exact=True)
    high, close = panel["high"].to_list(), panel["close"].to_list()
    assert made[0]["breakout"][320] == pytest.approx(close[320] / max(high[315:320]) - 1, rel=1e-5)
    assert made[0]["breakout"].is_nan().sum() == 10


def test_an_indicator_may_stand_on_derived_columns_and_on_the_kernels(panel):
    def calm(ranges, typical, n):
        return np.array(wilder_mean(ranges, n)) / typical

    def quiet(ranges, typical, n):
        return wilder_mean(ranges, n) / typical

    columns = "true_range", "typical"
    features = [
        own(calm, *columns, periods=(14,), lookback=14),
        own(quiet, *columns, periods=(14,), lookback=14, joined=True),
        parse("atr(14)"),
    ]
    frame = compute(panel, features)
    assert frame["calm"].equals(frame["quiet"])
    bars = panel.row(299, named=True)
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    expected = frame["atr(14)"][299] * bars["close"] / typical
    assert frame["quiet"][299] == pytest.approx(expected, rel=1e-6)


def test_what_the_compiled_machine_does_not_know_is_refused_with_advice(panel):
    def total(close):
        return np.cumsum(close)

    with pytest.raises(UsageError, match=r"np\.cumsum, .* does not know.* or set joined=False"):
        compute(panel, [own(total, "close", joined=True)])
    compute(panel, [own(total, "close")])


@pytest.mark.parametrize(
    "function",
    [
        lambda close: close[:1],
        lambda close: close[1:],
        lambda close: close.mean(),
        lambda close: np.stack([close, close]),
    ],
)
def test_a_function_that_gives_no_value_for_some_bar_is_refused(panel, function):
    with pytest.raises(UsageError, match=r"<lambda> gives values of shape \(.*\) for \d+ bars"):
        compute(panel, [own(function, "close")])


def test_an_expression_that_gives_one_value_for_all_bars_is_refused(panel):
    with pytest.raises(UsageError, match=r"shape \(1,\) for 300 bars"):
        compute(panel, [own(lambda close: close.mean(), "close", expression=True)])


@pytest.mark.parametrize("more", [{}, {"joined": True}, {"expression": True}])
def test_an_indicator_that_fails_stops_the_build(panel, more):
    def failing(close):
        raise ZeroDivisionError("by whom")

    with pytest.raises(ZeroDivisionError, match="by whom"):
        compute(panel, [parse("rsi"), own(failing, "close", **more)])


def test_an_indicator_that_fails_for_one_symbol_of_many_stops_the_build(panel):
    def failing(close):
        if close.size < 300:
            raise ZeroDivisionError
        return close

    with pytest.raises(ZeroDivisionError):
        compute(panel, [own(failing, "close")])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda p: p.drop("open"), "panel breaks its contract"),
        (lambda p: p.with_columns(extra=1), "panel breaks its contract"),
        (lambda p: p.select("date", "symbol", *BAR), "panel breaks its contract"),
        (lambda p: p.cast({"volume": pl.Int64}), "panel breaks its contract"),
        (lambda p: p.cast({"close": pl.Float32}), "panel breaks its contract"),
        (lambda p: p.with_columns(close=-pl.col("close")), "a price must be positive; mend"),
        (lambda p: p.with_columns(low=0.0), "low is 0.0, and a price must be positive"),
        (lambda p: p.with_columns(volume=-1.0), "volume is -1.0, and no volume is negative"),
        (lambda p: p.with_columns(high=float("inf")), "panel column high is infinite in 580 rows"),
        (lambda p: p.reverse(), "not sorted by symbol and date without repeats, first at BBB"),
        (lambda p: pl.concat([p.head(1), p]), r"first at AAA 2020-01-01 \(1 rows\)"),
        (lambda p: pl.concat([p, p.head(300)]), r"first at AAA 2020-01-01 \(1 rows\)"),
    ],
)
def test_a_panel_that_breaks_its_contract_is_refused(panel, damage, complaint):
    with pytest.raises(DataError, match=complaint):
        compute(damage(panel), FEATURES)


def test_volume_may_be_zero_and_anything_may_be_masked(panel):
    compute(panel.with_columns(volume=0.0), FEATURES)
    nothing = panel.with_columns(pl.lit(None, pl.Float64).alias(name) for name in BAR)
    assert (
        compute(nothing, FEATURES).select(pl.col(pl.Float32).is_nan().all()).row(0) == (True,) * 3
    )
