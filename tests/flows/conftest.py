from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from tests.flows.tiny import DAYS, TRAINED_TO, random_walks, run, with_negative_closes, write_world


@dataclass(frozen=True)
class Dirty:
    root: Path
    report: str


@pytest.fixture(scope="session")
def dirty(prefect_api, tmp_path_factory):
    """A root trained on a file with 3 negative closes, 2 plain repeats and 2 contradictions."""
    bars = with_negative_closes(random_walks(), "AAA", 3)
    repeats = bars.filter((pl.col("symbol") == "BBB") & pl.col("date").is_in(DAYS[60:62]))
    odd = bars.filter((pl.col("symbol") == "CCC") & pl.col("date").is_in(DAYS[70:72]))
    bars = pl.concat([bars, repeats, odd.with_columns(volume=pl.col("volume") + 1)])
    config = write_world(tmp_path_factory.mktemp("dirty"), bars)
    root = tmp_path_factory.mktemp("dirty-root")
    trained = run("train", root, config, TRAINED_TO)
    return Dirty(root, Path(trained.outcome["report"]).read_text())
