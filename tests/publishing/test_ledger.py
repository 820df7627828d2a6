from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tasks.lake.store import Lake
from tasks.lake.tables import QUANTILE_COLUMNS
from tasks.publishing.ledger import ledger_rows, nights, recorded_clock

MANIFEST = {
    "id": "gru-a",
    "state": "ungated",
    "exchange": "XNYS",
    "target": {"kind": "open_to_open", "horizon": 1},
}
FRIDAY = date(2026, 11, 20)


def forecast(scores=(0.01, -0.02)) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": ["A", "B"],
            "score": scores,
            "mean": scores,
            **dict.fromkeys(QUANTILE_COLUMNS, scores),
            "rank": [1, 2],
        }
    )


def rows(cutoff: date, now: datetime, **options) -> pl.DataFrame:
    made = forecast(**options)
    return ledger_rows(made, MANIFEST, cutoff, now, now)


@pytest.mark.parametrize(
    ("cutoff", "now", "origin", "tradable"),
    [
        # Friday's close to Monday's open, 14:30 UTC in winter.
        (FRIDAY, datetime(2026, 11, 20, 22, tzinfo=UTC), "live", True),
        (FRIDAY, datetime(2026, 11, 22, 22, tzinfo=UTC), "live", True),
        (FRIDAY, datetime(2026, 11, 23, 14, 29, tzinfo=UTC), "live", True),
        (FRIDAY, datetime(2026, 11, 23, 14, 30, tzinfo=UTC), "live", False),
        (FRIDAY, datetime(2026, 11, 23, 21, 0, tzinfo=UTC), "replay", False),
        # The day after Thanksgiving closes at 18:00 UTC.
        (date(2026, 11, 27), datetime(2026, 11, 27, 18, 0, tzinfo=UTC), "live", True),
        (date(2026, 11, 25), datetime(2026, 11, 27, 18, 0, tzinfo=UTC), "replay", False),
        (date(2013, 3, 1), datetime(2026, 11, 23, tzinfo=UTC), "replay", False),
    ],
)
def test_origin_and_tradable_follow_the_calendar(cutoff, now, origin, tradable):
    made = rows(cutoff, now)
    assert made["origin"].unique().to_list() == [origin]
    assert made["tradable"].unique().to_list() == [tradable]


def test_a_night_published_twice_stands_once_however_late_the_second_is(tmp_path):
    lake, now = Lake(tmp_path), datetime(2026, 11, 20, 22, tzinfo=UTC)
    assert lake.append("forecasts", rows(FRIDAY, now), now) == 2
    later = now + timedelta(days=9)
    assert lake.append("forecasts", rows(FRIDAY, later), later) == 0
    stands = lake.read("forecasts", cutoff=None, known_by=later)
    assert stands["tradable"].to_list() == [True, True]


def test_a_night_made_again_reads_by_its_first_clock(tmp_path):
    lake, now = Lake(tmp_path), datetime(2026, 11, 20, 22, tzinfo=UTC)
    later = now + timedelta(days=9)
    assert recorded_clock(lake, "gru-a", FRIDAY, now) == now
    lake.append("forecasts", rows(FRIDAY, now), now)
    assert recorded_clock(lake, "gru-a", FRIDAY, later) == now
    assert recorded_clock(lake, "gru-b", FRIDAY, later) == later


def test_nights_are_those_of_the_models_asked_for(tmp_path):
    lake, now = Lake(tmp_path), datetime(2026, 11, 20, 22, tzinfo=UTC)
    for cutoff in (date(2013, 3, 1), date(2013, 2, 28)):
        lake.append("forecasts", rows(cutoff, now), now)
    assert nights(lake, ["gru-a"], now) == [date(2013, 2, 28), date(2013, 3, 1)]
    assert nights(lake, ["gru-b"], now) == []
