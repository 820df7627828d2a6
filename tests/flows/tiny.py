"""A market of six seeded random walks, the smallest configuration on it, and runs of both flows."""

import logging
from datetime import date
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows.config import load_config
from tasks.lake.calendar import sessions
from tasks.lake.store import Lake

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
DAYS = sessions("XNYS", date(2018, 1, 2), date(2019, 8, 5))
LAST = DAYS[-1]
TRAINED_TO = date(2019, 7, 19)

# What decides nothing about a forecast: the clocks of the run that wrote it.
CLOCKS = ("known_at", "known_by", "commit", "origin", "tradable")

_FILES = """\
kind = "files"
path = '{path}'
prices = "as_traded"
"""
TOML = """
name = "tiny"

[provider]
{provider}
[features]
features = ["rsi(5)", "log_return(1)"]
lookback = 10

[window]
lookback = 5

[splits]
folds = 2
fit = 150
stop = 30
calibrate = 40
test = 60

[network]
hidden = 4

[training]
epochs = 3
seeds = [0]
device = "cpu"

[evaluation]
bootstrap_samples = 100
"""


def random_walks():
    """Bars as traded; nothing in them can be forecast."""
    random = np.random.default_rng(0)
    shape = len(SYMBOLS), len(DAYS)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=1))
    opening = close * np.exp(random.normal(0, 0.005, shape))
    return pl.DataFrame(
        {
            "symbol": np.repeat(SYMBOLS, len(DAYS)),
            "date": DAYS * len(SYMBOLS),
            "open": opening.ravel(),
            "high": 1.01 * np.maximum(opening, close).ravel(),
            "low": 0.99 * np.minimum(opening, close).ravel(),
            "close": close.ravel(),
            "volume": random.integers(100_000, 1_000_000, shape).ravel(),
        }
    )


def with_negative_closes(bars, symbol, count):
    struck = (pl.col("symbol") == symbol) & pl.col("date").is_in(DAYS[50 : 50 + count])
    return bars.with_columns(close=pl.when(struck).then(-pl.col("close")).otherwise("close"))


def write_world(folder, bars):
    """Writes the bars and a configuration that names them; returns the configuration's path."""
    folder.mkdir(exist_ok=True)
    bars.write_parquet(folder / "bars.parquet")
    path = folder / "tiny.toml"
    path.write_text(TOML.format(provider=_FILES.format(path=folder / "bars.parquet")))
    return path


class _States(logging.Handler):
    """Hears in which state each task run finished, at once; the API learns it some time later."""

    def __init__(self):
        super().__init__()
        self.heard = {}

    def emit(self, record):
        message = record.getMessage()
        if message.startswith("Finished in state "):
            self.heard[record.task_run_name] = message.removeprefix("Finished in state ")


class Run:
    """A flow run that has ended: its state, and the states of its task runs by name."""

    def __init__(self, state, tasks):
        self.state = state
        self.tasks = tasks

    @property
    def outcome(self):
        return self.state.result()

    def stages(self):
        """The names of the cached stages, each with whether its finished result was taken."""
        return {
            name: state.startswith("Cached")
            for name, state in self.tasks.items()
            if name.startswith(
                (
                    "features",
                    "prove",
                    "windows",
                    "fit fold",
                    "baselines",
                    "evaluate",
                    "refit",
                    "certify",
                    "bundle",
                )
            )
        }


def run(kind, root, config, as_of=None, now=None, overrides=()):
    """Runs the flow `train`, `tune` or `daily` on a data root and waits for its end."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    flow = getattr(import_module(f"flows.{kind}"), kind)
    states, logger = _States(), logging.getLogger("prefect.task_runs")
    storage = {PREFECT_LOCAL_STORAGE_PATH: root / "prefect" / "storage"}
    with pytest.MonkeyPatch.context() as patch, temporary_settings(storage):
        patch.setenv("NIGHTCAST_ROOT", str(root))
        logger.addHandler(states)
        try:
            state = flow(load_config(config, overrides), as_of, now, return_state=True)
        finally:
            logger.removeHandler(states)
    return Run(state, states.heard)


def read(root, table):
    """Everything that a table of a root's lake knows today."""
    from datetime import UTC, datetime

    lake = Lake(Path(root) / "lake")
    return lake.read(table, cutoff=None, known_by=datetime.now(UTC), stamps=True)


def forecasts(root, night=LAST):
    """The ledger's rows of a night without the clocks of the run that wrote them."""
    return read(root, "forecasts").filter(pl.col("cutoff") == night).drop(CLOCKS)
