"""A night of ingestion that can be run in a process of its own, and be killed there."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from tasks.ingest.closing import NightReport, close_night
from tasks.ingest.holdings import Night
from tasks.ingest.nightly import ingest_batch
from tasks.ingest.providers.yahoo import YahooProvider
from tasks.ingest.spec import QualitySpec, YahooSpec
from tasks.lake.store import Lake
from tests.ingest.yahoo.session import fresh_yfinance, use_replay

SYMBOLS = [f"S{k:02d}" for k in range(12)]
# Three symbols that repeat a session are enough to hold it.
QUALITY = QualitySpec(stale_symbols=3)


def run_night(
    lake: Lake, url: str, folder: Path, night: Night, batches: int = 3, at_once: int = 2
) -> NightReport:
    """Ingests SYMBOLS in batches, some at the same time, and closes the night, as the flow does."""
    size = len(SYMBOLS) // batches
    with fresh_yfinance(folder), ThreadPoolExecutor(at_once) as pool:
        use_replay(url)
        provider = YahooProvider(YahooSpec(requests_per_second=1000, workers=4, timeout_seconds=5))
        parts = [SYMBOLS[i : i + size] for i in range(0, len(SYMBOLS), size)]
        list(pool.map(lambda part: ingest_batch(lake, provider, None, part, night), parts))
    return close_night(lake, SYMBOLS, night)


def run_when_told(told: Connection, lake: Path, url: str, folder: Path, night: Night) -> None:
    """Says when it is ready, runs the night when it is told to, and says when it has done so."""
    # What a killed process leaves behind goes with the test's own folder.
    tempfile.tempdir = str(folder)
    told.send("ready")
    told.recv()
    run_night(Lake(lake), url, folder, night)
    told.send("done")
