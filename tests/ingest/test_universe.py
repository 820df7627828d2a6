import re
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.errors import UsageError
from tasks.ingest.providers import Provider, open_provider
from tasks.ingest.providers.base import Fetched
from tasks.ingest.spec import SampleSpec, UniverseSpec
from tasks.ingest.universe import READY, members, read_membership, survivorship
from tasks.lake.membership import SPELL_COLUMNS, member_rows, sector_rows

TODAY = date(2026, 11, 23)


class Unlisted:
    """A live source: it cannot say what it has."""

    source = "unlisted"

    def symbols(self) -> None:
        return None

    def benchmark(self) -> None:
        return None

    def last_session(self) -> None:
        return None

    def fingerprint(self) -> None:
        return None

    def notes(self) -> tuple[str, ...]:
        return ("It forgets the dead.",)

    def fetch(self, starts, end: date, now: datetime) -> Fetched:
        raise AssertionError("a universe is settled before anything is fetched")


def written(folder: Path, rows: str, header: str = "symbol,from,to") -> Path:
    path = folder / "members.csv"
    path.write_text(f"{header}\n{rows}")
    return path


def by_file(path: Path, session: date, provider: Provider | None = None):
    return members(provider or Unlisted(), UniverseSpec(file=path), session)


def refusal(folder: Path, rows: str, header: str = "symbol,from,to") -> str:
    path = written(folder, rows, header)
    with pytest.raises(UsageError, match=re.escape(str(path))) as caught:
        read_membership(path, "XNYS")
    return str(caught.value).removeprefix(str(path))


def test_without_names_all_symbols_of_the_provider_are_members_for_ever():
    found = members(open_provider(SampleSpec()), UniverseSpec(), date(2013, 3, 1))
    assert found.symbols == found.ever == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert found.membership.rows()[0] == ("AAPL", None, None, "XNYS", None)
    assert dict(found.membership.schema) == SPELL_COLUMNS


def test_named_symbols_are_members_for_ever_in_order():
    found = members(Unlisted(), UniverseSpec(symbols=("MSFT", "AAPL"), exchange="XLON"), TODAY)
    assert found.symbols == found.ever == ("AAPL", "MSFT")
    assert found.membership["exchange"].unique().to_list() == ["XLON"]


def test_a_provider_that_lists_its_symbols_refuses_others():
    sample = open_provider(SampleSpec())
    with pytest.raises(UsageError, match=r"universe.symbols names 'APPL'.*Did you mean 'AAPL'"):
        members(sample, UniverseSpec(symbols=("APPL",)), TODAY)


def test_a_file_is_held_against_a_provider_that_lists_its_symbols(tmp_path):
    path = written(tmp_path, "AAPL,,\nGONE,,2005-12-30\n")
    with pytest.raises(UsageError, match=r"universe\.file names 'GONE'"):
        by_file(path, date(2013, 3, 1), open_provider(SampleSpec()))
    assert by_file(path, date(2013, 3, 1)).ever == ("AAPL", "GONE")


def test_a_provider_that_cannot_list_needs_names():
    with pytest.raises(UsageError, match=r"'unlisted' cannot list .*universe.file.*dow30.csv"):
        members(Unlisted(), UniverseSpec(), TODAY)


def test_members_tonight_and_members_ever_follow_the_session(tmp_path):
    rows = "A,,2010-06-30\nB,2010-07-01,\nC,2000-01-03,2001-12-31\nC,2010-07-01,\nD,2030-01-02,\n"
    path = written(tmp_path, rows)
    last, after = (by_file(path, date(2010, *d)) for d in ((6, 30), (7, 1)))
    assert (last.symbols, last.ever) == (("A",), ("A", "C"))
    assert (after.symbols, after.ever) == (("B", "C"), ("A", "B", "C"))
    assert after.membership.filter(symbol="C").height == 2
    # Not a member yet, and known to become one.
    assert "D" in after.membership["symbol"]


def test_a_session_without_members_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no member on 1999-12-31"):
        by_file(written(tmp_path, "A,2000-01-03,\n"), date(1999, 12, 31))


def test_a_file_may_name_exchanges_and_leave_the_rest_to_the_default(tmp_path):
    path = written(tmp_path, " B ,,,XLON\nA,,,\n", "symbol,from,to,exchange")
    assert read_membership(path, "XNYS").select("symbol", "exchange").rows() == [
        ("A", "XNYS"),
        ("B", "XLON"),
    ]


def test_a_file_may_name_sectors_that_change_from_spell_to_spell(tmp_path):
    rows = "A,,2010-01-08,Énergie & Eau\nA,2010-01-11,, Banks \nB,,,\nC,,,  \n"
    found = read_membership(written(tmp_path, rows, "symbol,from,to,sector"), "XNYS")
    assert found["sector"].to_list() == ["Énergie & Eau", "Banks", None, None]
    assert dict(found.schema) == SPELL_COLUMNS
    without = read_membership(written(tmp_path, "A,,\n"), "XNYS")
    assert without.rows() == [("A", None, None, "XNYS", None)]
    assert dict(without.schema) == SPELL_COLUMNS


def test_the_columns_of_a_file_may_stand_in_any_order(tmp_path):
    path = written(tmp_path, "Banks,A,XLON,,2010-01-08\n", "sector,symbol,exchange,from,to")
    assert read_membership(path, "XNYS").rows() == [
        ("A", None, date(2010, 1, 8), "XLON", "Banks"),
    ]


@pytest.mark.parametrize(
    ("sector", "message"),
    [
        ("x" * 61, ": row 2: sector is '" + "x" * 60 + "\\u2026', of 61 characters; write a name"),
        ("Ban\tks", ": row 2: sector is 'Ban\\tks', of 6 characters; write"),
    ],
)
def test_a_sector_is_a_short_text_that_can_be_printed(tmp_path, sector, message):
    assert refusal(tmp_path, f"A,,,Banks\nB,,,{sector}\n", "symbol,from,to,sector").startswith(
        message
    )
    path = written(tmp_path, f"A,,,{'x' * 60}\n", "symbol,from,to,sector")
    assert read_membership(path, "XNYS")["sector"].item() == "x" * 60


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("A,,\nB,2010-13-01,\n", r": row 2: from is '2010-13-01', which is no date; write"),
        ("A,,1/2/2010\n", r": row 1: to is '1/2/2010'"),
        ("A,2010-02-01,2010-01-31\n", r": row 1: from is 2010-02-01, after to, which is 2010-01"),
        ("A,,\nB,,\nA,,\n", r": rows 1 and 3 name A for the same days"),
        ("A,2010-01-04,2010-01-08\nA,2010-01-08,\n", r": rows 1 and 2 name A"),
        ("A,2011-01-03,\nA,,2011-01-03\n", r": rows 2 and 1 name A"),
        ("A,,\n,,\n", r": row 2: '' is no symbol: it is empty"),
        ("A/B,,\n", r": row 1: 'A/B' is no symbol: it holds '/'"),
        ("", r" has a header but no rows"),
    ],
)
def test_a_wrong_row_is_named_with_its_value(tmp_path, rows, message):
    assert re.match(message, refusal(tmp_path, rows))


def test_spells_may_follow_one_another(tmp_path):
    path = written(tmp_path, "A,2010-01-09,\nA,2010-01-04,2010-01-08\n")
    assert read_membership(path, "XNYS")["from"].to_list() == [date(2010, 1, 4), date(2010, 1, 9)]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("symbol,from,until", "the columns are symbol, from, until; have symbol, from, to"),
        ("symbol,from", "the columns are symbol, from; have"),
        ("symbol,form,to", "Did you mean 'from'"),
        ("symbol,from,to,sectors", "exchange and sector, and no others. Did you mean 'sector'"),
    ],
)
def test_other_columns_are_refused(tmp_path, header, message):
    assert message in refusal(tmp_path, "A" + "," * header.count(",") + "\n", header)


def test_exchanges_are_checked_by_row(tmp_path):
    header = "symbol,from,to,exchange"
    unknown = refusal(tmp_path, "A,,,XNYS\nB,,,XNYSE\n", header)
    assert re.match(r": row 2: No trading calendar is called 'XNYSE'.*Did you mean", unknown)
    moved = refusal(tmp_path, "A,,2010-01-08,XNYS\nA,2010-01-11,,XLON\n", header)
    assert moved.startswith(": A stands on XLON and on XNYS")


def test_a_file_that_is_not_there_is_told_of_those_that_are(tmp_path):
    with pytest.raises(UsageError, match=r"dow30 cannot be read .*dow30.csv, sector_spdrs.csv"):
        read_membership(tmp_path / "dow30", "XNYS")


def test_rows_are_members_inside_a_spell_ends_included(tmp_path):
    rows = "A,2010-01-05,2010-01-06\nA,2010-01-08,\nB,,2010-01-04\n"
    membership = read_membership(written(tmp_path, rows), "XNYS")
    days = [date(2010, 1, d) for d in range(4, 10)]
    frame = pl.DataFrame(
        {"symbol": [s for s in ("B", "A", "X") for _ in days], "date": [*days[::-1], *days, *days]}
    )
    inside = {("A", 5), ("A", 6), ("A", 8), ("A", 9), ("B", 4)}
    expected = [(s, d.day) in inside for s, d in frame.rows()]
    assert member_rows(membership, frame).to_list() == expected
    assert member_rows(membership, frame.clear()).to_list() == []


def test_members_without_dates_hold_every_row():
    membership = members(Unlisted(), UniverseSpec(symbols=("A",)), TODAY).membership
    frame = pl.DataFrame({"symbol": ["A", "A"], "date": [date(1962, 1, 2), TODAY]})
    assert member_rows(membership, frame).all()


@pytest.mark.parametrize("path", sorted(READY.glob("*.csv")), ids=lambda p: p.stem)
def test_a_ready_universe_can_be_read_and_is_described(path):
    assert by_file(path, TODAY).symbols
    assert f"`{path.name}`" in (READY / "README.md").read_text()


def test_the_dow_has_thirty_members_on_every_day_since_november_1999():
    membership = read_membership(READY / "dow30.csv", "XNYS")
    first = date(1999, 11, 1)
    days = [first + timedelta(days=n) for n in range((TODAY - first).days + 1)]
    symbols = membership["symbol"].unique().to_frame()
    frame = symbols.join(pl.DataFrame({"date": days}), how="cross")
    counts = frame.filter(member_rows(membership, frame))["date"].value_counts()
    assert counts.height == len(days)
    assert counts["count"].unique().to_list() == [30]


GICS = {
    *("Communication Services", "Consumer Discretionary", "Consumer Staples", "Energy"),
    *("Financials", "Health Care", "Industrials", "Information Technology", "Materials"),
    *("Real Estate", "Utilities"),
}


@pytest.mark.parametrize("name", ["dow30", "us_large_30"])
def test_a_ready_universe_of_shares_names_their_sectors(name):
    assert set(read_membership(READY / f"{name}.csv", "XNYS")["sector"]) <= GICS


@pytest.mark.parametrize(
    ("symbol", "last", "old", "new"),
    [
        ("DIS", date(2018, 9, 21), "Consumer Discretionary", "Communication Services"),
        ("V", date(2023, 3, 17), "Information Technology", "Financials"),
    ],
)
def test_the_dow_follows_a_company_from_sector_to_sector(symbol, last, old, new):
    frame = pl.DataFrame({"symbol": symbol, "date": [last, last + timedelta(days=3)]})
    membership = read_membership(READY / "dow30.csv", "XNYS")
    assert sector_rows(membership, frame).to_list() == [old, new]
    assert member_rows(membership, frame).all()


# Members that public lists of the year name, by today's tickers.
DOW_OF_2010 = (
    "MMM HWM AXP T BAC BA CAT CVX CSCO KO DD-201708 XOM GE HPQ HD IBM INTC JNJ JPM MDLZ MCD MRK "
    "MSFT PFE PG TRV RTX VZ WMT DIS"
)
DOW_OF_EARLY_2026 = (
    "MMM AMZN AXP AMGN AAPL BA CAT CVX CSCO KO DIS GS HD HON IBM JNJ JPM MCD MRK MSFT NKE NVDA PG "
    "CRM SHW TRV UNH VZ V WMT"
)


@pytest.mark.parametrize(
    ("day", "named"),
    [(date(2010, 6, 24), DOW_OF_2010), (date(2026, 2, 2), DOW_OF_EARLY_2026)],
)
def test_the_dow_of_a_year_is_the_one_that_was_published(day, named):
    found = by_file(READY / "dow30.csv", day)
    assert set(found.symbols) == set(named.split())


def test_a_dated_universe_says_who_left_and_what_the_source_lacks():
    universe = UniverseSpec(file=READY / "dow30.csv")
    found = members(Unlisted(), universe, TODAY)
    assert survivorship(universe, found.membership, Unlisted()) == (
        "The universe has dated members: of the 53 members in dow30.csv, 23 have left, and each "
        "counts only while it belonged. It forgets the dead."
    )


@pytest.mark.parametrize(
    ("universe", "named"),
    [
        (UniverseSpec(symbols=("A", "B")), "2 named symbols"),
        (UniverseSpec(file=READY / "us_large_30.csv"), "the 30 members in us_large_30.csv"),
        (UniverseSpec(file=READY / "sector_spdrs.csv"), "the 12 members in sector_spdrs.csv"),
    ],
)
def test_a_universe_that_nobody_has_left_is_called_one_of_survivors(universe, named):
    found = members(Unlisted(), universe, TODAY)
    sentence = survivorship(universe, found.membership, Unlisted())
    assert sentence.startswith(f"The universe is today's members looked at backwards: {named}, ")


def test_the_sample_says_that_its_shares_are_survivors():
    sample = open_provider(SampleSpec())
    found = members(sample, UniverseSpec(), date(2013, 3, 1))
    sentence = survivorship(UniverseSpec(), found.membership, sample)
    assert "all symbols of the source" in sentence
    assert "chosen with hindsight" in sentence


def test_an_alias_of_an_exchange_is_the_exchange(tmp_path):
    path = written(tmp_path, "A,,,NYSE\nB,,,\n", "symbol,from,to,exchange")
    assert read_membership(path, "XNYS")["exchange"].to_list() == ["XNYS", "XNYS"]
    assert UniverseSpec(exchange="NYSE").exchange == "XNYS"
