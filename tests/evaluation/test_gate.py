"""The gate on made-up evaluations: targets are noise, forecasts are a share of them and noise."""

import math
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student_t

from tasks.evaluation.gate import Contender, judge
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.paired import Paired, common_rows, compare
from tasks.evaluation.spec import EvaluationSpec
from tasks.lake.decision import not_certified
from tasks.lake.target_spec import TargetSpec
from tests.evaluation.worlds import null_world
from tests.lake.frames import weekdays

DAYS = weekdays(400)
NAMES = 8
EVALUATION = EvaluationSpec(bootstrap_samples=200)
TARGET = np.random.default_rng(7).normal(0, 0.02, (len(DAYS), NAMES))
NOTHING = pl.DataFrame(
    schema={
        "symbol": pl.String,
        "date": pl.Date,
        **dict.fromkeys(("score", "mean", "target"), pl.Float64),
    }
)


def grid(values, first=0, target=None):
    """Forecasts [D, S] as rows from the day number `first` on."""
    dates, names = values.shape
    truth = TARGET[first : first + dates] if target is None else target
    return pl.DataFrame(
        {
            "symbol": [f"S{n:02d}" for n in range(names)] * dates,
            "date": [day for day in DAYS[first : first + dates] for _ in range(names)],
            "score": values.ravel(),
            "mean": values.ravel(),
            "target": truth.ravel(),
        }
    )


def forecasts(skill=0.0, seed=0, noise=0.004, first=0, last=200):
    drawn = np.random.default_rng(seed).normal(0, noise, TARGET.shape)
    return (skill * TARGET + drawn)[first:last]


def in_fold(tested, first=DAYS[0], last=DAYS[-1]):
    """Rows that were all tested in one fold."""
    return tested.with_columns(fold_first=pl.lit(first), fold_last=pl.lit(last))


def contender(model="new", spec="a", tested=None, cutoff=DAYS[220], **changes):
    tested = grid(forecasts()) if tested is None else tested
    values = {
        "model": model,
        "spec": spec,
        "target": TargetSpec(horizon=1),
        "has_mean": True,
        "cutoff": cutoff,
        "verdict": "no edge",
        "distrust": None,
        "trials": 1,
        "tested": tested if "fold_first" in tested.columns else in_fold(tested),
        "live": NOTHING,
    }
    return Contender(**(values | changes))


CHAMPION = contender("old", cutoff=DAYS[210])


def asked(candidate, champion=CHAMPION, lost=None, **spec):
    return judge(candidate, champion, lost, GateSpec(**spec), EVALUATION)


def test_without_a_champion_the_model_becomes_it_labelled_by_its_verdict():
    found = asked(contender(verdict="worse than zero"), champion=None)
    assert (found.promoted, found.kind) == (True, "first")
    assert found.reason == "there was no champion; its own verdict is worse than zero."


def test_an_equal_refresh_follows():
    found = asked(contender())
    assert (found.promoted, found.kind) == (True, "refresh")
    assert found.figures["gain"] == 0.0
    assert found.figures["dates"] == 200
    assert found.figures["p_worse"] == 1.0


def test_a_refresh_that_differs_by_chance_follows_and_its_figures_are_named():
    found = asked(contender(tested=grid(forecasts(seed=1))))
    assert found.promoted
    assert f"on 200 common dates ({DAYS[0]} to {DAYS[199]})" in found.reason
    assert f"{abs(found.figures['gain']):.3%}" in found.reason
    assert "not shown to be worse by more than the margin of 0.10% (p = " in found.reason


def test_a_refresh_that_is_worse_is_rejected_by_so_much():
    own, theirs = forecasts(seed=1, noise=0.012), forecasts()
    found = asked(contender(tested=grid(own)))
    assert (found.promoted, found.kind) == (False, "refresh")
    assert "it is shown to be worse by more than the margin of 0.10% (p < 0.001)" in found.reason
    above = sum((own[d, s] - TARGET[d, s]) ** 2 for d in range(200) for s in range(NAMES))
    below = sum((theirs[d, s] - TARGET[d, s]) ** 2 for d in range(200) for s in range(NAMES))
    assert found.figures["gain"] == pytest.approx(1 - above / below, rel=1e-12)
    assert found.figures["low"] < found.figures["gain"] < found.figures["high"] < -0.001


def test_the_margin_decides_how_much_worse_a_refresh_may_be():
    worse = contender(tested=grid(forecasts(seed=1, noise=0.012)))
    deficit = -asked(worse).figures["gain"]
    assert asked(worse, margin_loss=2 * deficit).promoted
    assert not asked(worse, margin_loss=deficit / 4).promoted


def test_a_better_challenger_takes_the_place():
    found = asked(contender(spec="b", tested=grid(forecasts(skill=0.3))))
    assert (found.promoted, found.kind) == (True, "challenger")
    assert "its mean squared error is" in found.reason
    assert "lower than the champion's" in found.reason
    assert "it is shown to be better" in found.reason


def test_an_equal_challenger_is_rejected_where_an_equal_refresh_follows():
    tested = grid(forecasts(seed=1))
    found = asked(contender(spec="b", tested=tested))
    assert (found.promoted, found.kind) == (False, "challenger")
    assert "it is not shown to be better" in found.reason
    assert asked(contender(spec="a", tested=tested)).promoted


def test_a_lucky_challenger_is_better_alone_and_not_after_deflation():
    # As little skill as is found by itself.
    lucky = (
        contender(spec="b", tested=grid(forecasts(skill, seed=1)))
        for skill in np.arange(0.0, 0.2, 0.002)
    )
    candidate = next(c for c in lucky if asked(c).promoted)
    alone, among = asked(candidate), asked(replace(candidate, trials=50))
    p = alone.figures["p_better"]
    assert 0.01 < p < 0.05
    assert alone.promoted
    assert alone.figures["p_deflated"] == pytest.approx(p)
    assert not among.promoted
    assert among.figures["p_better"] == p
    assert among.figures["p_deflated"] == pytest.approx(1 - (1 - p) ** 50)
    assert "after deflation by 50 counted trials p = " in among.reason


def test_procedures_without_common_dates_follow_as_a_refresh_and_not_as_a_challenger():
    later = grid(forecasts(first=200, last=400), first=200)
    refresh, challenger = (
        asked(contender(spec=spec, tested=later, cutoff=DAYS[-1])) for spec in ("a", "b")
    )
    assert (refresh.promoted, challenger.promoted) == (True, False)
    assert "only 0 common out-of-sample dates, of 60 that it takes" in refresh.reason
    assert "only 0 common out-of-sample dates in identical folds, of 60" in challenger.reason
    assert "by rule" in refresh.reason
    assert "would have to be shown to be better" in challenger.reason
    assert f"--as-of {DAYS[210]}" in challenger.reason


def test_a_challenger_is_compared_in_identical_folds_alone_and_a_refresh_in_moved_ones_too():
    better = grid(forecasts(skill=0.3))
    half = pl.col("date") < DAYS[100]
    # The second half was tested with weights that had seen five sessions more.
    moved = in_fold(better, first=DAYS[0], last=DAYS[99]).with_columns(
        fold_first=pl.when(half).then("fold_first").otherwise(pl.lit(DAYS[105])),
        fold_last=pl.when(half).then("fold_last").otherwise(pl.lit(DAYS[199])),
    )
    champion = replace(
        CHAMPION,
        tested=moved.with_columns(
            fold_first=pl.when(half).then("fold_first").otherwise(pl.lit(DAYS[100])),
        ),
    )
    challenger, refresh = (asked(contender(spec=s, tested=moved), champion) for s in ("b", "a"))
    assert (challenger.figures["dates"], refresh.figures["dates"]) == (100, 200)


def test_the_same_specification_on_another_universe_is_a_challenger():
    def on(*names):
        return contender(tested=grid(forecasts()).filter(pl.col("symbol").is_in(names)))

    symbols = [f"S{n:02d}" for n in range(NAMES)]
    assert asked(on(*symbols[:4])).kind == "refresh"
    few = asked(on(*symbols[:3]))
    assert (few.promoted, few.kind, few.figures["symbols"]) == (False, "challenger", 3)
    renamed = grid(forecasts()).with_columns(symbol="X" + pl.col("symbol"))
    other = asked(contender(tested=renamed, verdict="edge"))
    assert (other.promoted, other.kind) == (False, "challenger")
    assert "only 0 common out-of-sample dates" in other.reason


def test_a_long_horizon_needs_more_dates_than_the_setting():
    long = {"target": TargetSpec(horizon=40), "tested": grid(forecasts(last=80))}
    found = asked(contender(**long), replace(CHAMPION, target=TargetSpec(horizon=40)))
    assert "only 80 common out-of-sample dates, of 81" in found.reason


@pytest.mark.parametrize("champion", [None, CHAMPION])
@pytest.mark.parametrize(
    ("changes", "lost", "said"),
    [
        ({"distrust": "its certificate is not clean."}, None, "its certificate is not clean."),
        ({}, "9 of 300 bars", "the quality of its data did not hold: 9 of 300 bars"),
    ],
)
def test_what_cannot_be_trusted_is_rejected_however_good_it_is(champion, changes, lost, said):
    found = asked(contender(tested=grid(forecasts(skill=0.5)), **changes), champion, lost)
    assert not found.promoted
    assert found.reason == said


def test_a_certificate_has_to_be_there_and_clean():
    assert not_certified({"id": "m", "certificate": {"holds": True}}) is None
    leaking = {"holds": False, "sentence": "fit inputs: the scaler changes."}
    assert "not clean: fit inputs: the scaler" in not_certified({"id": "m", "certificate": leaking})
    sentence = "9 checks, …; could not be tried: orders."
    untried = {"sentence": sentence, "checks": [{"name": "orders", "trials": 0, "leak": None}]}
    # Certificates from before that counted said that they hold.
    for holds in (False, True):
        said = not_certified({"id": "m", "certificate": untried | {"holds": holds}})
        assert f"not clean: {sentence} Loosen what keeps that from being tried" in said
    assert "m carries no causality certificate" in not_certified({"id": "m"})


def test_an_earlier_training_succeeds_nobody_and_is_compared_with_none():
    earlier = contender(cutoff=DAYS[209], tested=grid(forecasts(noise=0.1)))
    found = asked(earlier)
    assert (found.promoted, found.kind) == (True, "past")
    assert str(DAYS[209]) in found.reason
    assert found.figures == {}


def test_forecasts_of_another_target_are_not_compared():
    found = asked(contender(spec="b", target=TargetSpec(horizon=5)))
    assert not found.promoted
    assert "it forecasts open_to_open(5) and old open_to_open(1)" in found.reason


def test_only_symbols_and_dates_that_both_know_count():
    own = grid(forecasts(seed=1))
    theirs = grid(forecasts()).filter(pl.col("symbol") != "S03", pl.col("date") >= DAYS[20])
    blank = pl.when(pl.col("date") == DAYS[30]).then(math.nan).otherwise("target")
    rows = common_rows(own, theirs.with_columns(target=blank))
    assert rows.height == (NAMES - 1) * 179
    assert DAYS[30] not in rows["date"].to_list()
    assert "S03" not in rows["symbol"].to_list()
    unknown = pl.when(pl.col("date") > DAYS[100]).then(None).otherwise("target")
    assert common_rows(own.with_columns(target=unknown), theirs)["date"].max() == DAYS[100]


def live(skill, first, last, seed=3):
    return grid(forecasts(skill, seed, first=first, last=last), first)


def test_live_nights_count_only_after_both_training_ends():
    # Until day 220 the candidate's weights have seen the truths, and forecast them well.
    knowing = contender(spec="b", live=live(0.9, 201, 221))
    champion = replace(CHAMPION, live=live(0.0, 201, 300))
    found = asked(knowing, champion)
    assert found.figures["live_nights"] == 0
    assert found.figures["gain"] == asked(replace(knowing, live=NOTHING)).figures["gain"]
    after = replace(knowing, live=live(0.9, 201, 300))
    assert asked(after, champion).figures["live_nights"] == 300 - 221


def test_live_nights_join_the_comparison_once_there_are_enough():
    champion = replace(CHAMPION, live=live(0.0, 221, 260))
    few = asked(contender(spec="b", live=live(0.5, 221, 240)), champion)
    assert (few.promoted, few.figures["live_nights"], few.figures["dates"]) == (False, 0, 200)
    assert "; 19 common live nights are too few to count" in few.reason
    enough = asked(contender(spec="b", live=live(0.5, 221, 260)), champion)
    assert (enough.figures["live_nights"], enough.figures["dates"]) == (39, 239)
    assert "39 of them live nights" in enough.reason
    assert enough.figures["gain"] > few.figures["gain"] == 0.0


def test_heads_without_a_mean_are_compared_by_their_ic():
    blank = pl.lit(None, pl.Float64)
    good = grid(forecasts(skill=0.3)).with_columns(mean=blank)
    found = asked(contender(spec="b", tested=good, has_mean=False))
    assert found.promoted
    assert found.figures["measure"] == "ts_ic"
    assert "its time-series IC is 0." in found.reason
    assert "higher than the champion's" in found.reason


def test_the_ic_may_be_chosen_and_has_its_own_margin():
    worse, better = contender(tested=grid(forecasts(seed=1))), grid(forecasts(skill=0.3))
    champion = replace(CHAMPION, tested=in_fold(better))
    found = asked(worse, champion, measure="ic")
    assert (found.promoted, found.figures["measure"]) == (False, "ts_ic")
    assert found.figures["margin"] == GateSpec().margin_ic
    assert asked(worse, champion, measure="ic", margin_ic=1.0).promoted


def test_forecasts_that_do_not_vary_have_no_ic_to_compare():
    flat = grid(np.zeros((200, NAMES)))
    refresh, challenger = (
        asked(contender(spec=spec, tested=flat), measure="ic") for spec in ("a", "b")
    )
    assert (refresh.promoted, challenger.promoted) == (True, False)
    assert "do not vary" in refresh.reason


def test_the_ic_across_symbols_is_the_mean_of_the_dates():
    rng = np.random.default_rng(5)
    target = rng.normal(size=(150, 25))
    own, theirs = 0.5 * target + rng.normal(size=target.shape), rng.normal(size=target.shape)
    rows = common_rows(grid(own, target=target), grid(theirs, target=target))
    found = compare(rows, "ic", 1, EVALUATION)
    daily = [
        np.corrcoef(own[d], target[d])[0, 1] - np.corrcoef(theirs[d], target[d])[0, 1]
        for d in range(150)
    ]
    assert found.measure == "ic"
    assert found.gain == pytest.approx(np.mean(daily), rel=1e-9)
    # Independent dates: the standard error is near that of a plain mean.
    assert found.error == pytest.approx(np.std(daily, ddof=1) / math.sqrt(150), rel=0.25)


def test_p_values_and_bounds_are_those_of_students_t():
    found = Paired("loss", gain=0.03, error=0.02, freedom=12.0)
    assert found.p_above(0.0) == pytest.approx(student_t.sf(1.5, 12))
    assert found.p_below(-0.01) == pytest.approx(student_t.cdf(2.0, 12))
    low, high = found.bounds(0.95)
    assert (low, high) == pytest.approx((0.03 - 1.78229 * 0.02, 0.03 + 1.78229 * 0.02), rel=1e-5)


MANIFEST = {
    "id": "gru-1",
    "target": {"kind": "open_to_open", "horizon": 1},
    "network": {"cell": "gru", "head": "mean"},
    "cutoff": "2015-11-20",
    "verdict": {"label": "edge"},
    "certificate": {"holds": True},
}


def test_a_contender_is_read_from_manifest_evaluation_and_ledger():
    second = pl.col("date") >= DAYS[120]
    network = grid(forecasts()).with_columns(model=pl.lit("gru"), fold=second.cast(pl.Int64))
    zero = network.with_columns(model=pl.lit("zero"), score=0.0, mean=0.0)
    night = grid(forecasts(last=4)).with_columns(
        origin=pl.when(pl.col("date") == DAYS[0]).then(pl.lit("replay")).otherwise(pl.lit("live")),
        tradable=pl.col("date") != DAYS[1],
    )
    summary = {"network": "gru", "significance": {"trials": {"count": 12}}}
    made = Contender.of(MANIFEST, summary, pl.concat([network, zero]), night, "a")
    assert (made.model, made.cutoff, made.trials) == ("gru-1", date(2015, 11, 20), 12)
    assert (made.verdict, made.has_mean, made.distrust) == ("edge", True, None)
    assert made.tested.drop("fold_first", "fold_last").equals(grid(forecasts()))
    folds = made.tested.select("fold_first", "fold_last").unique().sort("fold_first")
    assert folds.rows() == [(DAYS[0], DAYS[119]), (DAYS[120], DAYS[199])]
    assert made.live["date"].unique().sort().to_list() == DAYS[2:4]


def test_an_evaluation_from_before_scores_and_significance_is_read_too():
    old = grid(forecasts()).with_columns(model=pl.lit("gru"), fold=0).drop("score")
    night = NOTHING.with_columns(origin=pl.lit("live"), tradable=pl.lit(True))
    made = Contender.of(MANIFEST, {"network": "gru"}, old, night, "a")
    assert made.tested["score"].equals(made.tested["mean"])
    assert made.trials == 1


@pytest.mark.parametrize(("measure", "names"), [("loss", 5), ("ic", 25), ("ic", 5)])
def test_of_equal_procedures_a_challenger_passes_as_rarely_as_the_level_says(measure, names):
    worlds, horizon, dates = 400, 5, 250
    spec = EvaluationSpec(bootstrap_samples=200)
    passed = 0
    for seed in range(worlds):
        own, target = null_world(seed, dates, names, horizon, persistence=0.8)
        theirs, _ = null_world(worlds + seed, dates, names, horizon, persistence=0.8)
        rows = common_rows(grid(own, target=target), grid(theirs, target=target))
        passed += compare(rows, measure, horizon, spec).p_above(0.0) < 0.05
    assert passed / worlds <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / worlds)
