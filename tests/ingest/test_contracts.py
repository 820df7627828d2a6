import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import polars as pl
import pytest

from models.errors import DataError
from tasks.ingest.contracts import Actions, RawBars, require
from tasks.ingest.providers import PROVIDERS, open_provider, shared_provider
from tasks.ingest.providers.base import FAILED, Fetched, History, Provider, StaticProvider
from tasks.ingest.spec import FilesSpec, SampleSpec, TiingoSpec
from tests.ingest.tiingo_replay import KEY, TiingoReplay, row

NOW = datetime(2013, 3, 1, 23, tzinfo=UTC)
FIRST, LAST = date(2012, 6, 1), date(2013, 2, 27)
WEEKDAYS = [d for n in range(272) if (d := FIRST + timedelta(days=n)).weekday() < 5]


def bars() -> pl.DataFrame:
    prices = {c: [None, 1.0] for c in ("open", "high", "low", "close", "volume", "adj_close")}
    return pl.DataFrame(
        {
            "symbol": ["A", "A"],
            "date": [None, date(2013, 1, 2)],
            **prices,
            "currency": [None, "USD"],
            "source": "test",
        },
        schema_overrides={"date": pl.Date},
    )


def actions(kind: str = "split") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": ["A"],
            "date": [date(2013, 1, 2)],
            "kind": [kind],
            "value": [2.0],
            "source": ["test"],
        }
    )


def listings() -> pl.DataFrame:
    said = {"currency": "USD", "timezone": None, "instrument": None, "first_traded": FIRST}
    types = {"timezone": pl.String, "instrument": pl.String}
    return pl.DataFrame({"symbol": ["A"], **said}, schema_overrides=types)


def test_bad_values_are_left_to_the_quality_rules():
    assert require(RawBars, bars()).height == 2


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (bars().drop("volume"), "volume"),
        (bars().with_columns(vwap=1.0), "vwap"),
        (bars().with_columns(pl.col("volume").cast(pl.Int64)), "volume: Int64"),
        (bars().with_columns(pl.col("date").cast(pl.Datetime)), "date: Datetime"),
        (bars().with_columns(symbol=pl.lit(None, pl.String)), "symbol: null"),
    ],
)
def test_bars_of_another_shape_are_refused_by_name(broken, named):
    with pytest.raises(DataError, match=named):
        require(RawBars, broken)


def test_an_action_is_a_split_or_cash():
    for kind in ("split", "dividend", "capital_gain"):
        assert require(Actions, actions(kind)).height == 1
    with pytest.raises(DataError, match="kind: merger"):
        require(Actions, actions("merger"))


def test_nothing_leaves_a_provider_unchecked():
    assert Fetched(bars(), actions(), listings(), {}).bars.height == 2
    with pytest.raises(DataError, match="vwap"):
        Fetched(bars().with_columns(vwap=1.0), actions(), listings(), {})
    with pytest.raises(DataError, match="merger"):
        Fetched(bars(), actions("merger"), listings(), {})
    with pytest.raises(DataError, match="symbol: null"):
        Fetched(bars(), actions(), listings().with_columns(symbol=pl.lit(None, pl.String)), {})


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> Iterator[dict[str, Provider]]:
    """One provider of each kind that a test can feed, opened; all of them know AAPL and MSFT."""
    closes = {s: [100.0 + n for n in range(len(WEEKDAYS))] for s in ("MSFT", "AAPL")}
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    lines = [
        f"{s},{d},{c},{c},{c},{c},1,{0.5 if n == 9 else 0},{2 if n == 19 else 1}"
        for s, column in closes.items()
        for n, (d, c) in enumerate(zip(WEEKDAYS, column, strict=True))
    ]
    header = "symbol,date,open,high,low,close,volume,dividend,split"
    path.write_text("\n".join([header, *lines[::-1]]))
    replayed = {
        s: [
            row(str(d), c, divCash=0.5 if n == 9 else 0.0, splitFactor=2.0 if n == 19 else 1.0)
            for n, (d, c) in enumerate(zip(WEEKDAYS, column, strict=True))
        ]
        for s, column in closes.items()
    }
    with pytest.MonkeyPatch.context() as patch, TiingoReplay(replayed) as replay:
        patch.setenv("TIINGO_API_KEY", KEY)
        patch.setenv("NO_PROXY", "127.0.0.1")
        specs = (
            SampleSpec(),
            FilesSpec(path=path, prices="as_traded"),
            TiingoSpec(url=replay.url, requests_per_second=1000),
        )
        yield {spec.kind: open_provider(spec) for spec in specs}


FED = ("sample", "files", "tiingo")


def test_every_provider_is_held_to_the_contract_here_or_beside_its_own_replay():
    assert set(FED) | {"yahoo"} == set(PROVIDERS)


def breaches(provider: Provider, starts: Mapping[str, date | None], end: date) -> list[str]:
    """Returns what a provider's answer breaks of what all of them promise."""
    fetched = provider.fetch(starts, end, NOW)
    first = {s: d or date.min for s, d in starts.items()}
    found = []
    for name, frame in (("bars", fetched.bars), ("actions", fetched.actions)):
        keys = frame.select("symbol", "date").rows()
        found += [f"{name} unsorted"] if keys != sorted(keys) else []
        found += [f"{name} of others"] if not {s for s, _ in keys} <= set(starts) else []
        found += [f"{name} after the end"] if any(d > end for _, d in keys) else []
        found += [f"{name} before the start" for s, d in keys if s in first and d < first[s]][:1]
        found += [f"{name} of another source"] if set(frame["source"]) - {provider.source} else []
    served = set(fetched.bars["symbol"])
    said = {s: a.outcome for s, a in fetched.answers.items()}
    found += ["answers missing"] if set(said) != set(starts) else []
    found += ["ok without bars"] if {s for s, o in said.items() if o == "ok"} != served else []
    found += ["failed"] if FAILED & set(said.values()) else []
    return found


SPANS = [
    ({"MSFT": None, "AAPL": None}, LAST),
    ({"AAPL": date(2012, 8, 1), "MSFT": date(2013, 1, 2)}, date(2013, 1, 31)),
    ({"MSFT": date(2012, 8, 1)}, date(2012, 7, 31)),
    ({"MSFT": None}, date(1990, 1, 2)),
    ({}, LAST),
]


@pytest.mark.parametrize(("starts", "end"), SPANS)
@pytest.mark.parametrize("kind", FED)
def test_what_a_provider_serves_is_what_was_asked_for_in_order(worlds, kind, starts, end):
    assert breaches(worlds[kind], starts, end) == []


@pytest.mark.parametrize("kind", FED)
def test_an_earlier_end_serves_the_same_rows_less_the_later_ones(worlds, kind):
    provider, cut = worlds[kind], date(2012, 10, 1)
    late, early = (provider.fetch({"AAPL": None}, end, NOW) for end in (LAST, cut))
    assert early.bars.equals(late.bars.filter(pl.col("date") <= cut))
    assert early.actions.equals(late.actions.filter(pl.col("date") <= cut))
    assert early.bars.height > 0


@pytest.mark.parametrize("kind", FED)
def test_a_history_that_does_not_grow_has_an_end_a_list_and_a_fingerprint(worlds, kind):
    provider = worlds[kind]
    is_live = provider.fingerprint() is None
    assert (provider.last_session(date.max) is None) is is_live
    assert (provider.symbols() is None) is is_live
    assert provider.fingerprint() == provider.fingerprint()
    assert all(note.endswith(".") for note in provider.notes())


class Careless(StaticProvider):
    """A provider that serves whatever it has."""

    source = "careless"

    def fetch(self, starts: Mapping[str, date | None], end: date, now: datetime) -> Fetched:
        honest = super().fetch(dict.fromkeys(starts), date.max, now)
        return Fetched(honest.bars[::-1], honest.actions, honest.listings, {})


def test_the_contract_bites():
    dated = bars().with_columns(date=pl.Series([date(2013, 1, 2), date(2013, 1, 4)]))
    careless = Careless(History(dated, actions()), None, "")
    assert breaches(careless, {"A": date(2013, 1, 3)}, date(2013, 1, 3)) == [
        "bars unsorted",
        "bars after the end",
        "bars before the start",
        "bars of another source",
        "actions before the start",
        "actions of another source",
        "answers missing",
        "ok without bars",
    ]


def test_the_batches_of_a_run_share_one_provider_however_they_begin():
    together = Barrier(8)

    def begin(_: int) -> Provider:
        together.wait()
        return shared_provider(SampleSpec(replay=True), "run-1")

    with ThreadPoolExecutor(8) as batches:
        opened = set(batches.map(begin, range(8)))
    assert len(opened) == 1
    assert shared_provider(SampleSpec(replay=True), "run-2") not in opened


def test_other_providers_do_without_yfinance():
    program = (
        "import sys\n"
        "from tasks.ingest.providers import open_provider\n"
        "from tasks.ingest.spec import SampleSpec\n"
        "open_provider(SampleSpec())\n"
        "print(sorted({'yfinance', 'prefect', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
