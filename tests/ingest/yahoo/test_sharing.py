"""One provider, many threads: its pool, its rate and its breaker are one."""

import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.ingest.providers.base import Answer, Provider
from tasks.ingest.providers.yahoo import YahooProvider
from tasks.ingest.spec import YahooSpec
from tests.ingest.yahoo.conftest import NIGHT
from tests.ingest.yahoo.market import Listing, random_tape, weekdays

LAST = NIGHT.date()
WEEK = weekdays(5, LAST)


@pytest.fixture
def crowd(server):
    """Thirty more symbols."""
    tape = random_tape(WEEK, 1)
    names = [f"S{k:02d}" for k in range(30)]
    server.add(Listing(name, tape) for name in names)
    return names


def fetch_at_once(provider, groups):
    """Calls fetch in one thread a group, and returns what each brought."""
    found = {}

    def fetch(place, symbols):
        found[place] = provider.fetch(dict.fromkeys(symbols, WEEK[0]), LAST, NIGHT)

    threads = [threading.Thread(target=fetch, args=job) for job in enumerate(groups)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive(), "fetch hangs"
    return [found[place] for place in range(len(groups))]


def test_what_a_run_asks_of_a_provider(open_cold):
    provider: Provider = open_cold()
    assert provider.source == "yahoo"
    assert provider.benchmark() == "^GSPC"
    assert all(note.endswith(".") for note in provider.notes())
    assert provider.symbols() is provider.last_session(date.max) is provider.fingerprint() is None


def test_three_threads_share_the_workers(server, open_warm, crowd):
    provider = open_warm(workers=4)
    server.latency = 0.05
    batches = fetch_at_once(provider, [crowd[:10], crowd[10:20], crowd[20:]])
    for symbols, fetched in zip((crowd[:10], crowd[10:20], crowd[20:]), batches, strict=True):
        assert fetched.answers == dict.fromkeys(symbols, Answer("ok", "", 1))
        assert fetched.bars.height == 5 * len(symbols)
    assert server.most_in_flight == 4
    assert len(server.log) == 30


def test_three_threads_share_one_breaker(server, open_warm, crowd, fake_time):
    provider = open_warm(workers=4, max_attempts=10)
    server.fault("*", "429")
    batches = fetch_at_once(provider, [crowd[:10], crowd[10:20], crowd[20:]])
    answers = [a for fetched in batches for a in fetched.answers.values()]
    assert {a.outcome for a in answers} == {"rate_limited"}
    # Five trips, each with at most one request of each worker under way.
    assert sum(a.requests for a in answers) == len(server.log)
    assert 5 <= len(server.log) <= 20


def test_a_cold_start_of_many_threads_gets_one_cookie(server, open_cold, crowd):
    provider = open_cold(workers=8)
    fetch_at_once(provider, [crowd[:10], crowd[10:20], crowd[20:]])
    assert len(server.log) == 30 + 2
    assert len(server.charts()) == 30


@pytest.mark.parametrize(("rate", "seconds"), [(5, (30 - 5) / 5), (0.5, (30 - 1) / 0.5)])
def test_requests_keep_the_rate_after_a_burst_of_one_second(
    server, open_warm, crowd, fake_time, rate, seconds
):
    provider = open_warm(requests_per_second=rate, workers=1)
    provider.fetch(dict.fromkeys(crowd, WEEK[0]), LAST, NIGHT)
    assert sum(fake_time.slept) == pytest.approx(seconds)


def test_retries_pass_the_gate_too(server, open_warm, crowd, fake_time):
    provider = open_warm(requests_per_second=1, workers=1)
    server.fault("*", "503")
    provider.fetch(dict.fromkeys(crowd[:4], WEEK[0]), LAST, NIGHT)
    # Of 12 requests one is free, and eight pauses of at least half a second count as well.
    assert len(server.log) == 12
    assert sum(fake_time.slept) >= 11


def test_a_child_process_asks_its_parents_server_and_leaves_no_file(server, tmp_path):
    script = (
        "import sys\n"
        "from datetime import datetime\n"
        "from tasks.ingest.providers.yahoo import YahooProvider\n"
        "from tasks.ingest.spec import YahooSpec\n"
        "from tests.ingest.yahoo.session import use_replay\n"
        "use_replay(sys.argv[1])\n"
        "now = datetime.fromisoformat(sys.argv[2])\n"
        "fetched = YahooProvider(YahooSpec()).fetch({'PLAIN': None}, now.date(), now)\n"
        "print(fetched.bars.height, fetched.answers['PLAIN'].outcome)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, server.url, NIGHT.isoformat()],
        cwd=Path(__file__).parents[3],
        env=dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(home)),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("300 ok\n", 0), done.stderr
    assert len(server.asked("PLAIN")) == 1
    # yfinance keeps its cookie in a database, by default in the user's own cache.
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": 33},
        {"requests_per_second": 0},
        {"timeout_seconds": 0},
        {"max_attempts": 0},
        {"max_wait_seconds": -1},
        {"benchmark": ""},
        {"threads": 4},
    ],
)
def test_a_choice_out_of_bounds_is_refused(wrong):
    with pytest.raises(ValidationError):
        YahooSpec(**wrong)


def test_the_choices_left_open():
    spec = YahooSpec(start=date(2000, 1, 1))
    assert (spec.kind, spec.benchmark, spec.workers, spec.max_attempts) == ("yahoo", "^GSPC", 8, 4)
    assert (spec.requests_per_second, spec.timeout_seconds, spec.max_wait_seconds) == (5, 20, 900)
    assert YahooProvider(YahooSpec(benchmark=None)).benchmark() is None
