import math

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from arch.bootstrap import MCS, SPA
from scipy.signal import lfilter
from scipy.stats import norm
from scipy.stats import t as student_t

from tasks.evaluation.candidates import confidence_set, superior_p
from tasks.evaluation.significance import (
    diebold_mariano,
    long_run_deviation,
    resample_dates,
    smoothed_freedom,
    variance_lags,
)
from tasks.evaluation.spec import EvaluationSpec
from tests.evaluation.worlds import SPEC, frames, run

WORLDS = 400


def rejections(p_values):
    return np.mean(np.array(p_values) < 0.05)


def within_two_standard_errors(rate, worlds=WORLDS):
    return abs(rate - 0.05) <= 2 * math.sqrt(0.05 * 0.95 / worlds)


def differences(seed, dates, models, horizon):
    """Loss differences of mean 0 that overlap like the labels of `horizon` [D, M]."""
    noise = np.random.default_rng(seed).standard_t(6, (dates + horizon - 1, models))
    summed = np.cumsum(np.vstack([np.zeros(models), noise]), axis=0)
    return summed[horizon:] - summed[:-horizon]


@pytest.mark.parametrize("horizon", [1, 5])
def test_diebold_mariano_is_the_least_squares_t_test_with_newey_west_errors(horizon):
    series = differences(3, 400, 1, horizon)[:, 0] - 0.05
    lags = variance_lags(series.size, horizon)
    fitted = sm.OLS(series, np.ones(series.size)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False}
    )
    count = series.size
    harvey = math.sqrt((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count)
    found = diebold_mariano(series, horizon, lags)
    assert found.statistic == pytest.approx(harvey * fitted.tvalues[0], rel=1e-9)
    error = long_run_deviation(series, lags) / math.sqrt(count)
    assert error == pytest.approx(fitted.bse[0], rel=1e-9)


def rejected(differentials, horizon):
    """In what shares of worlds the test says better, and worse."""
    tests = [diebold_mariano(d, horizon, variance_lags(d.size, horizon)) for d in differentials]
    return rejections([t.p_better for t in tests]), rejections([t.p_worse for t in tests])


# Of seeds 0 to 399 at 20 bars on 250 dates 8.5 % say better, of the next 7,600 5.0 %: sets of 400
# seeds scatter as chance has it, so that the shortest samples are held to more of them.
@pytest.mark.parametrize(
    ("horizon", "dates", "worlds"),
    [(1, 250, 400), (5, 250, 400), (5, 1000, 400), (20, 250, 8000), (20, 500, 8000),
     (20, 1000, 400)],
)  # fmt: skip
def test_diebold_mariano_rejects_equal_losses_at_its_level(horizon, dates, worlds):
    made = (differences(seed, dates, 1, horizon)[:, 0] for seed in range(worlds))
    for rate in rejected(made, horizon):
        assert within_two_standard_errors(rate, worlds)


@pytest.mark.parametrize(("horizon", "persistence"), [(5, 0.8), (20, 0.0), (20, 0.95)])
def test_of_forecasts_that_know_nothing_diebold_mariano_rejects_no_more_often(horizon, persistence):
    worlds, dates = 2000, 250
    made = []
    for seed in range(worlds):
        shocks = np.random.default_rng(seed).normal(size=dates)
        shocks[1:] *= math.sqrt(1 - persistence**2)
        forecast = 0.01 * lfilter([1.0], [1.0, -persistence], shocks)
        target = differences(worlds + seed, dates, 1, horizon)[:, 0]
        made.append((forecast - target) ** 2 - target**2)
    for rate in rejected(made, horizon):
        assert 0.02 < rate <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / worlds)


def resampled_means(series, lags, samples, seed):
    """Means [samples, M] under the stationary bootstrap, from how often each date is drawn."""
    # At horizon lags / 2 the blocks are `lags` sessions long.
    weights = resample_dates(series.shape[0], lags // 2, samples, seed)[1:]
    return weights @ series / series.shape[0]


def spec(samples, seed):
    return EvaluationSpec(bootstrap_samples=samples, seed=seed)


def drawn_in(block, dates, comparisons):
    """How much larger the critical value is where the deviation is uncertain, at 5 % in all."""
    tail = 0.05 / comparisons
    return norm.isf(tail) / student_t.isf(tail, smoothed_freedom(1.5 * block / dates))


def naive_spa(given, rivals, lags, samples, seed):
    """Hansen (2005), steps as in the paper, with the standard errors of Newey and West."""
    gain = given[:, None] - rivals
    count = gain.shape[0]
    error = np.array([long_run_deviation(g, lags) for g in gain.T])
    means = drawn_in(lags, count, error.size) * gain.mean(axis=0)
    score = math.sqrt(count) * means / error
    kept = score >= -math.sqrt(2 * math.log(math.log(count)))
    moved = resampled_means(gain, lags, samples, seed) - gain.mean(axis=0)
    drawn = moved + np.where(kept, 0.0, means)
    highest = np.maximum((math.sqrt(count) * drawn / error).max(axis=1), 0.0)
    return float((highest > max(score.max(), 0.0)).mean())


@pytest.mark.parametrize("seed", range(4))
def test_superior_ability_follows_hansens_paper(seed):
    losses = 1.0 + differences(seed, 300, 4, 1) * [0.1, 0.1, 0.5, 0.1] - [0, 0.012, 0, -0.05]
    lags = 12
    given, rivals = losses[:, 0], losses[:, 1:]
    ours = superior_p(given, rivals, lags, spec(1000, seed))
    # arch decides about hopeless rivals by another estimate of the variance.
    assert ours == pytest.approx(naive_spa(given, rivals, lags, 1000, seed), abs=0.02)


def test_superior_ability_is_archs_on_differences_of_one_deviation():
    losses = 1.0 + differences(1, 300, 4, 1) - [0.0, 0.1, 0.0, 0.2]
    gain = losses[:, [0]] - losses[:, 1:]
    gain -= (1 - drawn_in(12, 300, 3)) * gain.mean(axis=0)
    gain /= [long_run_deviation(column, 12) for column in gain.T]
    theirs = SPA(np.zeros(300), -gain, block_size=12, reps=500, seed=7)
    theirs.compute()
    ours = superior_p(losses[:, 0], losses[:, 1:], 12, spec(500, 7))
    assert ours == theirs.pvalues["consistent"]


def test_a_wild_rival_does_not_hide_a_good_one():
    losses = 1.0 + differences(2, 500, 3, 1) * [0.05, 0.05, 5.0] - [0.0, 0.02, 0.0]
    assert superior_p(losses[:, 0], losses[:, 1:], 8, spec(500, 0)) < 0.01
    plain = SPA(losses[:, 0], losses[:, 1:], block_size=8, reps=500, seed=0)
    plain.compute()
    assert plain.pvalues["consistent"] > 0.2


@pytest.mark.parametrize(("horizon", "dates", "block"), [(2, 250, 7), (5, 250, 15)])
def test_superior_ability_rejects_rivals_that_are_no_better_at_its_level(horizon, dates, block):
    found = []
    for seed in range(WORLDS):
        losses = differences(seed, dates, 4, horizon)
        found.append(superior_p(np.zeros(dates), losses, block, spec(100, seed)))
    assert within_two_standard_errors(rejections(found))


def test_the_best_of_many_alone_would_look_superior():
    lags = variance_lags(250, 1)
    best = []
    for seed in range(100):
        tests = [diebold_mariano(d, 1, lags) for d in differences(seed, 250, 10, 1).T]
        best.append(min(t.p_better for t in tests))
    assert rejections(best) > 0.25


def naive_set(losses, lags, samples, seed):
    """Hansen, Lunde and Nason (2011) with the range statistic; the p-value of each model."""
    means, count = losses.mean(axis=0), losses.shape[1]
    factor = drawn_in(lags, len(losses), count * (count - 1))
    drawn = resampled_means(losses, lags, samples, seed)
    left, worst, found = list(range(losses.shape[1])), 0.0, {}
    while len(left) > 1:
        scores, ranges = {}, []
        for i in left:
            for j in left:
                if i != j:
                    moved = drawn[:, i] - drawn[:, j] - (means[i] - means[j])
                    error = math.sqrt(np.mean(moved**2))
                    scores[i, j] = factor * (means[i] - means[j]) / error
                    ranges.append(moved / error)
        out = max(scores, key=scores.get)
        worst = max(worst, float((np.max(ranges, axis=0) > scores[out]).mean()))
        found[out[0]] = worst
        left.remove(out[0])
    return found | {left[0]: 1.0}


@pytest.mark.parametrize("seed", range(3))
def test_the_confidence_set_follows_the_paper_and_arch(seed):
    losses = 1.0 + differences(seed, 300, 5, 1) * 0.1 + [0.0, 0.0, 0.01, 0.03, 0.1]
    names = dict(zip("abcde", losses.T, strict=True))
    ours = confidence_set(names, 12, spec(300, seed))
    assert list(ours.values()) == pytest.approx(
        [naive_set(losses, 12, 300, seed)[place] for place in range(5)]
    )
    losses -= (1 - drawn_in(12, 300, 20)) * (losses.mean(axis=0) - losses.mean())
    theirs = MCS(losses, 0.05, reps=300, block_size=12, seed=seed)
    theirs.compute()
    assert [n for n, p in ours.items() if p > 0.05] == ["abcde"[i] for i in theirs.included]
    assert "e" not in [n for n, p in ours.items() if p > 0.05]


def test_the_confidence_set_loses_one_of_the_best_no_more_often_than_its_level():
    lost = plain = 0
    for seed in range(WORLDS):
        losses = 1.0 + differences(seed, 250, 4, 5)
        ours = confidence_set(dict(zip("abcd", losses.T, strict=True)), 15, spec(100, seed))
        lost += min(ours.values()) <= 0.05
        theirs = MCS(losses, 0.05, reps=100, block_size=15, seed=seed)
        theirs.compute()
        plain += len(theirs.excluded) > 0
    assert lost / WORLDS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / WORLDS)
    assert plain / WORLDS > 0.10, "then there is no need for caution"


def significance(world, **options):
    summary = run(*world, **options).summary
    return summary["significance"], {row["name"]: row for row in summary["models"]}


def test_every_other_model_has_the_networks_test_against_it_in_its_row(few):
    predictions = few[0]
    section, rows = significance(few)
    assert rows["gru"]["network_better"] is None
    error = (pl.col("target") - pl.col("mean")) ** 2
    losses = predictions.group_by("model", "date").agg(error.mean().alias("loss")).sort("date")
    by_model = {name: part["loss"].to_numpy() for (name,), part in losses.group_by("model")}
    for name in ("zero", "historical_mean"):
        gap = by_model["gru"] - by_model[name]
        expected = diebold_mariano(gap, 1, variance_lags(gap.size, 1))
        assert rows[name]["network_better"]["statistic"] == pytest.approx(expected.statistic)
    assert section["any_beats_zero"] < 0.05
    assert section["any_beats_network"] > 0.05
    assert section["confidence_set"] == {"confidence": 0.95, "models": ["gru"]}
    assert rows["gru"]["set_p"] == 1.0
    assert rows["zero"]["set_p"] < 0.05
    assert section["sentences"][2].endswith("1 of 3 candidates: gru; the network alone.")


def test_noise_beside_noise_shows_nobody_to_be_better():
    section, _ = significance(frames(names=5, dates=240, skill=0.0, seed=4))
    assert section["any_beats_zero"] > 0.05
    assert section["sentences"][0].startswith("No candidate of 2 is shown to err less")


def test_an_inverted_network_is_beaten_and_leaves_the_set(few):
    predictions, panel, benchmark = few
    inverted = predictions.with_columns(
        pl.when(pl.col("model") == "gru").then(-pl.col("mean")).otherwise("mean").alias("mean")
    )
    section, rows = significance((inverted, panel, benchmark))
    assert section["any_beats_network"] < 0.05
    assert section["sentences"][1].startswith("Another candidate errs less than the network")
    assert rows["gru"]["set_p"] < 0.05
    assert section["sentences"][2].endswith("the network is not among them.")


def test_a_network_that_forecasts_zero_is_one_candidate_with_it(few):
    predictions, panel, benchmark = few
    nought = predictions.with_columns(
        pl.when(pl.col("model") == "gru").then(0.0).otherwise("mean").alias("mean")
    )
    section, rows = significance((nought, panel, benchmark))
    assert rows["gru"]["set_p"] == rows["zero"]["set_p"]
    assert section["any_beats_zero"] == section["any_beats_network"]
    alone = nought.filter(pl.col("model") == "gru")
    section, rows = significance((alone, panel, benchmark))
    assert section["sentences"] == ["All candidates forecast zero: there is nothing to compare."]
    assert section["any_beats_zero"] is None


def test_zero_is_a_candidate_even_where_it_is_no_baseline(few):
    predictions, panel, benchmark = few
    section, rows = significance((predictions.filter(pl.col("model") != "zero"), panel, benchmark))
    assert "zero" not in rows
    assert section["any_beats_zero"] < 0.05
    assert "of 3 candidates" in section["sentences"][2]


def test_a_head_without_a_mean_has_no_errors_to_compare(few):
    predictions, panel, benchmark = few
    bare = predictions.with_columns(pl.when(pl.col("role") != "network").then("mean").alias("mean"))
    section, rows = significance((bare, panel, benchmark))
    assert section["confidence_set"] is None
    assert "no mean" in section["sentences"][0]
    assert all(row["network_better"] is row["set_p"] is None for row in rows.values())


def test_the_same_seed_gives_the_same_set(few):
    assert significance(few, spec=SPEC) == significance(few, spec=SPEC)
