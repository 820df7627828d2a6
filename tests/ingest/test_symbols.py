import re
from datetime import date
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote, urlsplit

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import DataError, UsageError
from tasks.ingest.providers import open_provider
from tasks.ingest.spec import FilesSpec, TiingoSpec, UniverseSpec
from tasks.ingest.symbols import described_fault, fault_of
from tasks.ingest.universe import read_membership

REAL = ["AAPL", "BRK.B", "BRK-B", "^GSPC", "EURUSD=X", "M&M.NS", "0700.HK", "7203.T", "CON.DE", "C"]
HOSTILE = [
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "A/B",
    "A\\B",
    "C:",
    "CON",
    "con",
    "NUL",
    "COM1",
    "Lpt9",
    "x'; drop table bars",
    "A\0B",
    "A\nB",
    "A B",
    "Ä",
    "ＡＡＰＬ",
    "A\u202eB",
    "=A",
    "-rf",
    "A.",
    "%2e%2e",
    "A?b",
    "A" * 33,
]


@pytest.mark.parametrize("symbol", REAL)
def test_symbols_in_use_pass(symbol):
    assert fault_of(symbol) is described_fault(symbol) is None


@pytest.mark.parametrize("symbol", ["", *HOSTILE])
def test_a_text_that_can_be_no_symbol_is_refused_by_name(symbol):
    told = described_fault(symbol)
    assert ascii(symbol[:32])[:-1] in told
    assert "; write letters" in told
    assert told.isprintable()


@given(st.one_of(st.text(max_size=40), st.text("CONULPT19.^=&_-/\\: \n", max_size=8)))
@example("CON")
@example("...")
def test_any_text_is_refused_or_safe_as_a_file_name_and_in_an_address(text):
    if fault_of(text):
        assert described_fault(text)
        return
    assert Path(text).name == text
    assert PureWindowsPath(text).name == text
    assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)$", text)
    assert not text.endswith((".", " "))
    address = urlsplit(f"https://host/daily/{quote(text, safe='')}/prices")
    assert unquote(address.path) == f"/daily/{text}/prices"
    assert (address.netloc, address.query, address.fragment) == ("host", "", "")


@pytest.mark.parametrize("symbol", HOSTILE)
def test_no_way_in_lets_a_hostile_symbol_write_outside_its_root(symbol, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    members = root / "members.csv"
    pl.DataFrame({"symbol": ["A", symbol], "from": "", "to": ""}).write_csv(members)
    bars = root / "bars.parquet"
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    day = date(2013, 1, 2)
    pl.DataFrame({"symbol": ["A", symbol], "date": day, **prices}).write_parquet(bars)
    named = re.escape(ascii(symbol[:32])[:-1])
    with pytest.raises(ValidationError, match=named):
        UniverseSpec(symbols=("A", symbol))
    with pytest.raises(ValidationError, match=named):
        FilesSpec(path=bars, prices="as_traded", benchmark=symbol)
    with pytest.raises(ValidationError, match=named):
        TiingoSpec(benchmark=symbol)
    with pytest.raises(UsageError, match=named) as caught:
        read_membership(members, "XNYS")
    assert "members.csv: row 2" in str(caught.value)
    with pytest.raises(DataError, match=named) as caught:
        open_provider(FilesSpec(path=bars, prices="as_traded"))
    assert "bars.parquet: row 2" in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["bars.parquet", "members.csv", "root"]
