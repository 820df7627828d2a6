"""Every planted defect is noticed by what is meant for it, and sound code raises no alarm."""

import pytest

from flows.certificate.certify import certify, rules, training_checks
from flows.certificate.inference import Sample, sampled
from models.errors import DataError
from tasks.evaluation.certificate.inference import inference_checks
from tasks.evaluation.certificate.verdict import require_clean
from tasks.features.spec import FeatureSpec
from tasks.lake.target_spec import TargetSpec
from tasks.training.network_spec import RecurrentSpec
from tests.faults.canaries import selection
from tests.faults.canaries.defects import CANARIES, with_levels
from tests.faults.canaries.market import TRAINING, train
from tests.faults.canaries.measure import (
    PLANTED_WORLDS,
    SOUND_WORLDS,
    failed,
    noticed,
    planted,
    sound,
)


def inference(run):
    return inference_checks(Sample(run, sampled(run)).trials())


def ruled(run):
    return rules(run, Sample(run, sampled(run)))


PARTS = dict.fromkeys(("features", "forecasts", "orders"), inference)
PARTS |= dict.fromkeys(("fit inputs", "refit"), training_checks)


@pytest.mark.parametrize("name", CANARIES)
def test_a_planted_leak_is_noticed_by_its_check(name, monkeypatch, tmp_path):
    canary = CANARIES[name]
    with_levels(monkeypatch)
    canary.plant(monkeypatch)
    run = train(0, tmp_path, canary.spec).trained
    checks = PARTS.get(canary.check, ruled)(run)
    assert canary.check in {check.name for check in checks if not check.holds}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PLANTED_WORLDS))
@pytest.mark.parametrize("name", CANARIES)
def test_a_planted_leak_makes_the_certificate_unclean(name, seed, tmp_path):
    certificate = planted(name, seed, tmp_path)
    assert noticed(name, certificate), certificate.sentence
    with pytest.raises(DataError, match=r"not clean: .* failed"):
        require_clean(certificate.record(), "gru-1")


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SOUND_WORLDS))]
)
def test_sound_code_raises_no_alarm(seed, tmp_path):
    certificate = sound(seed, tmp_path)
    assert failed(certificate) == {}
    assert all(check.trials for check in certificate.checks), certificate.sentence
    assert len(certificate.cutoffs) == 8
    require_clean(certificate.record(), "gru-1")


VARIANTS = {
    "excess over the benchmark": {"target": TargetSpec(horizon=2, excess="benchmark")},
    "rank over the universe": {
        "target": TargetSpec(horizon=3, excess="universe", form="rank"),
        "network": RecurrentSpec(hidden=4, head="rank"),
        "training": TRAINING.model_copy(update={"sampling": "date"}),
    },
    "quantiles and weights": {
        "network": RecurrentSpec(hidden=4, head="quantiles"),
        "training": TRAINING.model_copy(update={"half_life": 50.0, "uniqueness": True}),
    },
    "direction at barriers": {
        "target": TargetSpec(kind="triple_barrier", horizon=5),
        "network": RecurrentSpec(hidden=4, head="direction"),
    },
    "dense": {"training": TRAINING.model_copy(update={"supervision": "dense", "chunk": 10})},
    "across symbols": {
        "features": FeatureSpec(
            features=("rsi(5)|rank", "log_return(1)|zscore", "days_to_holiday(3)"), lookback=25
        )
    },
}


@pytest.mark.parametrize(
    "name",
    [n if n == "rank over the universe" else pytest.param(n, marks=pytest.mark.slow)
     for n in VARIANTS],
)  # fmt: skip
def test_whatever_a_user_may_choose_raises_no_alarm(name, tmp_path):
    certificate = certify(train(3, tmp_path, **VARIANTS[name]).trained)
    assert failed(certificate) == {}
    assert all(check.trials for check in certificate.checks), certificate.sentence


def test_a_certificate_of_the_same_run_is_the_same(tmp_path):
    run = train(1, tmp_path).trained
    assert certify(run).record() == certify(run).record()


each_search = pytest.mark.parametrize(
    "search", selection.SEARCHES, ids=[search.defect.__name__ for search in selection.SEARCHES]
)


@each_search
def test_a_search_on_noise_finds_something_no_more_often_than_the_level_allows(search):
    assert search.share_called_significant() <= selection.ALLOWED


@each_search
def test_a_search_that_is_not_counted_is_noticed(search, monkeypatch):
    search.defect(monkeypatch)
    assert search.share_called_significant() > selection.ALLOWED
