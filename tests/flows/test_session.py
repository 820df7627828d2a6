from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from flows.config import RunConfig, load_config
from flows.session import plan_run
from models.errors import DataError, UsageError
from tasks.lake.calendar import sessions
from tasks.lake.store import Lake
from tasks.publishing.ledger import ledger_rows
from tasks.publishing.registry import enter
from tests.publishing.nights import FIRST, GATE, bundle_of, forecast, manifest

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LAST = date(2013, 3, 1)


REPLAY = ("provider.kind=sample", "provider.replay=true")
# The 60 sessions before the history's last.
REPLAYED = sessions("XNYS", date(2012, 12, 3), LAST)


def plan(tmp_path, kind="daily", as_of=None, *overrides, now=NOW):
    return plan_run(load_config(None, overrides), kind, as_of, now, str(tmp_path / "lake"))


def publish(tmp_path, *cutoffs, name="sample", model="m"):
    """Enters a model of that name and its forecasts of these nights."""
    lake = Lake(tmp_path / "lake")
    enter(lake, manifest(model, "2012-12-03", name=name), bundle_of(model), FIRST, NOW)
    for cutoff in cutoffs:
        rows = ledger_rows(forecast(), manifest(model), cutoff, NOW, NOW, GATE)
        lake.append("forecasts", rows, NOW)


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


def test_a_day_off_beyond_the_history_is_refused_too(tmp_path):
    saturday = date(2014, 1, 4)
    with pytest.raises(DataError, match=r"ends on 2013-03-01, before --as-of 2014-01-04"):
        plan(tmp_path, "train", saturday)
    # Rounded back, the Sunday after the last bar is inside it.
    assert plan(tmp_path, "train", date(2013, 3, 3)).session == LAST


@pytest.mark.parametrize("kind", ["train", "daily"])
def test_a_session_counts_from_half_an_hour_after_its_close_on(tmp_path, kind):
    final = datetime(2012, 12, 24, 18, 30, tzinfo=UTC)  # after a half day
    day = final.date()
    assert plan(tmp_path, kind, day, now=final).session == day
    with pytest.raises(UsageError, match=r"the last session whose bars are final .* is 2012-12-21"):
        plan(tmp_path, kind, day, now=final - timedelta(seconds=1))
    sooner = ("quality.final_after_minutes=0",)
    closed = final - timedelta(minutes=30)
    assert plan(tmp_path, kind, day, *sooner, now=closed).session == day


LIVE = ("provider.kind=yahoo", 'universe.symbols=["AAPL"]')
THANKSGIVING = date(2026, 11, 26)
EVENING = datetime(2026, 11, 26, 23, tzinfo=UTC)


@pytest.mark.parametrize("hour", [23, 24 + 2, 24 + 8])
def test_a_live_night_is_that_of_the_last_final_session_also_after_midnight(tmp_path, hour):
    now = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(hours=hour)
    assert plan(tmp_path, "daily", None, *LIVE, now=now).session == date(2026, 11, 24)


def test_a_holiday_makes_up_for_a_night_that_failed_and_is_skipped_when_none_did(tmp_path):
    eve = date(2026, 11, 25)
    assert plan(tmp_path, "daily", None, *LIVE, now=EVENING).session == eve
    publish(tmp_path, eve)
    skipped = plan(tmp_path, "daily", None, *LIVE, now=EVENING)
    assert skipped.session is None
    assert skipped.reason == "XNYS held no session on 2026-11-26, and 2026-11-25 is published"
    assert plan(tmp_path, "train", None, *LIVE, now=EVENING).session == eve


def test_a_holiday_asked_for_by_its_date_is_skipped_and_no_future(tmp_path):
    noon = datetime(2026, 11, 26, 17, tzinfo=UTC)
    asked = plan(tmp_path, "daily", THANKSGIVING, *LIVE, now=noon)
    assert asked.reason == "XNYS held no session on 2026-11-26"
    with pytest.raises(UsageError, match="2026-11-27 is in the future"):
        plan(tmp_path, "daily", date(2026, 11, 27), *LIVE, now=noon)


def test_a_live_source_without_symbols_is_refused_with_the_ready_universes(tmp_path):
    with pytest.raises(UsageError, match=r"set universe\.symbols.*dow30\.csv"):
        plan(tmp_path, "daily", None, "provider.kind=yahoo")


def test_members_that_have_left_are_ingested_and_say_so(tmp_path):
    spells = tmp_path / "members.csv"
    spells.write_text("symbol,from,to\nAAPL,,2012-01-31\nIBM,,\nMSFT,2013-02-28,\nFB,2013-03-02,\n")
    planned = plan(tmp_path, "daily", None, f"universe.file='{spells}'")
    assert planned.symbols == ("AAPL", "IBM", "MSFT")
    assert "1 have left" in planned.survivorship


def test_bars_dated_after_the_last_close_do_not_carry_the_newest_session_along(tmp_path):
    # As if the history's last dates were typing errors.
    noon = datetime(2013, 2, 27, 12, 0, tzinfo=UTC)
    assert plan(tmp_path, now=noon).session == date(2013, 2, 26)


def test_a_day_outside_the_calendar_is_bad_usage(tmp_path):
    with pytest.raises(UsageError, match="1950-01-03 lies outside"):
        plan(tmp_path, "daily", date(1950, 1, 3))


def test_chosen_symbols_come_sorted(tmp_path):
    chosen = plan(tmp_path, "daily", None, 'universe.symbols=["MSFT", "AAPL"]')
    assert chosen.symbols == ("AAPL", "MSFT")


def test_a_replay_trains_sixty_sessions_before_the_end_and_forecasts_from_there(tmp_path):
    assert len(REPLAYED) == 61
    assert plan(tmp_path, "train", None, *REPLAY).session == REPLAYED[0]
    assert plan(tmp_path, "daily", None, *REPLAY).session == REPLAYED[0]


def test_a_replay_takes_one_unpublished_session_after_another(tmp_path):
    for published, following in pairwise(REPLAYED[:4]):
        publish(tmp_path, published)
        assert plan(tmp_path, "daily", None, *REPLAY).session == following
        assert plan(tmp_path, "train", None, *REPLAY).session == REPLAYED[0]


def test_a_replay_counts_the_nights_of_its_own_models_only(tmp_path):
    publish(tmp_path, *REPLAYED[:3], name="other", model="o")
    assert plan(tmp_path, "daily", None, *REPLAY).session == REPLAYED[0]
    publish(tmp_path, REPLAYED[0])
    publish(tmp_path, REPLAYED[1], model="its successor")
    assert plan(tmp_path, "daily", None, *REPLAY).session == REPLAYED[2]


def test_a_replay_that_is_through_is_skipped_and_a_night_of_it_can_still_be_asked_for(tmp_path):
    publish(tmp_path, LAST)
    ended = plan(tmp_path, "daily", None, *REPLAY)
    assert ended.session is None
    assert ended.reason == "the replay has published every session up to 2013-03-01"
    assert plan(tmp_path, "daily", REPLAYED[5], *REPLAY).session == REPLAYED[5]


def test_the_default_configuration_is_the_sample():
    assert RunConfig().provider.kind == "sample"


def test_a_row_of_a_mistyped_future_date_does_not_move_the_newest_session(tmp_path):
    header = "symbol,date,open,high,low,close,volume\n"
    rows = [f"A,{day},1,1,1,1,1\n" for day in ("2013-01-02", "2013-01-03", "2031-01-02")]
    (tmp_path / "bars.csv").write_text(header + "".join(rows))
    path = f"provider.path='{tmp_path / 'bars.csv'}'"
    chosen = ("provider.kind=files", path, "provider.prices=as_traded")
    assert plan(tmp_path, "train", None, *chosen).session == date(2013, 1, 3)


def test_a_fallback_without_its_key_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("TIINGO_API_KEY", raising=False)
    with pytest.raises(UsageError, match="TIINGO_API_KEY is empty"):
        plan(tmp_path, "daily", None, "fallback.kind=tiingo")
