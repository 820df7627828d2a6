"""Every planted defect is noticed by what is meant for it, and sound code raises no alarm."""

from dataclasses import replace

import pytest

from flows.certificate.certify import certify, rules, training_checks
from flows.certificate.inference import samples
from models.errors import DataError
from tasks.evaluation.certificate.inference import inference_checks
from tasks.evaluation.certificate.verdict import require_clean
from tasks.evaluation.spec import PortfolioSpec
from tasks.features.spec import FeatureSpec
from tasks.lake.membership import Membership
from tasks.lake.target_spec import TargetSpec
from tasks.training.network_spec import RecurrentSpec
from tests.faults.canaries import selection
from tests.faults.canaries.defects import CANARIES, with_levels
from tests.faults.canaries.market import DAYS, SPELLS, TRAINING, train
from tests.faults.canaries.measure import (
    PLANTED_WORLDS,
    SOUND_WORLDS,
    failed,
    noticed,
    planted,
    sound,
)


def inference(run):
    return inference_checks(trial for sample in samples(run) for trial in sample.trials())


def ruled(run):
    return rules(run, samples(run))


PARTS = dict.fromkeys(("features", "forecasts", "orders"), inference)
PARTS |= dict.fromkeys(("fit inputs", "refit"), training_checks)


@pytest.mark.parametrize("name", CANARIES)
def test_a_planted_leak_is_noticed_by_its_check(name, monkeypatch, tmp_path):
    canary = CANARIES[name]
    with_levels(monkeypatch)
    canary.plant(monkeypatch)
    run = train(0, tmp_path, canary.spec, splits=canary.splits).trained
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
    assert certificate.untried == ()
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


def test_sound_combinatorial_folds_raise_no_alarm(tmp_path):
    canary = CANARIES["features_that_remember_a_test"]
    run = train(0, tmp_path, canary.spec, splits=canary.splits).trained
    crossed = {entry["fold"] for entry in run.plan["folds"] if "tested" in entry}
    assert len(crossed) == 3
    assert all(check.holds for check in ruled(run))


def trading(run, **rules):
    """The run, its portfolios with other rules; no weight hangs on them."""
    portfolio = PortfolioSpec(**rules)
    return replace(run, evaluation=run.evaluation.model_copy(update={"portfolio": portfolio}))


def test_a_run_whose_portfolios_trade_nothing_is_not_clean(tmp_path):
    certificate = certify(trading(train(0, tmp_path).trained, min_dollar_volume=1e11))
    assert failed(certificate) == {}
    assert certificate.untried == ("orders", "fill times")
    with pytest.raises(DataError, match="could not be tried: orders, fill times"):
        require_clean(certificate.record(), "gru-1")


def test_symbols_that_the_filters_let_pass_are_among_those_sampled(monkeypatch, tmp_path):
    monkeypatch.setattr("flows.certificate.inference._SYMBOLS", 2)
    run = trading(train(0, tmp_path).trained, min_dollar_volume=1.5e5)
    assert all("LATE" in sample.world.bars["symbol"] for sample in samples(run))
    certificate = certify(run)
    assert certificate.holds, certificate.sentence


@pytest.mark.parametrize("sectors", [("one", "other"), (None, None)])
def test_sector_limits_see_the_sectors_of_the_run(sectors, tmp_path):
    run = trading(train(0, tmp_path).trained, max_sector_weight=0.3)
    spells = tuple((*spell[:4], sectors[n % 2]) for n, spell in enumerate(SPELLS))
    checks = {
        check.name: check for check in inference(replace(run, members=Membership(spells=spells)))
    }
    assert checks["orders"].trials
    assert checks["orders"].holds


def test_the_cutoffs_lie_all_over_the_history_that_has_windows(tmp_path):
    run = train(0, tmp_path).trained
    spells = samples(run)
    assert [sample.days[-1] for sample in spells] == sorted({s.days[-1] for s in spells})
    assert len(spells) == 4
    assert spells[0].cutoffs[0] < DAYS[130]
    assert spells[-1].cutoffs[-1] > DAYS[250]


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
