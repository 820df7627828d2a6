from pathlib import Path

import pytest

from flows.config import RunConfig, load_config
from models.errors import UsageError

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = ["provider.kind=files", "provider.path=bars.parquet", "provider.prices=as_traded"]


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.toml")), ids=lambda p: p.stem)
def test_a_shipped_configuration_loads_and_survives_json(path):
    if path.stem == "yahoo":
        with pytest.raises(UsageError, match=r"'yahoo'.*'sample', 'files'"):
            load_config(path)
        return
    config = load_config(path)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_the_sample_file_holds_the_defaults():
    assert load_config(DEPLOY / "sample.toml") == RunConfig()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainin.epochs=3", r"trainin: there is no such key.*Did you mean 'training'"),
        ("training.epoch=3", r"training\.epoch: there is no such key.*'epochs'"),
        ("evaluation.portfolio.captal=3", r"captal: there is no such key.*'capital'"),
        ("training.epochs=0", r"training\.epochs: .*greater than or equal to 1.*value met: 0"),
        ("training.seeds=[1, 1]", r"seeds=\[1, 1\] must be distinct"),
        (
            "features.lookback=3",
            r"lookback=3 is shorter than .* needs \(\d+ bars\); raise lookback",
        ),
        ('features.features=["rsii(14)"]', r"No indicator is called 'rsii'\. Did you mean 'rsi'"),
        ("target.horizon=60", r"(?s)splits\.\w+=|splits"),
        ("universe.exchange=XNYZ", r"No trading calendar is called 'XNYZ'"),
        ("training.device=tpu", r"training\.device: .*'auto', 'cpu' or 'cuda'"),
        ("provider.replay=true", r"no kind is given; add provider\.kind, one of files, sample"),
        ("epochs", r"is not key=value"),
        ("=3", r"is not key=value"),
        ("name.inner=3", r"name"),
    ],
)
def test_a_wrong_value_is_refused_in_words(override, message):
    short = ["splits.stop=10"] if override.startswith("target") else []
    with pytest.raises(UsageError, match=message):
        load_config(None, [*short, override])


def test_an_unknown_key_of_a_provider_offers_that_providers_keys():
    with pytest.raises(UsageError, match=r"provider\.files\.pathh.*Did you mean 'path'"):
        load_config(None, [*FILES, "provider.pathh=x"])


def test_the_default_lookback_message_is_the_one_promised():
    overrides = ["features.lookback=3", 'features.features=["rsi(14)"]']
    with pytest.raises(UsageError) as caught:
        load_config(None, overrides)
    promised = "lookback=3 is shorter than rsi(14) needs (14 bars); raise lookback or shorten the"
    assert promised in str(caught.value)


def test_overrides_are_toml_or_else_text(tmp_path):
    config = load_config(None, [*FILES, "training.seeds=[4, 5]", "name=mine"])
    assert config.training.seeds == (4, 5)
    assert str(config.provider.path) == "bars.parquet"
    assert config.name == "mine"


def test_a_file_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.toml.*cannot be read"):
        load_config(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(UsageError, match=r"broken\.toml is not valid TOML"):
        load_config(broken)
