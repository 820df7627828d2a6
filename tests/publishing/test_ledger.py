from datetime import UTC, date, datetime

import polars as pl
import pytest

from tasks.lake.store import Lake
from tasks.lake.tables import FORECASTS, QUANTILE_COLUMNS
from tasks.publishing.ledger import (
    ledger_rows,
    nights,
    not_forecast,
    published,
    recorded_clock,
)
from tests.lake.frames import at, bars
from tests.publishing.nights import GATE, forecast, manifest

# Thanksgiving was Thursday 28 November 2013; Friday the 29th closed at 18:00 UTC instead of 21:00.
WEDNESDAY, FRIDAY, MONDAY = date(2013, 11, 27), date(2013, 11, 29), date(2013, 12, 2)


def utc(day, hour, minute=0, second=0):
    return datetime(2013, 11, day, hour, minute, second, tzinfo=UTC)


def rows_of(cutoff, now, made=None, model="m"):
    rows = forecast() if made is None else made
    return ledger_rows(rows, manifest(model), cutoff, known_by=now, now=now, gate=GATE)


@pytest.mark.parametrize(
    ("cutoff", "now", "origin", "tradable"),
    [
        (WEDNESDAY, utc(27, 21), "live", True),
        (WEDNESDAY, utc(28, 15), "live", True),  # the holiday
        (WEDNESDAY, utc(29, 14, 29, 59), "live", True),
        (WEDNESDAY, utc(29, 14, 30), "live", False),  # Friday's open
        (WEDNESDAY, utc(29, 17, 59, 59), "live", False),
        (WEDNESDAY, utc(29, 18), "replay", False),  # the half day is over
        (FRIDAY, utc(29, 18), "live", True),
        (FRIDAY, utc(30, 12), "live", True),  # Saturday
        (FRIDAY, datetime(2013, 12, 2, 14, 29, tzinfo=UTC), "live", True),
        (FRIDAY, datetime(2013, 12, 2, 14, 30, tzinfo=UTC), "live", False),
        (FRIDAY, datetime(2026, 1, 5, 12, 0, tzinfo=UTC), "replay", False),
    ],
)
def test_a_forecast_is_live_on_its_own_night_and_tradable_until_the_next_open(
    cutoff, now, origin, tradable
):
    rows = rows_of(cutoff, now)
    assert set(rows["origin"]) == {origin}
    assert set(rows["tradable"]) == {tradable}


def test_a_row_says_what_was_forecast_by_which_model_from_which_clock():
    read, said = utc(27, 21), utc(28, 9)
    rows = ledger_rows(forecast(), manifest("m"), WEDNESDAY, read, said, "refresh, edge")
    assert dict(rows.schema) == dict(FORECASTS.columns)
    first = rows.row(0, named=True)
    assert (first["symbol"], first["rank"], first["mean"], first["q05"]) == ("A", 1, 0.01, -0.01)
    assert (first["model"], first["gate"], first["cutoff"]) == ("m", "refresh, edge", WEDNESDAY)
    assert (first["target"], first["horizon"], first["unit"]) == ("open_to_open", 5, "log_return")
    assert first["known_by"] == read
    assert rows.row(1, named=True)["q05"] is None


def test_publishing_a_night_again_adds_nothing_even_when_it_is_a_replay_by_then(tmp_path):
    lake, night = Lake(tmp_path), utc(27, 22)
    assert lake.append("forecasts", rows_of(WEDNESDAY, night), night) == 2
    for later in (night, utc(29, 19), datetime(2014, 6, 2, tzinfo=UTC)):
        assert lake.append("forecasts", rows_of(WEDNESDAY, later), later) == 0
    kept = lake.read("forecasts", cutoff=None, known_by=utc(30, 0))
    assert set(kept["origin"]) == {"live"}
    assert kept["tradable"].all()
    assert set(kept["known_by"]) == {night}


def test_another_forecast_of_the_same_night_is_a_new_row_beside_the_old_one(tmp_path):
    lake = Lake(tmp_path)
    lake.append("forecasts", rows_of(WEDNESDAY, utc(27, 22)), utc(27, 22))
    changed = rows_of(WEDNESDAY, utc(28, 22), forecast(mean=0.02))
    assert lake.append("forecasts", changed, utc(28, 22)) == 1
    for instant, mean in ((utc(28, 21), 0.01), (utc(28, 22), 0.02)):
        seen = lake.read("forecasts", cutoff=WEDNESDAY, known_by=instant)
        assert seen["mean"].to_list() == [mean, 0.0]


def test_the_horizons_of_a_night_lie_beside_each_other_and_are_published_once(tmp_path):
    lake, night = Lake(tmp_path), utc(27, 22)
    both = pl.concat([forecast(), forecast(mean=0.03, horizon=20)])
    assert lake.append("forecasts", rows_of(WEDNESDAY, night, both), night) == 4
    assert lake.append("forecasts", rows_of(WEDNESDAY, utc(28, 1), both), utc(28, 1)) == 0
    whole = published(lake, "m", WEDNESDAY, night)
    assert whole.select("symbol", "horizon").rows() == [("A", 5), ("A", 20), ("B", 5), ("B", 20)]
    main = published(lake, "m", WEDNESDAY, night, horizon=5)
    assert main["mean"].to_list() == [0.01, 0.0]
    assert recorded_clock(lake, "m", WEDNESDAY, utc(30, 9)) == night


def test_two_models_of_one_night_lie_beside_each_other(tmp_path):
    lake, now = Lake(tmp_path), utc(27, 22)
    for model in ("m", "n"):
        assert lake.append("forecasts", rows_of(WEDNESDAY, now, model=model), now) == 2


def test_a_night_made_again_reads_by_its_first_clock(tmp_path):
    lake, first, later = Lake(tmp_path), utc(27, 22), utc(30, 9)
    assert recorded_clock(lake, "m", WEDNESDAY, first) == first
    lake.append("forecasts", rows_of(WEDNESDAY, first), first)
    assert recorded_clock(lake, "m", WEDNESDAY, later) == first
    assert recorded_clock(lake, "m", FRIDAY, later) == later
    assert recorded_clock(lake, "other", WEDNESDAY, later) == later


def test_nights_are_those_of_the_models_asked_for_in_order(tmp_path):
    lake, now = Lake(tmp_path), datetime(2013, 12, 3, tzinfo=UTC)
    assert nights(lake, ["m"], now) == []
    for cutoff, model in ((MONDAY, "m"), (WEDNESDAY, "m"), (FRIDAY, "n")):
        lake.append("forecasts", rows_of(cutoff, now, model=model), now)
    assert nights(lake, ["m"], now) == [WEDNESDAY, MONDAY]
    assert nights(lake, ["m", "n"], now) == [WEDNESDAY, FRIDAY, MONDAY]
    assert nights(lake, ["m"], utc(30, 0)) == []


def test_members_without_a_forecast_are_told_with_the_reason(tmp_path):
    lake, day, before = Lake(tmp_path), date(2021, 1, 5), date(2021, 1, 4)
    rows = bars([("HELD", day, 1.0), ("SHORT", day, 1.0), ("GONE", before, 1.0)])
    held = pl.col("symbol") == "HELD"
    flags = pl.when(held).then(pl.lit("jump")).otherwise(pl.lit(""))
    lake.append("bars", rows.with_columns(held=held, flags=flags), at(0))
    assert not_forecast(lake, ["HELD", "SHORT", "GONE", "NEVER"], day, at(1)) == {
        "HELD": "its bar is held: jump",
        "SHORT": "no complete window",
        "GONE": "no bar since 2021-01-04",
        "NEVER": "no bar",
    }
    assert not_forecast(lake, [], day, at(1)) == {}


def test_a_row_says_what_its_target_is_and_in_which_unit():
    target = {"kind": "open_to_open", "horizon": 5, "excess": "universe", "form": "rank"}
    made = manifest("m") | {"target": target}
    rows = ledger_rows(
        forecast(), made, WEDNESDAY, known_by=utc(27, 21), now=utc(27, 21), gate=GATE
    )
    assert set(rows.select("target", "unit", "horizon").rows()) == {
        ("open_to_open, excess over universe, rank", "rank", 5)
    }


def test_a_return_over_volatility_stands_in_the_ledger_as_the_return_that_was_published():
    over = manifest("m") | {"target": {"horizon": 5, "scale": "volatility"}}
    rows = ledger_rows(
        forecast(), over, WEDNESDAY, known_by=utc(27, 21), now=utc(27, 21), gate=GATE
    )
    assert set(rows["target"]) == {"open_to_open"}
    assert set(rows["unit"]) == {"log_return"}


def test_a_forecast_without_mean_and_quantiles_is_kept_and_published_once(tmp_path):
    lake, night = Lake(tmp_path), utc(27, 22)
    blank = {c: pl.lit(None, pl.Float64) for c in ("mean", *QUANTILE_COLUMNS)}
    made = forecast().with_columns(**blank, distance=pl.lit(2.0), novel=pl.lit(True))
    assert lake.append("forecasts", rows_of(WEDNESDAY, night, made), night) == 2
    assert lake.append("forecasts", rows_of(WEDNESDAY, utc(28, 1), made), utc(28, 1)) == 0
    kept = lake.read("forecasts", cutoff=None, known_by=utc(30, 0))
    assert kept["score"].to_list() == [0.01, 0.0]
    assert kept.select(*blank).null_count().row(0) == (2,) * 6
