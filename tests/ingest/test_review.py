"""What waits for a person, and what a person's word does to it, on the night and after it."""

import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from models.errors import UsageError
from tasks.ingest.contracts import RAW_BAR_COLUMNS
from tasks.ingest.quality import check
from tasks.ingest.quarantine import UNFIT_RULES
from tasks.ingest.review import pending, release
from tasks.lake.store import Lake
from tasks.lake.tables import QUARANTINE
from tests.ingest.nights import DAYS, Nights, market
from tests.ingest.yahoo.replay import Replay
from tests.ingest.yahoo.session import fresh_yfinance, use_replay
from tests.lake.frames import bars

DAY, SATURDAY = date(2021, 1, 4), date(2021, 1, 2)
NOW = datetime(2021, 1, 5, 12, tzinfo=UTC)
SOON = timedelta(minutes=10)
# The text by which a bar of close 10 is known, as `tests.lake.frames.bars` makes it.
TEN = "open=9.9 high=10.2 low=9.7 close=10.0 volume=1000.0"


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


@pytest.fixture
def nights(tmp_path):
    with (
        fresh_yfinance(tmp_path / "yfinance"),
        Replay(market(2), datetime(2027, 1, 1, tzinfo=UTC)) as server,
    ):
        use_replay(server.url)
        yield Nights(server, tmp_path / "lake")


def hold(lake: Lake, flags: str = "gap,jump", close: float = 10.0, known_at=NOW) -> None:
    row = bars([("A", DAY, close)]).with_columns(flags=pl.lit(flags), held=pl.lit(True))
    lake.append("bars", row, known_at)


def refuse(lake: Lake, rule: str, value: str = TEN, day: date = DAY, close=10.0, **other) -> None:
    """Puts a bar, or with `kind` and `amount` an action, into quarantine."""
    bar = bars([("A", day, close or 10.0)]).row(0, named=True)
    tape = {c: bar[c] for c in ("open", "high", "low", "close", "volume")}
    words = {"symbol": "A", "kind": "bar", "rule": rule, "field": "row", "value": value}
    row = {**words, "source": "test", "run": "one", "date": day, "occurrence": 0, **tape, **other}
    frame = pl.DataFrame([row], schema=dict(QUARANTINE.columns))
    lake.append("quarantine", frame, NOW)


def released(lake: Lake, day: date = DAY, reason: str = "seen on the tape") -> pl.DataFrame:
    return release(lake, "A", day, reason, "me", NOW + SOON)


def bar(lake: Lake, day: date = DAY) -> dict:
    rows = lake.read("bars", cutoff=day, since=day, known_by=NOW + SOON, symbols=["A"])
    return rows.row(0, named=True)


def states(lake: Lake, **options) -> list[tuple]:
    seen = pending(lake, NOW + SOON, **options)
    return seen.select("symbol", "date", "kind", "state", "rule").rows()


def refusal(lake: Lake, **options) -> str:
    with pytest.raises(UsageError) as caught:
        released(lake, **options)
    return str(caught.value)


# What waits.


def test_nothing_waits_in_an_empty_lake(lake):
    seen = pending(lake, NOW)
    assert seen.is_empty()
    names = ["symbol", "date", "kind", "state", "rule", "field", "value", "source"]
    assert seen.columns == names


def test_refused_and_held_rows_wait_with_their_rule_and_the_values_met(lake):
    hold(lake)
    refuse(lake, "off_calendar", day=SATURDAY)
    assert pending(lake, NOW).rows() == [
        ("A", SATURDAY, "bar", "refused", "off_calendar", "row", TEN, "test"),
        ("A", DAY, "bar", "held", "jump", "row", TEN, "test"),
    ]


def test_a_bar_that_two_rules_hold_waits_under_both(lake):
    hold(lake, "jump,stale,stale_across_symbols")
    assert [s[-1] for s in states(lake)] == ["jump", "stale_across_symbols"]


def test_what_waits_is_shown_as_known_at_an_instant_and_by_symbol(lake):
    hold(lake)
    assert pending(lake, NOW - SOON).is_empty()
    assert states(lake, symbol="B") == []
    assert len(states(lake, symbol="A")) == 1


# A held bar.


def test_a_held_bar_that_is_released_is_used_and_says_so(lake):
    hold(lake, "gap,jump")
    before = bar(lake)
    written = released(lake)
    assert written.select(
        "symbol", "date", "kind", "rule", "value", "reason", "reviewer"
    ).rows() == [("A", DAY, "bar", "jump", TEN, "seen on the tape", "me")]
    assert bar(lake) == {**before, "flags": "gap,jump,released", "held": False}
    assert states(lake) == []
    past = lake.read("bars", cutoff=DAY, known_by=NOW)
    assert past["held"].to_list() == [True]
    assert lake.read("reviews", cutoff=None, known_by=NOW + SOON).height == 1


def test_a_bar_that_two_rules_hold_is_released_from_both(lake):
    hold(lake, "jump,stale_across_symbols")
    assert sorted(released(lake)["rule"]) == ["jump", "stale_across_symbols"]
    assert not bar(lake)["held"]


def test_other_bars_and_days_stay_as_they_are(lake):
    hold(lake)
    other = bars([("B", DAY, 5.0), ("A", date(2021, 1, 5), 5.0)]).with_columns(
        flags=pl.lit("jump"), held=pl.lit(True)
    )
    lake.append("bars", other, NOW)
    released(lake)
    assert [(s, d) for s, d, *_ in states(lake)] == [("A", date(2021, 1, 5)), ("B", DAY)]


def test_a_released_bar_stays_released_while_its_values_do_and_is_judged_anew_when_not(nights):
    nights.run(DAYS[100])
    # A spike, by no small rational, that goes back the next day: held for good, unless a person
    # knows better.
    nights.server.fault("S0", "revised", day=DAYS[101], factor=1.45)
    for day in DAYS[101:103]:
        nights.run(day)
    assert nights.bar("S0", DAYS[101])["flags"] == "jump"
    assert nights.bar("S0", DAYS[101])["held"]
    now = nights.at(DAYS[102]) + SOON
    release(nights.lake, "S0", DAYS[101], "seen on the tape", "me", now)
    mine = nights.bars(DAYS[102], now).filter(symbol="S0", date=DAYS[101])
    assert mine.select("flags", "held").rows() == [("jump,released", False)]
    version = nights.lake.open("bars").version()
    batch = nights.ingest(DAYS[102], now=now + SOON)
    assert (batch.kept, nights.lake.open("bars").version()) == (2, version)
    # From the level that is released the next bar comes down, and stays there.
    assert nights.ingest(DAYS[103]).new_rows == 2 + 1
    assert nights.bar("S0", DAYS[102])["flags"] == "large_move"
    assert nights.ingest(DAYS[104]).new_rows == 2
    assert nights.bar("S0", DAYS[101])["flags"] == "jump,released"
    assert not nights.bars(DAYS[104])["held"].any()
    nights.server.heal()
    nights.server.fault("S0", "revised", day=DAYS[101], factor=1.65)
    nights.run(DAYS[105])
    assert nights.bar("S0", DAYS[101])["flags"] == "jump"
    assert nights.bar("S0", DAYS[101])["held"]


# A refused row.


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("off_calendar", str(DAY)),
        ("unit_error", TEN),
        ("wrong_currency", "EUR"),
        ("source_mismatch", TEN),
    ],
)
def test_a_refused_bar_that_is_released_enters_the_lake_with_the_values_refused(lake, rule, value):
    refuse(lake, rule, value)
    written = released(lake)
    # Whatever the rule has shown, the review names all values of the bar.
    assert written.select("rule", "value", "reason").rows() == [(rule, TEN, "seen on the tape")]
    stored = bar(lake)
    assert [stored[c] for c in ("open", "high", "low", "close", "volume")] == pytest.approx(
        [9.9, 10.2, 9.7, 10.0, 1000.0]
    )
    assert (stored["flags"], stored["held"], stored["final"]) == ("released", False, True)
    assert states(lake) == [("A", DAY, "bar", "released", rule)]


def test_a_released_unit_error_takes_the_place_of_the_bar_that_was_held_against_it(lake):
    lake.append("bars", bars([("A", DAY, 1000.0)]), NOW)
    refuse(lake, "unit_error")
    released(lake)
    assert bar(lake)["close"] == 10.0
    assert lake.read("bars", cutoff=DAY, known_by=NOW)["close"].to_list() == [1000.0]


def test_a_repeated_action_that_is_released_enters_the_lake(lake):
    refuse(lake, "duplicate_key", "kind=dividend value=0.5", kind="dividend", amount=0.5)
    released(lake)
    stored = lake.read("actions", cutoff=DAY, known_by=NOW + SOON)
    assert stored.rows() == [("A", DAY, "dividend", 0.5, "test", "released")]
    assert lake.read("bars", cutoff=DAY, known_by=NOW + SOON).is_empty()


def test_a_bar_of_another_currency_that_is_released_passes_on_the_nights_after(nights):
    nights.run(DAYS[100])
    nights.server.fault("S0", "wrong_currency")
    nights.run(DAYS[101])
    now = nights.at(DAYS[101]) + SOON
    release(nights.lake, "S0", DAYS[101], "re-domiciled", "me", now)
    nights.run(DAYS[102])
    mine = nights.bars(DAYS[102]).filter(pl.col("date") >= DAYS[101], symbol="S0")
    assert mine.select("date", "flags", "held").rows() == [(DAYS[101], "released", False)]
    refused = pending(nights.lake, nights.at(DAYS[102]), "S0").filter(date=DAYS[101])
    assert refused["state"].to_list() == ["released"]


@pytest.mark.parametrize("rule", ["off_calendar", "wrong_currency"])
def test_a_release_from_a_rule_on_one_field_counts_for_the_values_seen_only(lake, rule):
    """`review` says so: another value is another matter."""
    closed = rule == "off_calendar"
    raw = bars([("A", DAY, 10.0)]).with_columns(
        adj_close=pl.lit(None, pl.Float64), currency=pl.lit(None if closed else "EUR", pl.String)
    )
    raw = raw.select(RAW_BAR_COLUMNS)
    traded, currencies = ([], {}) if closed else ([DAY], {"A": "USD"})
    nothing = lake.read("reviews", cutoff=None, known_by=NOW)
    _, refused = check(raw, traded, currencies, nothing)
    assert refused["rule"].to_list() == [rule]
    lake.append("quarantine", refused.with_columns(run=pl.lit("one")), NOW)
    released(lake)
    reviews = lake.read("reviews", cutoff=None, known_by=NOW + SOON)
    assert check(raw, traded, currencies, reviews)[0].height == 1
    fivefold = raw.with_columns(pl.col("open", "high", "low", "close") * 5)
    good, again = check(fivefold, traded, currencies, reviews)
    assert good.is_empty()
    assert again["rule"].to_list() == [rule]


class StoppingLake(Lake):
    """A lake whose process dies just before it writes bars."""

    def append(
        self, table: str, rows: pl.DataFrame, known_at: datetime, first: bool = False
    ) -> int:
        if table == "bars":
            raise KeyboardInterrupt
        return super().append(table, rows, known_at, first)


@pytest.mark.parametrize("waiting", ["held", "refused"])
def test_a_release_that_is_stopped_half_way_can_be_done_again(lake, waiting):
    if waiting == "held":
        hold(lake)
    else:
        refuse(lake, "off_calendar", str(DAY))
    with pytest.raises(KeyboardInterrupt):
        released(StoppingLake(lake.uri))
    released(lake)
    assert "released" in bar(lake)["flags"]
    assert not bar(lake)["held"]


# What cannot be released.


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_release_without_a_reason_is_refused(lake, reason):
    hold(lake)
    told = refusal(lake, reason=reason)
    assert told == "A release needs a reason, for whoever audits it; give --reason."
    assert bar(lake)["held"]


def test_where_nothing_waits_nothing_can_be_released(lake):
    told = (
        "Nothing of A on 2021-01-04 is refused or held; `nightcast quarantine --symbol A` shows "
        "what is."
    )
    assert refusal(lake) == told
    lake.append("bars", bars([("A", DAY, 10.0)]), NOW)
    refuse(lake, "off_calendar", day=SATURDAY)
    assert refusal(lake) == told


def test_what_is_released_cannot_be_released_again(lake):
    hold(lake)
    refuse(lake, "off_calendar", day=SATURDAY)
    for day in (DAY, SATURDAY):
        released(lake, day)
        assert refusal(lake, day=day).startswith(f"Nothing of A on {day} is refused or held; ")
    assert lake.read("reviews", cutoff=None, known_by=NOW + SOON).height == 2


@pytest.mark.parametrize("rule", [r for r in UNFIT_RULES if r != "null_date"])
def test_a_row_that_nothing_can_be_computed_with_is_not_released(lake, rule):
    refuse(lake, rule, "null")
    assert refusal(lake) == (
        f"A on 2021-01-04 breaks {rule} (null), and nothing can be computed with it, whoever "
        "vouches for it; mend the source and fetch again."
    )
    assert lake.read("bars", cutoff=None, known_by=NOW + SOON).is_empty()
    assert lake.read("reviews", cutoff=None, known_by=NOW + SOON).is_empty()


def test_of_two_repeats_that_contradict_one_another_neither_is_released(lake):
    other = TEN.replace("close=10.0", "close=10.1")
    refuse(lake, "duplicate_key")
    refuse(lake, "duplicate_key", other, close=10.1)
    told = refusal(lake)
    assert told.startswith(
        "2 rows of A on 2021-01-04 lie in quarantine and contradict one another ("
    )
    assert told.endswith("); mend the source, so that one of them is served.")
    assert set(re.search(r"\((.*)\)", told)[1].split("; ")) == {TEN, other}
    assert lake.read("bars", cutoff=None, known_by=NOW + SOON).is_empty()


def test_repeats_that_agree_are_one_row(lake):
    refuse(lake, "duplicate_key")
    refuse(lake, "duplicate_key", occurrence=1)
    assert released(lake).height == 1
    assert bar(lake)["close"] == 10.0
    assert {s[3] for s in states(lake)} == {"released"}
