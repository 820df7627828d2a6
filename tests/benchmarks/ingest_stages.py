"""The children of the benchmark `ingest`: `python -m tests.benchmarks.ingest_stages KIND …`.

`serve` is the replay server of `load` (all history but the last session) and `night` (that one),
which run the code of a real night, Prefect aside. The other kinds are in `ingest_lake.py`.
"""

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks import ingest_lake
from tests.benchmarks.ingest import SIZES
from tests.benchmarks.meter import Meter

_BEFORE = "lake-before"


def main() -> None:
    """Runs one child and prints what it measured."""
    kinds: dict[str, Callable[[Namespace], dict[str, Any]]] = {
        "load": load,
        "night": night,
        **ingest_lake.KINDS,
    }
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kind", choices=("serve", *kinds))
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--url")
    for name in SIZES:
        arguments.add_argument(f"--{name}", type=int, required=True)
    chosen = arguments.parse_args()
    if chosen.kind == "serve":
        serve(chosen)
    else:
        print(json.dumps(kinds[chosen.kind](chosen)))


def serve(sizes: Namespace) -> None:
    """Serves the listings and prints its address; ends with its input."""
    from tests.ingest.yahoo.replay import Replay

    days = ingest_lake.last_sessions(sizes.sessions + 1)
    with Replay(_listings(sizes, days), _at(days[-1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def load(sizes: Namespace) -> dict[str, Any]:
    """Brings all symbols and all sessions but the last into a new lake."""
    day = ingest_lake.last_sessions(2)[0]
    return _run_night(sizes, sizes.work / _BEFORE, day)


def night(sizes: Namespace) -> dict[str, Any]:
    """Brings the last session into a copy of that lake."""
    day = ingest_lake.last_sessions(1)[0]
    with tempfile.TemporaryDirectory(dir=sizes.work) as folder:
        lake = Path(folder) / "lake"
        shutil.copytree(sizes.work / _BEFORE, lake)
        return _run_night(sizes, lake, day)


def _run_night(sizes: Namespace, folder: Path, day: date) -> dict[str, Any]:
    """Runs the night of `day` on the lake in `folder`, as `flows/prices.py` does."""
    meter, spent = Meter(), _Spent()
    with meter("imports"):
        from tasks.ingest.closing import close_night
        from tasks.ingest.holdings import Night
        from tasks.ingest.nightly import ingest_batch
        from tasks.ingest.providers.yahoo import YahooProvider
        from tasks.ingest.spec import QualitySpec, YahooSpec
        from tasks.lake.store import Lake
        from tasks.lake.upkeep import tidy
        from tests.ingest.yahoo.session import fresh_yfinance, use_replay

    symbols = _symbols(sizes)
    batches = [symbols[i : i + sizes.batch] for i in range(0, len(symbols), sizes.batch)]
    lake, night = Lake(folder), Night(day, "XNYS", _at(day), f"night-{day}", QualitySpec())
    with fresh_yfinance(sizes.work / "yfinance"), ThreadPoolExecutor(sizes.threads) as pool:
        use_replay(sizes.url)
        # A sleep that does not sleep lifts the limit on the rate: nothing else waits here.
        provider = YahooProvider(YahooSpec(requests_per_second=1000), sleep=lambda _: None)
        # The cookie and the crumb, which are asked for once a process.
        provider.fetch({symbols[0]: day}, day, night.now)
        spent.watch(lake, "append", "read", "newest_dates")
        spent.watch(provider, "fetch")
        ingest = spent.on("batch", ingest_batch)
        with meter("batches"):
            reports = list(pool.map(lambda b: ingest(lake, provider, None, b, night), batches))
        shares = spent.shares("batch")
        with meter("close"):
            close_night(lake, symbols, night).enforce()
        with meter("tidy"):
            tidy(lake)
    measured = meter.result()
    seconds = sum(measured[stage]["seconds"] for stage in ("batches", "close", "tidy"))
    return {
        **measured,
        **shares,
        "night_seconds": round(seconds, 3),
        "symbols_per_second": round(len(symbols) / seconds, 1),
        "requests_per_symbol": sum(r.requests for r in reports) / len(symbols),
        "new_rows": sum(r.new_rows for r in reports),
    }


class _Spent:
    """Adds up the seconds that all threads together spend in calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: Counter[str] = Counter()

    def on(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `function`, its seconds counted under `name`."""

        def call(*given: Any, **inputs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given, **inputs)
            finally:
                with self._lock:
                    self._seconds[name] += time.perf_counter() - began  # type: ignore[assignment]

        return call

    def watch(self, thing: Any, *names: str) -> None:
        """Counts the calls of these methods of one object."""
        for name in names:
            setattr(thing, name, self.on(name, getattr(thing, name)))

    def shares(self, whole: str) -> dict[str, float]:
        """Returns the shares of the seconds of `whole` that each of the others took."""
        total = self._seconds[whole]
        return {f"{n}_share": round(s / total, 4) for n, s in self._seconds.items() if n != whole}


def _symbols(sizes: Namespace) -> list[str]:
    return [f"S{k:05d}" for k in range(sizes.symbols)]


def _listings(sizes: Namespace, days: Sequence[date]) -> list[Any]:
    """Returns the listings: most tapes pay dividends, a few split, none in the last session."""
    from tests.ingest.yahoo.market import Listing, random_tape

    tapes = []
    for k in range(sizes.tapes):
        paid = dict.fromkeys(days[k % 60 + 1 : -1 : 63], 0.25) if k % 5 < 3 else {}
        split = {days[len(days) // 2]: (2.0, 1.0)} if k % 10 == 9 else {}
        tapes.append(random_tape(days, k, split, paid))
    return [Listing(s, tapes[k % len(tapes)]) for k, s in enumerate(_symbols(sizes))]


def _at(day: date) -> datetime:
    """Returns an instant in the evening of `day`, in New York, hours after the close."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=23)


if __name__ == "__main__":
    main()
