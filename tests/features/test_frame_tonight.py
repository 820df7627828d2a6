"""Tonight's frame: the newest rows, of the bars that they hang on, as in the whole history."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from tasks.features.frame import TOLERANCE, Exchange
from tasks.features.indicators import INDICATORS
from tasks.features.spec import FeatureSpec
from tasks.lake.membership import Membership
from tests.features.frames import framed
from tests.features.panels import FIRST, SESSIONS, generated_bars, panel_of


@pytest.fixture(scope="module")
def long_world() -> tuple[pl.DataFrame, dict[str, Exchange], Membership]:
    symbols = {f"S{i:02}": generated_bars(5000 - 3 * (i % 2), 80 + i) for i in range(12)}
    members = Membership(
        spells=tuple(
            (symbol, None, None, "XAAA" if i < 7 else "XBBB", ("steel", "shoes", None)[i % 3])
            for i, symbol in enumerate(symbols)
        )
    )
    days = SESSIONS[60 : 60 + 5000]
    return panel_of(**symbols), dict.fromkeys(("XAAA", "XBBB"), Exchange(days, SESSIONS)), members


MOVED = ("rsi|rank", "kama|zscore", "supertrend|sector|winsor(5)", "adx|robust", "cmo|standard")


@pytest.mark.parametrize("cut", [5000, 1500, 300, 30])
@pytest.mark.parametrize(
    "names",
    [(*INDICATORS, *MOVED), ("sma(5)",), ("high_distance(400)",), ("ema(3)|robust(300)",)],
    ids=["all", "least", "one_window", "window_of_averages"],
)
def test_tonights_rows_agree_with_those_of_the_whole_history(long_world, names, cut):
    panel, exchanges, members = long_world
    panel = panel.filter(pl.col("date") < FIRST + timedelta(days=cut))
    exchanges = {
        name: Exchange(exchange.sessions[:cut], exchange.scheduled)
        for name, exchange in exchanges.items()
    }
    spec = FeatureSpec(features=names, lookback=2520)
    whole = framed(panel, spec, exchanges, members)
    tonight = framed(panel, spec, exchanges, members, newest=20)
    last = whole.filter(pl.int_range(pl.len()).reverse().over("symbol") < 20)
    assert tonight["target"].is_null().all(), "tonight's rows need no target"
    exact = ("symbol", "date", "bars_seen", "exchange", "sector", "member")
    assert tonight.select(exact).equals(last.select(exact), null_equal=True)
    for name in (*spec.features, "volatility", "momentum", "reversal"):
        ours, theirs = tonight[name].to_numpy(), last[name].to_numpy()
        assert np.array_equal(np.isnan(ours), np.isnan(theirs)), name
        off = np.abs(ours - theirs) > TOLERANCE * np.maximum(1.0, np.abs(theirs))
        assert not off.any(), (name, tonight.filter(off).select("symbol", "date", name))


def test_tonights_rows_need_few_bars(long_world):
    """What comes before the bars that its features hang on is not looked at."""
    whole, exchanges, members = long_world
    spec = FeatureSpec(features=("rsi(14)", "sma(20)|robust(30)"), lookback=126)
    old = pl.col("date") < FIRST + timedelta(days=4000)
    poisoned = whole.with_columns(close=pl.when(~old).then("close"))
    made = [framed(bars, spec, exchanges, members, newest=3) for bars in (whole, poisoned)]
    assert made[0].equals(made[1], null_equal=True)
    assert made[0].height == 3 * 12


@pytest.mark.parametrize("missed", [(90, 10), (330, 230)], ids=["lately", "a year ago"])
def test_a_symbol_that_missed_sessions_has_tonights_rows_as_in_the_whole_history(
    long_world, missed
):
    panel, exchanges, members = long_world
    last = FIRST + timedelta(days=4999)
    gap = pl.col("date").is_between(*(last - timedelta(days=days) for days in missed))
    panel = panel.filter(~((pl.col("symbol") == "S02") & gap))
    names = ("rsi(14)|rank", "log_return(1)|rank|standard(400)", "high_distance(252)", "ema(50)")
    spec = FeatureSpec(features=names, lookback=500)
    whole = framed(panel, spec, exchanges, members)
    tonight = framed(panel, spec, exchanges, members, newest=20)
    last_rows = whole.filter(pl.int_range(pl.len()).reverse().over("symbol") < 20)
    assert tonight["date"].equals(last_rows["date"])
    for name in names:
        ours, theirs = tonight[name].to_numpy(), last_rows[name].to_numpy()
        assert np.isfinite(theirs).all()
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, err_msg=name)
