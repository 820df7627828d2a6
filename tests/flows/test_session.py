from datetime import UTC, date, datetime

import pytest

from flows.config import RunConfig, load_config
from flows.session import plan_run
from models.errors import DataError, UsageError

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LAST = date(2013, 3, 1)


def plan(tmp_path, kind="daily", as_of=None, *overrides):
    return plan_run(load_config(None, overrides), kind, as_of, NOW, str(tmp_path / "lake"))


def test_the_newest_session_of_a_static_history_is_its_last(tmp_path):
    planned = plan(tmp_path)
    assert planned.session == LAST
    assert planned.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert planned.benchmark == "^GSPC"


def test_planning_writes_nothing(tmp_path):
    plan(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_day_without_a_session_is_skipped_by_daily_and_rounded_back_by_train(tmp_path):
    skipped = plan(tmp_path, "daily", date(2012, 12, 25))
    assert skipped.session is None
    assert "2012-12-25" in skipped.reason
    assert plan(tmp_path, "train", date(2012, 12, 25)).session == date(2012, 12, 24)


def test_a_cutoff_in_the_future_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"2026-11-24 is in the future.*2026-11-20"):
        plan(tmp_path, "daily", date(2026, 11, 24))


def test_a_cutoff_beyond_the_history_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"ends on 2013-03-01, before --as-of 2014-01-02"):
        plan(tmp_path, "daily", date(2014, 1, 2))


def test_an_unknown_symbol_is_refused_with_the_near_name(tmp_path):
    with pytest.raises(UsageError, match=r"'MSFTT'.*Did you mean 'MSFT'"):
        plan(tmp_path, "train", None, 'universe.symbols=["MSFTT"]')


def test_a_replay_trains_sixty_sessions_before_the_end_and_forecasts_from_there(tmp_path):
    replay = ("provider.kind=sample", "provider.replay=true")
    start = plan(tmp_path, "train", None, *replay).session
    assert start == date(2012, 12, 3)
    assert plan(tmp_path, "daily", None, *replay).session == start


def test_the_default_configuration_is_the_sample():
    assert RunConfig().provider.kind == "sample"
