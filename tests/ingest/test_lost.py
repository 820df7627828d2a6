import polars as pl

from tasks.ingest.lost import too_much_lost
from tasks.ingest.spec import QualitySpec
from tasks.lake.store import Lake
from tasks.lake.tables import QUARANTINE
from tests.lake.frames import at, bars, weekdays

DAYS = weekdays(400)
SPEC = QualitySpec(max_refused_per_symbol=0.05, max_refused_total=0.05)


def refused(symbol, days, kind="bar", rule="negative_volume"):
    rows = [{"symbol": symbol, "date": day, "kind": kind, "rule": rule} for day in days]
    blank = dict.fromkeys(QUARANTINE.columns)
    return pl.DataFrame(
        [blank | row | {"occurrence": 0} for row in rows], schema=QUARANTINE.columns
    )


def judged(lake, known_by=99, cutoff=DAYS[-1]):
    return too_much_lost(lake, ["A", "B"], cutoff, at(known_by), SPEC)


def kept(tmp_path, *days):
    """A lake with bars of A on all days but these."""
    lake = Lake(tmp_path)
    lake.append("bars", bars([("A", day, 10.0) for day in DAYS if day not in days]), at(0))
    return lake


def test_bars_lost_a_few_a_night_are_too_many_together(tmp_path):
    lost = DAYS[50:71]
    lake = kept(tmp_path, *lost)
    for night, day in enumerate(lost, start=1):
        lake.append("quarantine", refused("A", [day]), at(night))
    assert judged(lake, known_by=19) is None
    said = judged(lake)
    assert "A lost 21 of 400 bars to quarantine (5.25% of 400)" in said
    assert "max_refused_per_symbol=0.05" in said
    assert judged(lake, cutoff=DAYS[60]) is None


def test_what_was_made_good_or_is_no_bar_is_not_lost(tmp_path):
    lake = kept(tmp_path)
    lake.append("quarantine", refused("A", DAYS[50:90]), at(1))
    lake.append("quarantine", refused("A", DAYS[:40], kind="dividend"), at(1))
    assert judged(lake) is None


def test_a_day_refused_by_several_rules_is_lost_once(tmp_path):
    lost = DAYS[50:61]
    lake = kept(tmp_path, *lost)
    for rule in ("negative_volume", "high_below_low"):
        lake.append("quarantine", refused("A", lost, rule=rule), at(1))
    assert judged(lake) is None
