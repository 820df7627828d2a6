import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import DataError, UsageError
from tasks.lake.store import Lake, check_writable
from tasks.lake.tables import FORECASTS, QUARANTINE, TABLES
from tests.lake.frames import at, bars, batches

JAN2, JAN3 = date(2020, 1, 2), date(2020, 1, 3)


def closes(lake, known_by, cutoff=None):
    frame = lake.read("bars", cutoff=cutoff, known_by=known_by)
    return {(r["symbol"], r["date"]): r["close"] for r in frame.iter_rows(named=True)}


def stored_rows(lake, table="bars"):
    return pl.read_delta(f"{lake.uri}/{table}").height


def test_a_restated_bar_is_seen_from_its_known_at_on_and_not_before(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", JAN2, 10.0)]), at(0))
    lake.append("bars", bars([("A", JAN2, 11.0)]), at(5))
    assert closes(lake, at(-1)) == {}
    assert closes(lake, at(0)) == {("A", JAN2): 10.0}
    assert closes(lake, at(4.99)) == {("A", JAN2): 10.0}
    assert closes(lake, at(5)) == {("A", JAN2): 11.0}


def test_a_bar_after_the_cutoff_is_not_seen_however_early_it_was_known(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", JAN2, 10.0), ("A", JAN3, 12.0)]), at(0))
    assert closes(lake, at(1), JAN2) == {("A", JAN2): 10.0}
    assert len(closes(lake, at(1), JAN3)) == len(closes(lake, at(1))) == 2


def refused(**changes) -> pl.DataFrame:
    texts = dict.fromkeys(("symbol", "kind", "rule", "field", "value", "source", "run"), "x")
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume", "amount"))
    row = {**texts, **numbers, "date": None, "occurrence": 1, **changes}
    return pl.DataFrame({c: [row[c]] for c in QUARANTINE.columns}, schema=dict(QUARANTINE.columns))


def test_a_row_without_a_date_is_seen_at_all_dates_and_compared_with_what_is_known(tmp_path):
    lake = Lake(tmp_path)
    both = pl.concat([refused(), refused(date=JAN2)])
    assert lake.append("quarantine", both, at(0)) == 2
    for rows in (both, refused(), refused(date=JAN2)):
        assert lake.append("quarantine", rows, at(1)) == 0
    mixed = pl.concat([refused(), refused(date=JAN3)])
    assert lake.append("quarantine", mixed, at(1)) == 1
    seen = lake.read("quarantine", cutoff=JAN3, known_by=at(1), since=JAN3)
    assert seen["date"].to_list() == [None, JAN3]
    assert lake.newest_dates("quarantine", ["x"], None, at(1)) == {"x": JAN3}


def test_a_tie_in_known_at_goes_to_the_later_commit(tmp_path):
    lake = Lake(tmp_path)
    for close in (10.0, 12.0, 11.0):
        lake.append("bars", bars([("A", JAN2, close)]), at(0))
    assert closes(lake, at(0)) == {("A", JAN2): 11.0}


def test_a_value_that_comes_back_is_a_restatement_too(tmp_path):
    lake = Lake(tmp_path)
    for minute, close in enumerate((10.0, 11.0, 10.0)):
        assert lake.append("bars", bars([("A", JAN2, close)]), at(minute)) == 1
    assert [closes(lake, at(m))["A", JAN2] for m in range(3)] == [10.0, 11.0, 10.0]


def test_what_is_said_first_does_not_take_back_what_the_same_instant_has_put_right(tmp_path):
    lake = Lake(tmp_path)
    said, right = (bars([("A", JAN2, close)]) for close in (10.0, 11.0))
    assert lake.append("bars", said, at(0), first=True) == 1
    assert lake.append("bars", right, at(0)) == 1
    assert lake.append("bars", said, at(0), first=True) == 0
    assert closes(lake, at(0)) == {("A", JAN2): 11.0}
    assert lake.append("bars", said, at(1), first=True) == 1


def test_equal_rows_are_not_written_again(tmp_path):
    lake, rows = Lake(tmp_path), bars([("A", JAN2, 10.0), ("B", JAN2, 20.0)])
    assert lake.append("bars", rows, at(0)) == 2
    version = DeltaTable(f"{lake.uri}/bars").version()
    shuffled = rows.select(reversed(rows.columns)).reverse()
    assert lake.append("bars", shuffled, at(0)) == lake.append("bars", rows, at(9)) == 0
    assert DeltaTable(f"{lake.uri}/bars").version() == version
    mixed = bars([("A", JAN2, 10.0), ("B", JAN2, 21.0), ("B", JAN3, 22.0)])
    assert lake.append("bars", mixed, at(10)) == 2


def test_what_a_run_of_a_later_instant_wrote_does_not_hide_an_earlier_runs_rows(tmp_path):
    # Two runs at once: the one that began later commits first.
    lake, rows = Lake(tmp_path), bars([("A", JAN2, 10.0)])
    lake.append("bars", rows, at(5))
    lake.append("bars", rows, at(0))
    assert closes(lake, at(0)) == closes(lake, at(5)) == {("A", JAN2): 10.0}
    assert lake.append("bars", rows, at(0)) == 0


def forecast_row(**changes) -> pl.DataFrame:
    texts = dict.fromkeys(("model", "gate", "symbol", "target", "unit", "origin"), "x")
    numbers = dict.fromkeys(("score", "mean", "q05", "q25", "q50", "q75", "q95"), 0.5)
    other = {"cutoff": JAN2, "horizon": 1, "rank": 1, "tradable": True, "known_by": at(0)}
    row = {**texts, **numbers, **other, **changes}
    return pl.DataFrame({c: [row[c]] for c in FORECASTS.columns}, schema=dict(FORECASTS.columns))


def test_rows_that_differ_in_audit_columns_only_are_one_row_and_the_first_stays(tmp_path):
    lake = Lake(tmp_path)
    lake.append("forecasts", forecast_row(origin="live"), at(0))
    later = forecast_row(origin="replay", tradable=False, known_by=at(9))
    assert lake.append("forecasts", later, at(9)) == 0
    kept = lake.read("forecasts", cutoff=None, known_by=at(10))
    assert kept["origin"].to_list() == ["live"]
    assert lake.append("forecasts", forecast_row(origin="replay", mean=0.6), at(9)) == 1


def test_nulls_are_equal_to_nulls(tmp_path):
    lake, blank = Lake(tmp_path), forecast_row(mean=None, q05=None)
    assert lake.append("forecasts", blank, at(0)) == 1
    assert lake.append("forecasts", blank, at(1)) == 0
    assert lake.append("forecasts", forecast_row(mean=0.0, q05=None), at(1)) == 1


def assert_all_there_once(lake, writers):
    raw = pl.read_delta(f"{lake.uri}/bars")
    assert raw.height == 3 + 3 * writers
    assert not raw.select("symbol", "date").is_duplicated().any()
    seen = closes(lake, at(99))
    assert {v for (symbol, _), v in seen.items() if symbol == "ALL"} == {1.0}
    for writer in range(writers):
        assert [v for (s, _), v in seen.items() if s == f"OWN{writer}"] == [float(writer)] * 3


def test_eight_threads_writing_the_same_and_other_rows_duplicate_and_lose_nothing(tmp_path):
    lake = Lake(tmp_path)

    def write(writer):
        return sum(lake.append("bars", batch, at(0)) for batch in batches(writer))

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(8)))
    assert sum(written) == 27
    assert_all_there_once(lake, 8)


def test_three_processes_writing_at_once_duplicate_and_lose_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.lake.writer_child", tmp_path]
    children = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(3)
    ]
    for child in children:
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        child.communicate(b"go\n", timeout=60)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert_all_there_once(Lake(tmp_path), 3)


def test_one_key_twice_is_refused_and_named(tmp_path):
    lake = Lake(tmp_path)
    with pytest.raises(DataError, match=r"name one key twice: .*'A'.*2020-01-02"):
        lake.append("bars", bars([("A", JAN2, 1.0), ("A", JAN2, 2.0)]), at(0))
    assert not lake.exists("bars")


def test_missing_columns_a_naive_instant_and_an_unknown_table_are_refused(tmp_path):
    lake, rows = Lake(tmp_path), bars([("A", JAN2, 1.0)])
    with pytest.raises(DataError, match="lack the columns close, volume; found symbol"):
        lake.append("bars", rows.drop("close", "volume"), at(0))
    with pytest.raises(UsageError, match="has no time zone"):
        lake.append("bars", rows, datetime(2020, 1, 1))  # noqa: DTZ001
    with pytest.raises(UsageError, match=r"no table 'bar'.*Did you mean 'bars'"):
        lake.read("bar", cutoff=None, known_by=at(0))


@pytest.mark.parametrize("table", TABLES)
def test_a_table_never_written_reads_as_empty_with_its_columns(tmp_path, table):
    lake = Lake(tmp_path)
    empty = lake.read(table, cutoff=JAN2, known_by=at(0), stamps=True)
    assert dict(empty.schema) == TABLES[table].stored
    assert empty.is_empty()
    assert lake.append(table, empty, at(0)) == 0
    assert not lake.exists(table)


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Lake(tmp_path / "file").append("bars", bars([("A", JAN2, 1.0)]), at(0))
    with pytest.raises(UsageError, match="choose another --root"):
        check_writable(tmp_path / "file" / "root")


def test_the_log_is_kept_for_an_auditor(tmp_path):
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", JAN2, 1.0)]), at(0))
    kept = DeltaTable(f"{lake.uri}/bars").metadata().configuration
    assert kept["delta.logRetentionDuration"] == "interval 36500 days"


def test_every_row_tells_what_was_said_before_and_when_it_was_committed(tmp_path):
    lake = Lake(tmp_path)
    assert lake.every_row("bars").is_empty()
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    lake.append("bars", bars([("A", JAN2, 1.0)]), at(5))
    between = datetime.now(UTC)
    lake.append("bars", bars([("A", JAN2, 2.0), ("B", JAN2, 3.0)]), at(5))
    rows = lake.every_row("bars").sort("commit", "symbol")
    assert rows.select("symbol", "close", "commit").rows() == [
        ("A", 1.0, 1),
        ("A", 2.0, 2),
        ("B", 3.0, 2),
    ]
    first, second, third = rows["committed_at"]
    # The clock of a commit has milliseconds.
    assert before <= first <= between
    assert second == third >= between - timedelta(milliseconds=1)


SYMBOLS, DAYS = ("A", "B"), (JAN2, JAN3)
a_batch = st.tuples(
    st.integers(0, 4),
    st.dictionaries(
        st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(DAYS)),
        st.sampled_from((1.0, 2.0)),
        min_size=1,
    ),
)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(history=st.lists(a_batch, min_size=1, max_size=6))
def test_a_read_agrees_with_a_plain_log_of_all_that_was_ever_said(history):
    # The log keeps everything: a write that the lake leaves out must never be missed.
    log = []
    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        for minute, batch in history:
            lake.append("bars", bars([(s, d, c) for (s, d), c in batch.items()]), at(minute))
            log += [(minute, key, close) for key, close in batch.items()]
        for clock in range(-1, 5):
            for cutoff in DAYS:
                said = [(m, k, c) for m, k, c in log if m <= clock and k[1] <= cutoff]
                newest = {k: c for _, k, c in sorted(said, key=lambda entry: entry[0])}
                assert closes(lake, at(clock), cutoff) == newest
