from pathlib import Path
from typing import get_args

import pytest

from flows.config import RunConfig, load_config
from models.errors import UsageError
from tasks.ingest.providers import PROVIDERS
from tasks.ingest.spec import FilesSpec, ProviderSpec, SampleSpec

DEPLOY = sorted((Path(__file__).parents[2] / "deploy").glob("*.toml"))


FILES = ["provider.kind=files", "provider.path=bars.csv", "provider.prices=as_traded"]


def complaint(*overrides, path=None):
    with pytest.raises(UsageError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_are_those_of_the_sample():
    assert load_config(None) == RunConfig()
    assert RunConfig().provider == SampleSpec()
    assert load_config(next(p for p in DEPLOY if p.stem == "sample")) == RunConfig()


@pytest.mark.parametrize("path", DEPLOY, ids=lambda path: path.stem)
def test_a_shipped_configuration_survives_json(path):
    config = load_config(path)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_every_kind_that_a_configuration_may_name_has_a_provider():
    kinds = {m.model_fields["kind"].default for m in get_args(get_args(ProviderSpec)[0])}
    assert kinds == set(PROVIDERS)
    assert {load_config(path).provider.kind for path in DEPLOY} >= {"sample", "files", "yahoo"}


def test_a_file_of_every_section_is_read(tmp_path):
    config = load_config(
        write(tmp_path, 'name = "mine"\n[training]\nepochs = 7\nseeds = [4]\n[target]\nhorizon = 3')
    )
    assert (config.name, config.training.epochs, config.training.seeds) == ("mine", 7, (4,))
    assert config.target.horizon == 3
    assert config.window == RunConfig().window


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainig.epochs=5", "trainig: there is no such key (value met: {'epochs': 5}). "
                             "Did you mean 'training'?"),
        ("splits.fold=3", "splits.fold: there is no such key (value met: 3). Did you mean 'folds'"),
        ("evaluation.portfolio.top_shar=1", "Did you mean 'top_share'?"),
        ("seed=1", "seed: there is no such key (value met: 1). Known here: baselines, compute,"),
        ("window.zzz=1", "Known here: lookback."),
    ],
)  # fmt: skip
def test_an_unknown_key_offers_a_near_one_or_all_there_are(override, expected):
    assert expected in complaint(override)


def test_an_unknown_key_of_a_provider_offers_that_providers_keys():
    assert (
        "provider.sample.replai: there is no such key (value met: 1). Did you mean 'replay'?"
        in (complaint("provider.kind=sample", "provider.replai=1"))
    )
    assert "Did you mean 'benchmark'?" in complaint(*FILES, "provider.benchmarc=SPY")
    # `replay` is the sample's key: among those of files there is none near.
    met = complaint(*FILES, "provider.replay=true")
    assert "provider.files.replay: there is no such key" in met
    assert met.endswith("Known here: benchmark, kind, path, prices.")


def test_a_provider_that_is_not_known_or_not_named_is_refused_with_the_known_ones():
    assert "provider: Input tag 'filez'" in complaint("provider.kind=filez")
    assert "'sample', 'files'" in complaint("provider.kind=filez")
    known = "provider: no kind is given; add provider.kind, one of files, sample, tiingo, yahoo."
    assert known in complaint("provider.path=x")
    met = complaint("provider.kind=files")
    assert "provider.files.path: Field required" in met
    assert "provider.files.prices: Field required" in met


def test_values_out_of_bounds_are_all_named_at_once_with_what_was_met():
    met = complaint("training.epochs=0", "training.dropout=1", "network.dropout=1", "name=A b")
    assert met.startswith("the configuration is not valid:\n")
    assert "training.epochs: Input should be greater than or equal to 1 (value met: 0)" in met
    assert "training.dropout: there is no such key" in met
    assert "network.dropout: Input should be less than 1 (value met: 1)" in met
    assert "name: String should match pattern" in met


def test_a_lookback_shorter_than_a_feature_needs_is_refused_in_these_words():
    met = complaint("features.lookback=3", 'features.features=["rsi(14)"]')
    assert (
        "lookback=3 is shorter than rsi(14) needs (14 bars); raise lookback or shorten the period."
    ) in met


def test_a_span_that_the_horizon_would_empty_is_refused_before_a_run():
    met = complaint("target.horizon=60", "splits.stop=60")
    assert "splits.stop=60 is not longer than target.horizon=60" in met
    assert "raise it above 60." in met
    assert load_config(None, ["target.horizon=60", "splits.stop=61"]).splits.stop == 61


def test_a_further_horizon_counts_as_the_main_one_where_spans_are_purged_and_judged():
    met = complaint("target.also=[5, 60]", "splits.stop=60")
    assert "splits.stop=60 is not longer than the longest of target.also=60" in met
    met = complaint("target.also=[5, 60]", "splits.folds=1", "splits.test=120")
    assert "splits.folds=1 × splits.test=120 are 120 test sessions, too few to judge" in met
    assert "test on at least 121, or shorten target.also." in met
    assert load_config(None, ["target.also=[5, 60]"]).target.horizons == (1, 5, 60)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("universe.exchange=xnys", "Did you mean 'XNYS'?"),
        ('features.features=["rsii(14)"]', "No indicator is called 'rsii'. Did you mean 'rsi'?"),
        ("training.device=tpu", "'auto', 'cpu' or 'cuda'"),
        ("training.augment.slice=1.5", "slice=1.5 must be below 1"),
        ("training.augment.jitter=0", "jitter=0.0 must be above 0"),
        ("training.seeds=[1, 1]", "seeds=[1, 1] must be distinct and ≥ 0; change one of them."),
    ],
)
def test_a_value_that_is_no_choice_is_refused_with_advice(override, expected):
    assert expected in complaint(override)


@pytest.mark.parametrize("override", ["training.epochs", "=5", "", " =5"])
def test_an_override_that_is_no_pair_is_refused_with_an_example(override):
    met = complaint(override)
    assert f"--set {override!r} is not key=value; write such as --set training.epochs=5." in met


def test_an_override_below_a_value_is_refused(tmp_path):
    met = complaint("name.first=1", path=write(tmp_path, 'name = "mine"'))
    assert met == "--set 'name.first=1': 'name' is a value, not a section."


def test_overrides_lie_over_the_file_in_order_as_toml_or_else_as_text(tmp_path):
    config = load_config(
        write(tmp_path, "[training]\nepochs = 7\npatience = 2"),
        ["training.epochs=8", "training.epochs = 9", "training.seeds=[3, 4]", "name=mine",
         "training.max_windows_per_epoch=100", *FILES],
    )  # fmt: skip
    assert (config.training.epochs, config.training.patience) == (9, 2)
    assert (config.training.seeds, config.name) == ((3, 4), "mine")
    assert config.provider == FilesSpec(path=Path("bars.csv"), prices="as_traded")


def test_a_file_that_is_no_toml_names_its_line(tmp_path):
    path = write(tmp_path, "name = \n")
    assert f"{path} is not valid TOML: " in complaint(path=path)
    assert "line 1" in complaint(path=path)
    path.write_bytes(b"name = '\xff'")
    assert "is not valid TOML" in complaint(path=path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    met = complaint(path=tmp_path / "none.toml")
    assert "cannot be read (No such file or directory); name a TOML file" in met
    assert "cannot be read (Is a directory)" in complaint(path=tmp_path)


def models_below(annotation):
    for inner in get_args(annotation):
        yield from models_below(inner)
    if hasattr(annotation, "model_fields"):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_below(field.annotation)


def test_every_choice_is_described_and_nothing_can_be_changed_afterwards():
    met = set(models_below(RunConfig))
    assert {SampleSpec, FilesSpec, RunConfig} < met
    for model in met:
        assert model.model_config["frozen"]
        assert model.model_config["extra"] == "forbid"
        bare = [name for name, field in model.model_fields.items() if not field.description]
        assert [name for name in bare if name != "kind"] == [], model


def test_a_target_over_a_benchmark_that_is_not_named_is_refused():
    with pytest.raises(UsageError, match=r"needs one, and provider\.benchmark of the kind files"):
        load_config(
            None,
            [
                "provider.kind='files'",
                "provider.path='bars.csv'",
                "provider.prices='as_traded'",
                "target.excess='benchmark'",
            ],
        )
    assert load_config(None, ["target.excess='benchmark'"]).target.excess == "benchmark"


def test_sectors_that_nothing_names_are_refused():
    met = complaint('network.covariates=["sector", "exchange"]')
    assert "network.covariates=['sector', 'exchange'] cannot do without sectors" in met
    assert "set it to a membership file with a column `sector`, or leave 'sector' out of" in met
    met = complaint("evaluation.portfolio.max_sector_weight=0.4")
    assert "evaluation.portfolio.max_sector_weight=0.4 cannot do without sectors" in met
    named = ["network.covariates=['sector']", "universe.file='members.csv'"]
    assert load_config(None, named).network.covariates == ("sector",)
    assert load_config(None, ["network.covariates=['exchange']"]).network.covariates == (
        "exchange",
    )


def test_whom_a_model_has_to_beat_is_no_part_of_what_it_is():
    strict = load_config(None, ["gate.margin_loss=0", "gate.measure=ic"])
    assert (strict.gate.margin_loss, strict.gate.measure) == (0.0, "ic")
    assert strict.recipe() == RunConfig().recipe()
    assert "gate.margin_losses: there is no such key" in complaint("gate.margin_losses=0")
