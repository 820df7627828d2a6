"""What is known of a symbol itself after what a source has said of it, night by night."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tasks.ingest.contracts import ACTION_COLUMNS, LISTING_COLUMNS, RawBars
from tasks.ingest.holdings import Night
from tasks.ingest.listing import listing_rows
from tasks.ingest.providers.base import Answer, Fetched
from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import session_close
from tasks.lake.store import Lake
from tasks.lake.tables import FETCH_LOG
from tests.ingest.nights import DAYS
from tests.lake.frames import bars

# What Yahoo says of a share; not every source says as much.
WORDS = {"currency": "USD", "timezone": "America/New_York", "instrument": "EQUITY"}
OK, EMPTY, UNKNOWN, FAILING = "ok", "empty", "unknown_symbol", "transient"


class Source:
    """A source whose answers are written down here, and the lake that hears them."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.runs = lake, 0

    def says(
        self, place: int, outcomes: dict[str, str], source: str = "here", **words: str | None
    ) -> pl.DataFrame:
        """Hears one answer a symbol on the night of DAYS[place]; returns the rows made of it."""
        self.runs += 1
        now = session_close("XNYS", DAYS[place]) + timedelta(minutes=self.runs)
        night = Night(DAYS[place], "XNYS", now, f"run-{self.runs}", QualitySpec())
        known = self.lake.read("securities", cutoff=None, known_by=now)
        rows = listing_rows(self.lake, answered(outcomes, words), known, source, night)
        self.lake.append("securities", rows, now)
        served = [(s, DAYS[place], 10.0) for s, outcome in outcomes.items() if outcome == OK]
        self.lake.append("bars", bars(served), now)
        self.lake.append("fetch_log", log(outcomes, source, night), now)
        return rows

    def state(self, symbol: str = "A") -> dict:
        end = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
        rows = self.lake.read("securities", cutoff=None, known_by=end, symbols=[symbol])
        return rows.row(0, named=True)


def answered(outcomes: dict[str, str], words: dict[str, str | None]) -> Fetched:
    told = [{"symbol": s, **words} for s, o in sorted(outcomes.items()) if o in (OK, EMPTY)]
    columns = {n: c.dtype.type for n, c in RawBars.to_schema().columns.items()}
    return Fetched(
        pl.DataFrame(schema=columns),
        pl.DataFrame(schema=ACTION_COLUMNS),
        pl.DataFrame(told if words else [], schema=LISTING_COLUMNS),
        {s: Answer(outcome) for s, outcome in outcomes.items()},
    )


def log(outcomes: dict[str, str], source: str, night: Night) -> pl.DataFrame:
    same = {"source": source, "session": night.session, "run": night.run}
    rows = [{"symbol": s, "outcome": o, **same} for s, o in outcomes.items()]
    return pl.DataFrame(rows, schema=dict(FETCH_LOG.columns))


@pytest.fixture
def source(tmp_path):
    return Source(Lake(tmp_path))


def states(source: Source, outcomes: list[str], **words: str | None) -> list[str]:
    """The symbol's status after each night's answer."""
    found = []
    for place, outcome in enumerate(outcomes):
        source.says(place, {"A": outcome}, **words)
        found.append(source.state()["status"])
    return found


def test_a_symbol_that_is_served_is_listed_with_what_the_source_says(source):
    source.says(3, {"A": OK}, **WORDS, first_traded=date(1999, 1, 4))
    assert source.state() == {
        "symbol": "A",
        "source": "here",
        "exchange": "XNYS",
        "status": "listed",
        "since": DAYS[3],
        **WORDS,
        "first_traded": date(1999, 1, 4),
    }


def test_a_known_symbol_without_a_bar_in_the_span_is_listed(source):
    assert states(source, [EMPTY], **WORDS) == ["listed"]


def test_a_symbol_without_an_answer_has_no_row(source):
    rows = source.says(0, {"A": FAILING, "B": "rate_limited", "C": "malformed", "D": OK}, **WORDS)
    assert rows["symbol"].to_list() == ["D"]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([OK, UNKNOWN, UNKNOWN, UNKNOWN], ["listed", "missing", "missing", "delisted"]),
        ([OK, UNKNOWN, UNKNOWN, OK], ["listed", "missing", "missing", "listed"]),
        (
            [OK, UNKNOWN, UNKNOWN, OK, UNKNOWN, UNKNOWN],
            ["listed", "missing", "missing", "listed", "missing", "missing"],
        ),
        (
            [OK, UNKNOWN, UNKNOWN, FAILING, UNKNOWN, UNKNOWN, UNKNOWN],
            ["listed", "missing", "missing", "missing", "missing", "missing", "delisted"],
        ),
        (
            [OK, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, OK],
            ["listed", "missing", "missing", "delisted", "delisted", "listed"],
        ),
    ],
)
def test_three_sessions_in_a_row_make_a_symbol_delisted_and_one_bar_lists_it_again(
    source, outcomes, expected
):
    assert states(source, outcomes, **WORDS) == expected


def test_the_three_words_of_a_source_that_tells_nothing_else_count_too(source):
    expected = ["listed", "missing", "missing", "delisted"]
    assert states(source, [OK, UNKNOWN, UNKNOWN, UNKNOWN]) == expected


def test_a_symbol_that_was_never_served_is_missing_and_not_delisted(source):
    assert states(source, [UNKNOWN] * 5) == ["missing"] * 5


def test_several_runs_of_one_session_are_one_word(source):
    source.says(0, {"A": OK}, **WORDS)
    for _ in range(4):
        source.says(1, {"A": UNKNOWN})
    assert source.state()["status"] == "missing"


def test_a_session_with_another_answer_beside_it_is_no_word(source):
    source.says(0, {"A": OK}, **WORDS)
    source.says(1, {"A": UNKNOWN})
    source.says(1, {"A": FAILING})
    source.says(2, {"A": UNKNOWN})
    source.says(3, {"A": UNKNOWN})
    assert source.state()["status"] == "missing"
    source.says(4, {"A": UNKNOWN})
    assert source.state()["status"] == "delisted"


def test_the_words_of_two_sources_are_not_added_up(source):
    source.says(0, {"A": OK}, **WORDS)
    for place in (1, 2):
        source.says(place, {"A": UNKNOWN}, source="there")
    source.says(3, {"A": UNKNOWN})
    assert source.state()["status"] == "missing"


def test_since_is_the_session_on_which_the_state_was_first_said(source):
    since = []
    for place, outcome in enumerate([OK, OK, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, OK]):
        source.says(place, {"A": outcome}, **WORDS)
        since.append(DAYS.index(source.state()["since"]))
    assert since == [0, 0, 2, 2, 4, 4, 6]


def test_the_first_word_on_the_currency_stays_and_a_later_one_fills_what_was_not_said(source):
    source.says(0, {"A": OK}, currency="USD")
    source.says(1, {"A": OK}, currency="EUR", timezone="Europe/Paris")
    state = source.state()
    assert (state["currency"], state["timezone"]) == ("USD", "Europe/Paris")


def test_the_first_source_of_a_symbol_stays_its_source(source):
    source.says(0, {"A": OK}, **WORDS)
    source.says(1, {"A": OK}, source="there", **WORDS)
    assert source.state()["source"] == "here"


def test_a_night_that_changes_nothing_adds_no_row(source):
    source.says(0, {"A": OK}, **WORDS)
    source.says(1, {"A": OK}, **WORDS)
    assert pl.read_delta(f"{source.lake.uri}/securities").height == 1


def test_symbols_do_not_mix(source):
    source.says(0, {"A": OK, "B": OK}, **WORDS)
    for place in (1, 2, 3):
        source.says(place, {"A": UNKNOWN, "B": OK}, **WORDS)
    assert [source.state(s)["status"] for s in "AB"] == ["delisted", "listed"]
