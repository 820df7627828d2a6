"""Nights from a live source, whole: the flows, the real yfinance, the replay server."""

from datetime import timedelta

import polars as pl
import pytest

from tasks.lake.calendar import session_close
from tests.flows.tiny import DAYS, TOML, read, run
from tests.ingest.yahoo.market import Listing, random_tape
from tests.ingest.yahoo.replay import Replay
from tests.ingest.yahoo.session import fresh_yfinance, use_replay

SYMBOLS = tuple(f"S{k}" for k in range(12))
YESTERDAY, TONIGHT = DAYS[-2:]
_YAHOO = """\
kind = "yahoo"
benchmark = "INDEX"
requests_per_second = 1000
max_attempts = 2
timeout_seconds = 1

[universe]
symbols = ["{symbols}"]

[quality]
max_failed_symbols = 0.4
"""


def evening(day):
    return session_close("XNYS", day) + timedelta(hours=2)


def at(server, day):
    server.now = evening(day)
    return server.now


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yahoo")
    listings = [Listing(s, random_tape(DAYS, k)) for k, s in enumerate((*SYMBOLS, "INDEX"))]
    with fresh_yfinance(folder / "yfinance"), Replay(listings, evening(YESTERDAY)) as server:
        use_replay(server.url)
        yield server


@pytest.fixture(scope="module")
def live(source, prefect_api, tmp_path_factory):
    """A data root with a model of yesterday, and its configuration."""
    folder = tmp_path_factory.mktemp("live")
    provider = _YAHOO.format(symbols='", "'.join(SYMBOLS))
    config = folder / "live.toml"
    config.write_text(TOML.format(provider=provider))
    train = run("train", folder, config, now=at(source, YESTERDAY))
    assert train.state.is_completed(), train.state.message
    return folder, config


def test_a_night_with_faults_in_some_symbols_publishes_all_the_others(source, live):
    root, config = live
    before = read(root, "bars")
    source.fault("S0", "503")
    source.fault("S1", "delisted")
    source.fault("S2", "nan_bar")
    source.fault("S3", "truncated")
    source.fault("S4", "lost_session", day=TONIGHT)
    source.fault("S5", "revised", day=TONIGHT, factor=100.0)
    source.fault("S6", "503", times=1)
    source.fault("S7", "429", retry_after="0", times=1)
    source.fault("S8", "html", times=1)
    daily = run("daily", root, config, now=at(source, TONIGHT))
    assert daily.state.is_completed(), daily.state.message

    told = read(root, "forecasts").filter(cutoff=TONIGHT)
    assert sorted(told["symbol"]) == sorted(SYMBOLS[6:])
    log = read(root, "fetch_log").filter(session=TONIGHT)
    outcomes = dict(log.select("symbol", "outcome").iter_rows())
    assert {s: o for s, o in outcomes.items() if o != "ok"} == {
        "S0": "transient",
        "S1": "unknown_symbol",
        "S3": "malformed",
    }
    after = read(root, "bars")
    assert after.filter(pl.col("date") <= YESTERDAY).equals(before)
    tonight = after.filter(date=TONIGHT)
    assert tonight.filter("held")["symbol"].to_list() == ["S5"]
    assert sorted(tonight["symbol"]) == ["INDEX", *sorted({*SYMBOLS[5:]})]
    refused = read(root, "quarantine").select("symbol", "date", "rule").unique().rows()
    assert refused == [("S2", TONIGHT, "null_price")]


def test_the_same_night_again_heals_what_failed_and_rewrites_no_forecast(source, live):
    root, config = live
    published = read(root, "forecasts")
    source.heal()
    source.log.clear()
    later = evening(TONIGHT) + timedelta(minutes=10)
    source.now = later
    daily = run("daily", root, config, now=later)
    assert daily.state.is_completed(), daily.state.message
    assert {a.path[-2:] for a in source.charts()} == {"S0", "S1", "S2", "S3", "S4"}
    assert read(root, "bars").filter(date=TONIGHT).height == len(SYMBOLS) + 1
    assert read(root, "forecasts").equals(published)


def test_a_source_that_fails_for_most_symbols_stops_the_run_and_keeps_what_came(
    source, live, tmp_path
):
    _, config = live
    for symbol in SYMBOLS[:6]:
        source.fault(symbol, "503")
    stopped = run("train", tmp_path, config, now=at(source, YESTERDAY))
    source.heal()
    assert stopped.state.is_failed()
    assert "6 of 13 symbols brought no answer" in stopped.state.message
    assert read(tmp_path, "bars")["symbol"].n_unique() == 7
    assert read(tmp_path, "trials").is_empty()
