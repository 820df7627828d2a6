"""The proof of a run's own features, and of every one that is registered."""

from datetime import date
from functools import cache

import numpy as np
import polars as pl
import pytest

from models.errors import DataError
from tasks.features.causality.proof import require_proof
from tasks.features.frame import Exchange
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Indicator
from tasks.features.names import parse
from tasks.features.prove import Stage, feature_proof
from tasks.features.spec import FeatureSpec
from tasks.features.transforms import TRANSFORMS
from tasks.lake.bits import first_difference
from tasks.lake.calendar import sessions
from tasks.lake.membership import Membership
from tests.features.panels import generated_bars
from tests.lake.frames import actions

# 420 sessions: the longest lookback of 266 bars, and some more.
HELD = sessions("XNYS", date(2019, 1, 2), date(2020, 8, 31))
LISTED = dict.fromkeys(("AAA", "BBB", "CCC", "DDD", "EEE"), "XNYS") | {"LSE": "XLON"}
EXCHANGES = {
    "XNYS": Exchange(HELD, sessions("XNYS", date(2019, 1, 2), date(2021, 3, 31))),
    "XLON": Exchange(*2 * [sessions("XLON", date(2019, 1, 2), date(2021, 3, 31))]),
}
MEMBERS = Membership(
    spells=tuple(
        (name, date(2019, 9, 2) if name == "BBB" else None, None, exchange, "Energy")
        for name, exchange in LISTED.items()
    )
)
ACTIONS = actions(
    [("AAA", HELD[100], "split", 2.0), ("AAA", HELD[200], "dividend", 1.0)]
    + [(name, HELD[300], "dividend", 0.7) for name in LISTED]
)


@cache
def bars() -> pl.DataFrame:
    """As-traded bars; DDD is held once and ends early, EEE was listed late."""
    spans = dict.fromkeys(LISTED, slice(None)) | {"DDD": slice(-50), "EEE": slice(200, None)}
    frames = []
    for seed, (name, span) in enumerate(spans.items()):
        days = HELD[span]
        own = pl.DataFrame({"symbol": name, "date": days, **generated_bars(len(days), seed)})
        frames.append(own.with_columns(held=pl.col("date") == HELD[150]))
    return pl.concat(frames)


def spec(*names: str) -> FeatureSpec:
    return FeatureSpec(features=names, lookback=2520)


def test_no_registered_feature_and_no_transform_sees_the_future():
    related = [f"rsi(14)|{name}" for name in TRANSFORMS]
    wanted = spec(*INDICATORS, *related)
    three = bars().filter(pl.col("symbol").is_in(["AAA", "BBB", "DDD"]))
    proof = feature_proof(three, ACTIONS, EXCHANGES, MEMBERS, wanted, seed=0)
    require_proof(proof)
    assert proof.check("future_cut_off").trials == 200
    assert proof.columns == (*wanted.features, "volatility", "momentum", "reversal")
    assert proof.never_known == ()


def test_a_proof_is_made_on_few_symbols_of_the_largest_exchange_with_long_membership():
    proof = feature_proof(bars(), ACTIONS, EXCHANGES, MEMBERS, spec("rsi(5)"), seed=3, cutoffs=8)
    # LSE is elsewhere, EEE has the fewest bars inside its membership.
    assert proof.symbols == ("AAA", "BBB", "CCC", "DDD")
    assert proof.holds
    assert (proof.seed, proof.never_known) == (3, ())
    again = feature_proof(bars(), ACTIONS, EXCHANGES, MEMBERS, spec("rsi(5)"), seed=3, cutoffs=8)
    assert again.certificate() == proof.certificate()


def test_panels_built_at_once_are_what_they_are_one_by_one():
    names = spec("rsi(14)", "rsi(14)|rank", "log_return(1)|sector|zscore", "atr(14)|standard(20)")
    symbols = ["AAA", "BBB", "CCC", "DDD"]
    stage = Stage(list(map(parse, names.features)), EXCHANGES["XNYS"], MEMBERS.frame(), symbols)
    own = bars().filter(pl.col("symbol").is_in(symbols))
    whole = stage.adjusted(own, ACTIONS)
    panels = [whole, whole.filter(pl.col("date") <= HELD[200]), whole.filter(symbol="CCC"), whole]
    for panel, made in zip(panels, stage.build_each(panels), strict=True):
        assert first_difference(stage.build(panel), made) is None
    assert stage.build(whole)["rsi(14)|rank"].drop_nans().n_unique() > 2


def test_a_leak_in_the_registry_is_caught_in_a_runs_own_features(monkeypatch):
    def tomorrow(close: np.ndarray) -> np.ndarray:
        return np.append(close[1:], np.nan) / close

    entry = Indicator("trend", tomorrow, ("close",), (), lambda: 0)
    monkeypatch.setitem(INDICATORS, "tomorrow", entry)
    wanted = spec("rsi(14)", "tomorrow", "tomorrow|rank", "log_return(5)")
    proof = feature_proof(bars(), ACTIONS, EXCHANGES, MEMBERS, wanted, seed=0, cutoffs=12)
    found = proof.check("future_cut_off").counterexample
    assert found is not None
    assert {found.column, *found.others} == {"tomorrow", "tomorrow|rank"}
    with pytest.raises(DataError, match=r"tomorrow .*changes at [A-D]{3} 20\d\d-.* are cut off"):
        require_proof(proof)


def test_a_column_that_is_one_by_definition_stops_no_run():
    wanted = spec("rsi(14)", "alpha_lag_close(0)", "alpha_lag_volume(0)")
    assert feature_proof(bars(), ACTIONS, EXCHANGES, MEMBERS, wanted, seed=0, cutoffs=2).holds


@pytest.mark.parametrize("spells", [(), (("AAA", date(2030, 1, 2), None, "XNYS", None),)])
def test_without_a_bar_of_a_member_there_is_nothing_to_prove_anything_on(spells):
    with pytest.raises(DataError, match="nothing can be proved"):
        feature_proof(bars(), ACTIONS, EXCHANGES, Membership(spells=spells), spec("rsi(5)"), seed=0)
