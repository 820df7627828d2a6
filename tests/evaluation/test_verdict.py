import math

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.aligned import ModelForecasts, Scored
from tasks.evaluation.evaluate import judge
from tasks.evaluation.metrics import ic_per_date
from tasks.evaluation.scores import DateScores, ic_over_dates, score_dates
from tasks.evaluation.significance import DieboldMariano, Interval, interval, resample_dates
from tasks.evaluation.verdict import Rival, label, pays, power, verdict, verdict_by_ic
from tests.evaluation.worlds import START, null_world

BETTER = DieboldMariano(-3.0, 0.002, 0.998)
WORSE = DieboldMariano(3.0, 0.998, 0.002)
UNDECIDED = DieboldMariano(-1.0, 0.16, 0.84)
NOTHING = DieboldMariano(math.nan, math.nan, math.nan)
SKILL, CHANCE = Interval(0.05, 0.01, 0.09), Interval(0.02, -0.01, 0.05)
NO_IC = Interval(math.nan, math.nan, math.nan)


@pytest.mark.parametrize(
    ("test", "ic", "expected"),
    [
        (BETTER, SKILL, "edge"),
        (BETTER, CHANCE, "no edge"),
        (BETTER, NO_IC, "no edge"),
        (UNDECIDED, SKILL, "no edge"),
        (WORSE, SKILL, "worse than zero"),
        (NOTHING, NO_IC, "no edge"),
    ],
)
def test_the_rule(test, ic, expected):
    assert label(test, ic, 0.05) == expected
    section = verdict(test, ic, "ic", 0.05, 7, 500)
    assert section["sentence"].lower().startswith(expected)
    assert "nan" not in section["sentence"]


@pytest.mark.parametrize(
    ("ic", "expected"),
    [
        (SKILL, "edge"),
        (CHANCE, "no edge"),
        (Interval(-0.05, -0.09, -0.01), "worse than zero"),
        (NO_IC, "no edge"),
    ],
)
def test_a_head_without_a_mean_is_judged_by_its_ic_and_the_verdict_says_so(ic, expected):
    section = verdict_by_ic(ic, "ic", 0.05, 500)
    assert section["label"] == expected
    assert section["sentence"].lower().startswith(f"{expected}, by the ic alone")
    assert "nan" not in section["sentence"]
    assert "the IC alone decides" in section["rule"]


def grid(model, target):
    dates, names = target.shape
    days = pl.date_range(START, pl.lit(START) + pl.duration(days=dates - 1), eager=True)
    kind = "ic" if names >= 20 else "ts_ic"
    symbols = [f"S{name}" for name in range(names)]
    folds = np.zeros(dates, dtype=np.int64)
    return Scored(days, symbols, folds, target, (model,), kind, 20)


def judged(mean, target, horizon, seed):
    model = ModelForecasts("gru", "network", mean, mean, None)
    scored = grid(model, target)
    weights = resample_dates(len(target), horizon, 200, seed)
    return judge(score_dates(model, scored), scored, weights, horizon, 0.90)["verdict"]["label"]


@pytest.mark.parametrize(
    ("names", "horizon", "persistence"), [(5, 1, 0.0), (5, 5, 0.9), (25, 5, 0.9)]
)
def test_worlds_without_signal_rarely_give_an_edge(names, horizon, persistence):
    worlds = 200
    edges = 0
    for seed in range(worlds):
        mean, target = null_world(seed, 250, names, horizon, persistence)
        edges += judged(mean, target, horizon, seed) == "edge"
    assert edges / worlds <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / worlds)


def judged_by_ic(score, target, horizon, weights):
    """The label of scores without a mean, and the one that percentiles would give."""
    model = ModelForecasts("gru", "network", score, None, None, signed=False)
    scored, nothing = grid(model, target), np.full(len(target), np.nan)
    scores = DateScores(model, ic_per_date(score, target), *[nothing] * 6, None, None)
    plain = interval(ic_over_dates(scores, scored, weights), 0.90)
    found = judge(scores, scored, weights, horizon, 0.90)["verdict"]["label"]
    return found, verdict_by_ic(plain, scored.ic_kind, 0.05, len(target))["label"]


def share(labels, sought):
    return np.mean([label == sought for label in labels])


@pytest.mark.parametrize(
    ("names", "horizon", "dates"),
    [(30, 1, 500), (30, 5, 500), (30, 10, 1000), (30, 20, 250), (30, 20, 1000), (30, 20, 2000),
     (5, 1, 500), (5, 5, 500), (5, 20, 250)],
)  # fmt: skip
def test_scores_that_know_nothing_are_judged_by_their_ic_at_its_level(names, horizon, dates):
    worlds = 400
    weights = resample_dates(dates, horizon, 300, 0)
    labels = [
        judged_by_ic(*null_world(seed, dates, names, horizon, 0.95), horizon, weights)[0]
        for seed in range(worlds)
    ]
    allowed = 0.05 + 2 * math.sqrt(0.05 * 0.95 / worlds)
    assert share(labels, "edge") <= allowed
    assert share(labels, "worse than zero") <= allowed


@pytest.mark.parametrize(
    ("horizon", "skill", "loss"), [(1, 2e-7, 0.05), (5, 4.5e-7, 0.05), (20, 9e-7, 0.10)]
)
def test_a_planted_ic_is_found_about_as_often_as_by_percentiles(horizon, skill, loss):
    weights = resample_dates(1000, horizon, 300, 0)
    labels = []
    for seed in range(200):
        noise, target = null_world(seed, 1000, 30, horizon, 0.95)
        planted = noise + skill * target / target.std()
        labels.append(judged_by_ic(planted, target, horizon, weights))
    found, before = (share(each, "edge") for each in zip(*labels, strict=True))
    assert 0.7 < before < 0.9
    # Where percentiles find skill in worlds without any, they find more of it in these too.
    assert found >= before - loss


@pytest.mark.parametrize("names", [5, 25])
def test_a_planted_signal_is_an_edge_and_inverted_it_is_worse_than_zero(names):
    for seed in range(10):
        noise, target = null_world(seed, 500, names, 1, 0.0)
        mean = 0.05 * target + noise
        assert judged(mean, target, 1, seed) == "edge"
        assert judged(-mean, target, 1, seed) == "worse than zero"


def test_noise_as_large_as_returns_is_worse_than_zero():
    noise, target = null_world(0, 250, 5, 1, 0.0)
    assert judged(noise * 1e3, target, 1, 0) == "worse than zero"


ABOVE, EVEN, BELOW = Interval(0.5, 0.1, 0.9), Interval(0.5, -0.1, 0.9), Interval(-0.5, -0.9, -0.1)
GOOD, BAD = Interval(1.0, 0.2, 1.8), Interval(-1.0, -1.8, -0.2)


@pytest.mark.parametrize(
    ("net", "equal", "index", "expected", "why"),
    [
        (GOOD, ABOVE, ABOVE, "Pays", "shown to be above 0, equal weight and the benchmark."),
        (GOOD, EVEN, ABOVE, "Not shown to pay", "not shown to be above equal weight."),
        (GOOD, ABOVE, EVEN, "Not shown to pay", "not shown to be above the benchmark."),
        (EVEN, EVEN, EVEN, "Not shown to pay", "above 0, equal weight or the benchmark."),
        (GOOD, BELOW, ABOVE, "Does not pay", "it is below equal weight."),
        (GOOD, EVEN, BELOW, "Does not pay", "it is below the benchmark."),
        (BAD, BELOW, BELOW, "Does not pay", "it is below 0, equal weight and the benchmark."),
        (NO_IC, NO_IC, NO_IC, "Not shown to pay", "never moved in this span."),
        (GOOD, ABOVE, NO_IC, "Not shown to pay", "never moved in this span."),
        (GOOD, ABOVE, None, "Pays", "shown to be above 0 and equal weight."),
    ],
)
def test_it_pays_only_above_zero_and_above_every_rival(net, equal, index, expected, why):
    gains = {"equal weight": equal, "the benchmark": index}
    rivals = [Rival(name, CHANCE, gain) for name, gain in gains.items() if gain is not None]
    sentence = pays(net, rivals, 0.9)
    assert sentence.startswith(expected + ":")
    assert sentence.endswith(why)
    assert "nan" not in sentence


def test_power_by_hand():
    # One-sided 5 % and 80 % power: 1.6449 + 0.8416 standard errors.
    found = power(0.02, 1e9, "ic", 504, 0.05)
    assert found["detectable_ic"] == pytest.approx(0.02 * 2.4865, rel=1e-4)
    # With 10 degrees of freedom: 1.8125 + 0.8791.
    few = power(0.02, 10, "ic", 504, 0.05)
    assert few["detectable_ic"] == pytest.approx(0.02 * 2.6916, rel=1e-4)
    # Two years: a Sharpe ratio has a standard error of 1 / sqrt(2).
    assert f"Sharpe ratio of {2.4865 / math.sqrt(2):.1f}" in found["sentence"]
