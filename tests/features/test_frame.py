"""The feature frame: its columns, exchanges, members and transforms, and what is refused."""

import math
import statistics

import numpy as np
import polars as pl
import pytest

from models.errors import DataError, UsageError
from tasks.features.contracts import check_features
from tasks.features.engine import compute
from tasks.features.frame import build, masked_rows
from tasks.features.names import parse
from tasks.features.spec import FeatureSpec
from tasks.lake.membership import Membership
from tasks.lake.target_spec import TargetSpec
from tests.features.frames import BOTH, DAYS, OTHER, SPEC, TWO, framed, members_of
from tests.features.panels import SESSIONS, generated_bars, panel_of


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    return panel_of(AAA=generated_bars(300, 31), BBB=generated_bars(280, 32))


def test_the_feature_frame_has_the_agreed_columns(panel):
    frame = framed(panel, target=TargetSpec(horizon=2))
    assert dict(frame.schema) == {
        "symbol": pl.String,
        "date": pl.Date,
        "rsi(14)": pl.Float32,
        "log_return(1)": pl.Float32,
        "volatility": pl.Float64,
        "momentum": pl.Float64,
        "reversal": pl.Float64,
        "bars_seen": pl.Int64,
        "target": pl.Float64,
        "label_end": pl.Date,
        "exchange": pl.String,
        "sector": pl.String,
        "member": pl.Boolean,
    }
    assert frame.select("symbol", "date").equals(panel.select("symbol", "date"))
    assert frame["member"].all()
    # A masked feature is NaN; a target that is not known, null.
    assert frame.select("rsi(14)", "log_return(1)").null_count().row(0) == (0, 0)
    assert frame["target"].null_count() == 2 * 3
    check_features(frame.drop("member"), SPEC, TargetSpec(horizon=2))


def test_each_further_horizon_has_a_column_of_its_own_and_the_row_one_label_end(panel):
    frame = framed(panel, target=TargetSpec(horizon=2, also=(5, 1)))
    names = ["bars_seen", "target", "target_5", "target_1", "label_end"]
    assert frame.columns[-8:] == [*names, "exchange", "sector", "member"]
    check_features(frame.drop("member"), SPEC, TargetSpec(horizon=2, also=(5, 1)))
    alone = {h: framed(panel, target=TargetSpec(horizon=h)) for h in (1, 2, 5)}
    known = alone[2]["target"].is_not_null()
    for name, horizon in (("target", 2), ("target_5", 5), ("target_1", 1)):
        expected = alone[horizon].select(pl.when(known).then("target"))
        assert frame[name].equals(expected["target"].alias(name))
    # Bars end before the sessions do: a label that will never come holds no row back.
    due = frame.select(pl.when(known).then(pl.col("date").dt.offset_by("6d")))
    assert frame["label_end"].equals(due["date"].alias("label_end"))
    assert frame["target_5"].null_count() == frame["target"].null_count() + 2 * 3
    tonight = framed(panel, target=TargetSpec(horizon=2, also=(5, 1)), newest=1)
    assert tonight.columns == frame.columns
    assert tonight.select(names[1:]).null_count().row(0) == (2,) * 4


def test_volatility_momentum_reversal_and_bars_seen_are_as_defined(panel):
    frame = framed(panel).filter(symbol="BBB")
    close = panel.filter(symbol="BBB").get_column("close").to_list()
    changes = [math.log(close[t] / close[t - 1]) for t in range(241, 261)]
    assert frame["volatility"][260] == pytest.approx(statistics.stdev(changes), rel=1e-12)
    assert frame["momentum"][260] == pytest.approx(math.log(close[239] / close[8]), rel=1e-12)
    assert frame["momentum"].is_nan().to_list() == [t < 252 for t in range(280)]
    assert frame["reversal"][260] == pytest.approx(math.log(close[260] / close[255]), rel=1e-12)
    assert frame["reversal"].is_nan().to_list() == [t < 5 for t in range(280)]
    assert frame["bars_seen"].to_list() == list(range(280))


def test_features_are_what_the_engine_computes(panel):
    features = [parse(name) for name in SPEC.features]
    expected = compute(panel, features)
    assert framed(panel).select(expected.columns).equals(expected, null_equal=True)
    assert build(panel, SPEC).select(expected.columns).equals(expected)
    assert build(panel, SPEC).columns == [*expected.columns, "volatility", "momentum", "reversal"]


def test_each_exchange_counts_in_its_own_sessions(panel):
    spec = FeatureSpec(features=("log_return(1)", "days_to_holiday(5)"), lookback=20)
    members = members_of(AAA="XAAA", BBB="XBBB")
    frame = framed(panel, spec, TWO, members)
    mine, theirs = frame.filter(symbol="AAA"), frame.filter(symbol="BBB")
    assert mine["date"].to_list() == DAYS[:300]
    # Bars on no session of their exchange are left out, and are no bar before the next.
    assert theirs["date"].to_list() == [day for day in OTHER if day < DAYS[280]]
    bars = {row["date"]: row for row in panel.filter(symbol="BBB").iter_rows(named=True)}
    row = theirs.row(10, named=True)
    before, day, ahead, end = OTHER[9:13]
    assert row["date"] == day
    assert row["log_return(1)"] == pytest.approx(
        math.log(bars[day]["close"] / bars[before]["close"]), rel=1e-5
    )
    assert row["label_end"] == end
    assert row["target"] == pytest.approx(math.log(bars[end]["open"] / bars[ahead]["open"]))
    # The days off fall on weekdays, and these are holidays there alone.
    alone = [framed(panel.filter(symbol=s), spec, TWO, members) for s in ("AAA", "BBB")]
    assert pl.concat(alone).equals(frame, null_equal=True)
    assert mine["days_to_holiday(5)"].sum() == 0.0
    assert theirs["days_to_holiday(5)"].sum() > 0.0


def test_symbols_of_no_universe_and_of_no_exchange_at_hand_have_no_rows(panel):
    assert framed(panel, members=members_of(AAA="XAAA"))["symbol"].unique().to_list() == ["AAA"]
    elsewhere = members_of(AAA="XAAA", BBB="XZZZ", CCC="XAAA")
    assert framed(panel, members=elsewhere)["symbol"].unique().to_list() == ["AAA"]


@pytest.mark.parametrize(
    ("bars", "members"),
    [
        (lambda p: p, members_of(CCC="XAAA")),
        (lambda p: p.clear(), BOTH),
        (lambda p: p.with_columns(pl.col("date").dt.offset_by("-9y")), BOTH),
    ],
)
def test_a_panel_without_a_bar_of_the_universe_is_refused(panel, bars, members):
    with pytest.raises(DataError, match="bars is of a member of the universe on a session of its"):
        framed(bars(panel), members=members)


def worlds_of_members() -> tuple[pl.DataFrame, Membership]:
    """Six symbols on two exchanges; one joins late, one leaves early, one in an unknown sector."""
    symbols = {f"S{i}": generated_bars(250 - 20 * i, 70 + i) for i in range(6)}
    spells = (
        ("S0", None, None, "XAAA", "steel"),
        ("S1", None, None, "XBBB", "steel"),
        ("S2", DAYS[100], None, "XAAA", "steel"),
        ("S3", None, DAYS[90], "XBBB", "shoes"),
        ("S4", None, None, "XAAA", "shoes"),
        ("S5", None, None, "XAAA", None),
    )
    return panel_of(**symbols), Membership(spells=spells)


def test_rows_outside_a_membership_are_there_and_marked():
    panel, members = worlds_of_members()
    frame = framed(panel, exchanges=TWO, members=members)
    late, early = frame.filter(symbol="S2"), frame.filter(symbol="S3")
    assert late["member"].to_list() == [day >= DAYS[100] for day in late["date"]]
    assert early["member"].to_list() == [day <= DAYS[90] for day in early["date"]]
    # Its features know the bars before it joined.
    assert not math.isnan(late.row(20, named=True)["rsi(14)"])


def test_exchange_and_sector_are_those_of_the_spell_on_the_day_whatever_the_bars():
    panel, members = worlds_of_members()
    moved = ("S3", DAYS[95], None, "XBBB", "banks")
    members = Membership(spells=(*members.spells, moved))
    frame = framed(panel, exchanges=TWO, members=members)
    listed = {symbol: exchange for symbol, _, _, exchange, _ in members.spells}
    for row in frame.iter_rows(named=True):
        assert row["exchange"] == listed[row["symbol"]]
        held = [
            sector
            for symbol, first, last, _, sector in members.spells
            if symbol == row["symbol"] and (first or DAYS[0]) <= row["date"] <= (last or DAYS[-1])
        ]
        assert not row["member"] or held == [row["sector"]]
    assert set(frame.filter(symbol="S3")["sector"]) == {"shoes", "banks"}
    spells = ["symbol", "date", "exchange", "sector", "member"]
    past = pl.col("date") <= DAYS[92]
    other = panel.filter(past).with_columns(close=pl.col("close") * 2)
    assert (
        framed(other, exchanges=TWO, members=members)
        .select(spells)
        .equals(frame.filter(past).select(spells))
    )


def test_a_rank_is_taken_among_the_members_of_the_date_on_all_exchanges():
    panel, members = worlds_of_members()
    spec = FeatureSpec(features=("roc(3)", "roc(3)|rank"), lookback=20)
    frame = framed(panel, spec, TWO, members)
    seen = set()
    for _, rows in frame.group_by("date"):
        among = rows.filter("member")["roc(3)"].fill_nan(None).drop_nulls().to_list()
        for row in rows.iter_rows(named=True):
            value, rank = row["roc(3)"], row["roc(3)|rank"]
            if math.isnan(value) or len(among) < 2:
                assert math.isnan(rank)
                continue
            below, equal = sum(x < value for x in among), sum(x == value for x in among)
            expected = (below + equal / 2) / len(among) - 0.5
            assert rank == pytest.approx(expected, abs=1e-7)
            seen.add((len(among), row["member"]))
    assert {count for count, _ in seen} >= {2, 3, 4, 5}
    assert {member for _, member in seen} == {True, False}


def test_transforms_are_done_in_the_order_of_the_name():
    panel, members = worlds_of_members()
    first, then = "roc(3)|sector|standard(5)", "roc(3)|standard(5)|sector"
    spec = FeatureSpec(features=("roc(3)", "roc(3)|sector", first, then), lookback=20)
    whole = framed(panel, spec, TWO, members)
    frame = whole.filter(pl.col("date") > DAYS[120], pl.col("date") < DAYS[150])
    for _, rows in frame.group_by("date"):
        # A sector knows no exchanges.
        steel = rows.filter("member", pl.col("symbol").is_in(["S0", "S1", "S2"]))
        mean = steel["roc(3)"].mean()
        for row in steel.iter_rows(named=True):
            assert row["roc(3)|sector"] == pytest.approx(row["roc(3)"] - mean, abs=1e-4)
    for symbol in ("S0", "S1", "S5"):
        own = frame.filter(symbol=symbol)
        for t in (6, 15):
            seen = own["roc(3)|sector"].to_list()[t - 4 : t + 1]
            expected = (seen[-1] - statistics.mean(seen)) / statistics.pstdev(seen)
            assert own[first][t] == pytest.approx(expected, rel=1e-4)
    assert not np.allclose(frame[then], frame[first], equal_nan=True)


def test_a_transform_that_has_nobody_to_compare_with_masks(panel):
    spec = FeatureSpec(features=("roc(3)|rank", "roc(3)|robust(10)"), lookback=20)
    frame = framed(panel.filter(symbol="AAA"), spec, members=members_of(AAA="XAAA"))
    assert frame["roc(3)|rank"].is_nan().all()
    assert frame["roc(3)|robust(10)"].is_nan().to_list() == [t < 12 for t in range(300)]
    with pytest.raises(
        DataError, match=r"^roc\(3\)\|rank has no value in any of the 280 rows with"
    ):
        masked_rows(frame, spec.features, 20)


def test_in_a_look_without_a_lake_all_are_members_of_no_sector(panel):
    spec = FeatureSpec(features=("roc(3)", "roc(3)|rank", "roc(3)|sector"), lookback=20)
    frame = build(panel, spec)
    for _, rows in frame.filter(pl.col("date") < DAYS[280], pl.col("date") > DAYS[3]).group_by(
        "date"
    ):
        low, high = sorted(rows.rows(named=True), key=lambda row: row["roc(3)"])
        assert (low["roc(3)|rank"], high["roc(3)|rank"]) == (-0.25, 0.25)
        gap = high["roc(3)"] - low["roc(3)"]
        assert high["roc(3)|sector"] == pytest.approx(gap / 2, abs=1e-5)


def test_masked_rows_count_what_is_masked_although_there_is_history(panel):
    here = pl.int_range(pl.len())
    holed = panel.with_columns(close=pl.when(~here.is_in([5, 100, 400])).then("close"))
    spec = FeatureSpec(features=("rsi(14)", "log_return(1)", "volume_ratio(20)"), lookback=20)
    frame = framed(holed, spec)
    # After the rows of the masked bars themselves, 14 more of the first and one of the second.
    assert masked_rows(frame, spec.features, 20) == {
        "rsi(14)": 2 * 15,
        "log_return(1)": 2 * 2,
        "volume_ratio(20)": 0,
    }


def test_building_does_not_touch_the_panel(panel):
    before = panel.clone()
    framed(panel)
    build(panel, SPEC)
    assert panel.equals(before)


def test_a_calendar_feature_without_sessions_is_refused(panel):
    spec = FeatureSpec(features=("month_end",))
    with pytest.raises(UsageError, match="none were given"):
        build(panel, spec)
    assert not build(panel, spec, SESSIONS)["month_end(5)"].is_nan().any()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: f.rename({"rsi(14)": "rsi(15)"}), "feature frame breaks its contract"),
        (lambda f: f.cast({"rsi(14)": pl.Float64}), "feature frame breaks its contract"),
        (
            lambda f: f.with_columns(momentum=float("inf")),
            "column momentum is infinite in 580 rows; mask them",
        ),
        (lambda f: f.with_columns(label_end="date"), "label_end is not after the row's date"),
        (lambda f: f.reverse(), "feature frame is not sorted"),
    ],
)
def test_a_feature_frame_that_breaks_its_contract_is_refused(panel, damage, complaint):
    frame = framed(panel).drop("member")
    check_features(frame, SPEC, TargetSpec())
    with pytest.raises(DataError, match=complaint):
        check_features(damage(frame), SPEC, TargetSpec())
