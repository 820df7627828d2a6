import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError, UsageError
from tasks.ingest.providers import open_provider
from tasks.ingest.providers.base import Fetched, Provider
from tasks.ingest.quality import check, check_actions, enforce_ceiling
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.spec import FilesSpec, QualitySpec
from tasks.lake.calendar import sessions
from tests.ingest.counts import count_by_symbol

END = date(2013, 12, 31)
NOW = datetime(2014, 1, 2, 22, tzinfo=UTC)
HEADER = "symbol,date,open,high,low,close,volume"
TAPE = """\
A,2013-01-02,700,710,690,700,10,0,
A,2013-01-03,100,101,99,100,70,2,7
A,2013-01-04,25,26,24,25,280,0.5,4
B,2013-01-02,50,51,49,50,5,0,1
B,2013-01-03,50,51,49,50,5,0,0
"""


def written(folder: Path, text: str, header: str = HEADER, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text(f"{header}\n{text}")
    return path


def opened(path: Path, prices: str = "as_traded", **options) -> Provider:
    return open_provider(FilesSpec(path=path, prices=prices, **options))


def served(path: Path, prices: str = "as_traded") -> Fetched:
    provider = opened(path, prices)
    return provider.fetch(dict.fromkeys(provider.symbols()), END, NOW)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return written(tmp_path, TAPE, f"{HEADER},dividend,split")


def test_as_traded_bars_pass_untouched_and_columns_become_actions(tape):
    fetched = served(tape)
    assert fetched.bars.select("symbol", "close", "volume").rows() == [
        ("A", 700.0, 10.0),
        ("A", 100.0, 70.0),
        ("A", 25.0, 280.0),
        ("B", 50.0, 5.0),
        ("B", 50.0, 5.0),
    ]
    assert fetched.actions.drop("source").rows() == [
        ("A", date(2013, 1, 3), "dividend", 2.0),
        ("A", date(2013, 1, 3), "split", 7.0),
        ("A", date(2013, 1, 4), "dividend", 0.5),
        ("A", date(2013, 1, 4), "split", 4.0),
    ]


def test_split_adjusted_bars_and_dividends_come_out_as_traded(tape, tmp_path):
    # The tape of A divided by 28, 4 and 1, as a vendor shows it after the last split.
    adjusted = """\
A,2013-01-02,25,25.357142857142858,24.642857142857142,25,280,0,1
A,2013-01-03,25,25.25,24.75,25,280,0.5,7
A,2013-01-04,25,26,24,25,280,0.5,4
B,2013-01-02,50,51,49,50,5,0,1
B,2013-01-03,50,51,49,50,5,0,1
"""
    path = written(tmp_path, adjusted, f"{HEADER},dividend,split", "adjusted.csv")
    fetched, truth = served(path, "split_adjusted"), served(tape)
    assert_frame_equal(fetched.bars, truth.bars)
    assert_frame_equal(fetched.actions, truth.actions)


def test_a_split_beyond_the_end_is_undone_too(tape):
    provider = opened(tape, "split_adjusted")
    fetched = provider.fetch({"A": None}, date(2013, 1, 2), NOW)
    assert fetched.bars["close"].to_list() == [700.0 * 28]
    assert fetched.actions.is_empty()


def test_a_split_that_quality_refuses_is_not_undone(tmp_path):
    rows = "A,2013-01-02,9,9,9,9,1,1\nA,2013-01-03,9,9,9,9,1,-2\n"
    fetched = served(written(tmp_path, rows, f"{HEADER},split"), "split_adjusted")
    assert fetched.bars["close"].to_list() == [9.0, 9.0]
    assert check_actions(fetched.actions, fetched.bars, NO_REVIEWS)[1].height == 1


def test_fully_adjusted_bars_have_no_actions(tape):
    fetched = served(tape, "fully_adjusted")
    assert fetched.bars["close"].to_list() == [700.0, 100.0, 25.0, 50.0, 50.0]
    assert fetched.actions.is_empty()


@pytest.mark.parametrize(
    ("prices", "kinds"), [("as_traded", ["split"]), ("split_adjusted", ["dividend"])]
)
def test_without_action_columns_the_adjusted_close_tells(tmp_path, prices, kinds):
    rows = "A,2013-01-02,9,9,9,8,1,4\nA,2013-01-03,9,9,9,8,1,8\n"
    fetched = served(written(tmp_path, rows, f"{HEADER},adj_close"), prices)
    assert fetched.actions["kind"].to_list() == kinds
    assert fetched.bars["adj_close"].to_list() == [4.0, 8.0]


@pytest.mark.parametrize("prices", ["as_traded", "split_adjusted", "fully_adjusted"])
def test_the_adjusted_close_stays_as_the_vendor_gave_it(tmp_path, prices):
    rows = "A,2013-01-02,50,50,50,50,1,1,49\nA,2013-01-03,50,50,50,50,1,2,50\n"
    with_it = served(written(tmp_path, rows, f"{HEADER},split,adj_close"), prices)
    assert with_it.bars["adj_close"].to_list() == [49.0, 50.0]
    without = served(written(tmp_path, TAPE, f"{HEADER},dividend,split"), prices)
    assert without.bars["adj_close"].null_count() == without.bars.height


def test_each_symbol_is_served_from_its_own_start(tape):
    starts = {"A": date(2013, 1, 4), "B": None}
    fetched = opened(tape).fetch(starts, END, NOW)
    assert fetched.bars.select("symbol", pl.col("date").dt.day()).rows() == [
        ("A", 4),
        ("B", 2),
        ("B", 3),
    ]
    assert fetched.actions["date"].unique().to_list() == [date(2013, 1, 4)]
    assert {s: a.outcome for s, a in fetched.answers.items()} == {"A": "ok", "B": "ok"}


def test_stated_actions_go_before_the_adjusted_close(tmp_path):
    rows = "A,2013-01-02,9,9,9,8,1,4,1\nA,2013-01-03,9,9,9,8,1,8,1\n"
    assert served(written(tmp_path, rows, f"{HEADER},adj_close,split")).actions.is_empty()


def test_csv_parquet_gzip_and_a_folder_serve_the_same(tape, tmp_path):
    truth = served(tape)
    frame = pl.read_csv(tape, try_parse_dates=True)
    frame.write_parquet(tmp_path / "bars.parquet")
    (tmp_path / "bars.csv.gz").write_bytes(gzip.compress(tape.read_bytes()))
    folder = tmp_path / "many [1]"
    folder.mkdir()
    frame.filter(symbol="B").write_csv(folder / "b.csv")
    frame.filter(symbol="A").write_parquet(folder / "a.parquet")
    (folder / "README.txt").write_text("not bars")
    for path in (tmp_path / "bars.parquet", tmp_path / "bars.csv.gz", folder):
        assert_frame_equal(served(path).bars, truth.bars)
        assert_frame_equal(served(path).actions, truth.actions)


def test_the_benchmark_is_served_but_no_member(tape):
    provider = opened(tape, benchmark="B")
    assert (provider.symbols(), provider.benchmark()) == (["A"], "B")
    assert provider.last_session(date.max) == date(2013, 1, 4)
    assert provider.fetch({"B": None}, END, NOW).bars.height == 2
    with pytest.raises(UsageError, match="'C'"):
        opened(tape, benchmark="C")


def test_unknown_symbols_are_named(tape):
    with pytest.raises(UsageError, match="'C', 'D'"):
        opened(tape).fetch(dict.fromkeys("ADC"), END, NOW)


def test_missing_columns_are_listed_beside_those_found(tmp_path):
    path = written(tmp_path, "A,2013-01-02,1,1\n", "symbol,Date,open,close")
    with pytest.raises(UsageError, match=r"lacks .*date, high, low, volume; found .*Date, open"):
        opened(path)


def test_surplus_columns_are_ignored(tmp_path):
    path = written(tmp_path, "x,A,2013-01-02,1,1,1,1,1\n", f"note,{HEADER}")
    assert served(path).bars.height == 1


def test_a_symbol_stays_text(tmp_path):
    hong_kong = written(tmp_path, "0700,2013-01-02,1,1,1,1,1\n")
    assert opened(hong_kong).symbols() == ["0700"]


def test_a_path_may_begin_at_home(tape, monkeypatch):
    monkeypatch.setenv("HOME", str(tape.parent))
    assert opened(Path("~") / tape.name).symbols() == ["A", "B"]


def test_a_folder_whose_files_differ_in_actions_is_refused(tape, tmp_path):
    written(tmp_path, "C,2013-01-02,1,1,1,1,1\n", name="c.csv")
    with pytest.raises(UsageError, match=r"bars.csv and c.csv differ in dividend, split"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["absent.csv", "notes.txt", "empty"])
def test_a_path_without_bars_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("symbol")
    with pytest.raises(UsageError, match=name):
        opened(tmp_path / name)


def test_a_file_that_is_not_what_it_says_is_a_clear_error(tmp_path):
    for name, content in (("a.parquet", b"text"), ("b.csv", b""), ("c.csv", b"a,b\n1,2,3\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises((DataError, UsageError), match=name):
            opened(tmp_path / name)


def test_a_header_without_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match="no rows"):
        opened(written(tmp_path, ""))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A,2013-01-03,1,1,1,abc,1", r"column close holds no number in 1 of 2 .*'abc' in row 2"),
        ('A,2013-01-03,"1,000",1,1,1,1', r"column open .*'1,000' in row 2"),
        ("A,1/3/2013,1,1,1,1,1", r"column date .*'1/3/2013' in row 2; write dates as 2024-01-31"),
        ("A,2013-02-30,1,1,1,1,1", r"column date .*'2013-02-30'"),
        (" ,2013-01-03,1,1,1,1,1", r"column symbol .* row 2"),
        ("../A,2013-01-03,1,1,1,1,1", r"bars\.csv: row 2: '\.\./A' is no symbol: it holds '/'"),
        ("NUL,2013-01-03,1,1,1,1,1", r"row 2: 'NUL' is no symbol: Windows keeps"),
        ('"A\n",2013-01-03,1,1,1,1,1', r"row 2: 'A\\n' is no symbol"),
    ],
)
def test_a_cell_that_cannot_be_read_stops_the_run_by_name(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        opened(written(tmp_path, f"A,2013-01-02,1,1,1,1,1\n{row}\n"))


def test_bad_bars_end_in_quarantine(tmp_path):
    rows = """\
A,2013-01-02,10,11,9,10,5
A,2013-01-03,-10,11,9,10,5
A,2013-01-04,10,11,9,,5
A,2013-01-07,10,11,9,NaN,5
A,2013-01-08,10,11,null,10,5
A,2013-01-09,10,11,9,10
A,2013-01-10,10,11,9,10,5
A,2013-01-10,10,11,9,10,5
A,,10,11,9,10,5
"""
    bars = served(written(tmp_path, rows)).bars
    good, quarantine = check(
        bars, sessions("XNYS", date(2013, 1, 2), date(2013, 1, 10)), {}, NO_REVIEWS
    )
    assert good["date"].to_list() == [date(2013, 1, d) for d in (2, 9, 10)]
    assert good["volume"].to_list() == [5.0, None, 5.0]
    assert quarantine.select("date", "rule").rows() == [
        (None, "null_date"),
        (date(2013, 1, 3), "non_positive_price"),
        (date(2013, 1, 4), "null_price"),
        (date(2013, 1, 7), "non_finite_price"),
        (date(2013, 1, 8), "null_price"),
        (date(2013, 1, 10), "duplicate_key"),
    ]


def test_an_undated_row_survives_every_declaration(tmp_path):
    rows = "A,2013-01-02,9,9,9,9,1,1,9\nA,,9,9,9,9,1,2,9\n"
    path = written(tmp_path, rows, f"{HEADER},split,adj_close")
    for prices in ("as_traded", "split_adjusted", "fully_adjusted"):
        assert served(path, prices).bars["date"].to_list() == [None, date(2013, 1, 2)]


def test_dates_may_be_days_instants_or_texts(tmp_path):
    # 21:00 in New York is the next day in Greenwich; the exchange's own day counts.
    midnight = pl.Series([date(2013, 1, 2)]).cast(pl.Datetime)
    evening = midnight.dt.offset_by("21h").dt.replace_time_zone("America/New_York")
    plain = {c: [1] for c in ("open", "high", "low", "close", "volume")}
    for i, day in enumerate(
        (
            pl.Series([date(2013, 1, 2)]),
            midnight,
            evening,
            pl.Series(["2013-01-02"]),
            pl.Series(["2013-01-02 00:00:00-05:00"]),
        )
    ):
        path = tmp_path / f"{i}.parquet"
        pl.DataFrame({"symbol": ["A"], "date": day, **plain}).write_parquet(path)
        assert served(path).bars["date"].to_list() == [date(2013, 1, 2)]


def test_the_fingerprint_follows_content_and_declaration(tape, tmp_path):
    copy = written(tmp_path, TAPE, f"{HEADER},dividend,split", "copy.csv")
    assert opened(copy).fingerprint() == opened(tape).fingerprint()
    assert opened(tape, "fully_adjusted").fingerprint() != opened(tape).fingerprint()
    copy.write_text(copy.read_text().replace("700", "701"))
    assert opened(copy).fingerprint() != opened(tape).fingerprint()


def test_a_file_is_read_once_a_process_until_it_changes(tape):
    first, again = opened(tape), opened(tape)
    assert again._history is first._history
    assert opened(tape, benchmark="B")._history is not first._history
    tape.write_text(tape.read_text().replace("700", "701"))
    assert opened(tape).fetch({"A": None}, END, NOW).bars["close"][0] == 701.0


@pytest.mark.parametrize(
    ("header", "prices", "warned"),
    [
        (HEADER, "as_traded", "splits and dividends are not known"),
        (HEADER, "split_adjusted", "dividends are not known"),
        (HEADER, "fully_adjusted", "change with every later dividend"),
        (f"{HEADER},split", "as_traded", None),
        (f"{HEADER},adj_close", "split_adjusted", None),
    ],
)
def test_files_that_lack_actions_say_so(tmp_path, header, prices, warned):
    path = written(tmp_path, f"A,2013-01-02{',1' * (header.count(',') - 1)}\n", header)
    survival, *others = opened(path, prices).notes()
    assert "left out of the files" in survival
    assert [warned in note for note in others] == ([True] if warned else [])


SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def real(name: str, prices: str) -> tuple[Fetched, pl.DataFrame, pl.DataFrame]:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout, in ../shared/data")
    fetched = open_provider(FilesSpec(path=path, prices=prices))
    everything = fetched.fetch(dict.fromkeys(fetched.symbols()), date(2021, 12, 31), NOW)
    days = sessions("XNYS", date(2010, 1, 4), date(2021, 4, 21))
    return everything, *check(everything.bars, days, {}, NO_REVIEWS)


def test_forty_real_shares_as_traded_lose_nothing():
    fetched, good, quarantine = real("demo_us40_2010_2021.parquet", "as_traded")
    assert (good.height, quarantine.height) == (113_638, 0)
    assert fetched.actions.filter(kind="split").height == 11
    assert fetched.actions.filter(kind="dividend").height == 1575
    assert check_actions(fetched.actions, good, NO_REVIEWS)[1].is_empty()


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("acl18_raw.parquet", {"null_price": 3}),
        (
            "kaggle_sp500_5yr.parquet",
            {"null_price": 11, "high_below_low": 1, "open_or_close_outside_range": 11},
        ),
    ],
)
def test_known_defects_of_real_bars_are_found(name, refused):
    fetched, _, quarantine = real(name, "split_adjusted")
    assert dict(quarantine["rule"].value_counts().iter_rows()) == refused
    enforce_ceiling(count_by_symbol(fetched.bars), count_by_symbol(quarantine), QualitySpec())
