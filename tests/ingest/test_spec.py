from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.ingest.spec import (
    FilesSpec,
    ProviderSpec,
    QualitySpec,
    SampleSpec,
    TiingoSpec,
    UniverseSpec,
)


def test_kind_chooses_the_provider():
    parse = TypeAdapter(ProviderSpec).validate_python
    assert parse({"kind": "sample"}) == SampleSpec(replay=False)
    files = parse({"kind": "files", "path": "bars.csv", "prices": "as_traded"})
    assert files == FilesSpec(path=Path("bars.csv"), prices="as_traded", benchmark=None)
    assert parse({"kind": "tiingo"}) == TiingoSpec(start=None)


@pytest.mark.parametrize("given", [{"path": "bars.csv"}, {"prices": "as_traded"}])
def test_files_have_no_default_for_path_or_prices(given):
    with pytest.raises(ValidationError, match="Field required"):
        FilesSpec(**given)


@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_a_ceiling_is_a_share(share):
    with pytest.raises(ValidationError):
        QualitySpec(max_refused_total=share)


def test_an_unknown_exchange_is_refused_with_a_near_name():
    with pytest.raises(ValidationError, match=r"'XNYSE'.*Did you mean 'XNYS'"):
        UniverseSpec(exchange="XNYSE")


@pytest.mark.parametrize("symbols", [(), ("",), ("AAPL", "AAPL")])
def test_a_universe_names_each_symbol_once(symbols):
    with pytest.raises(ValidationError):
        UniverseSpec(symbols=symbols)


def test_a_universe_has_its_members_from_one_place():
    assert UniverseSpec(file="dow30.csv").file == Path("dow30.csv")
    with pytest.raises(ValidationError, match=r"named twice, by 1 symbols and by file=dow30\.csv"):
        UniverseSpec(file="dow30.csv", symbols=("AAPL",))


@pytest.mark.parametrize("currency", ["US", "GBPX", "dollars"])
def test_a_currency_is_an_iso_code(currency):
    assert UniverseSpec(currency="USD").currency == "USD"
    with pytest.raises(ValidationError, match="currency"):
        UniverseSpec(currency=currency)


def test_what_a_spec_says_survives_json():
    for spec in (TiingoSpec(benchmark="SPY"), UniverseSpec(file="dow30.csv", currency="EUR")):
        assert type(spec).model_validate_json(spec.model_dump_json()) == spec
        assert hash(spec) == hash(spec.model_copy())
