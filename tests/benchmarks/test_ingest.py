"""The benchmark of ingestion at a size that runs in seconds; nothing here asserts a time."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks import frame
from tests.benchmarks.ingest import main

SMALL = {
    "symbols": 12,
    "sessions": 70,
    "tapes": 3,
    "read-symbols": 5,
    "append-symbols": 8,
    "years": 2,
    "nights": 3,
    "batch": 5,
    "threads": 2,
}


@pytest.fixture(scope="module")
def made():
    """The report of a small run."""
    sizes = [f"--{name}={size}" for name, size in SMALL.items()]
    command = (sys.executable, "-m", "tests.benchmarks.ingest", *sizes, "--repeats", "1", "--json")
    run = subprocess.run(command, cwd=frame.HOME, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def medians(made, contender):
    return made["results"][contender]["medians"]


@pytest.mark.slow
def test_a_warm_night_asks_once_a_symbol_and_adds_one_bar_of_each(made):
    assert medians(made, "load")["new_rows"] == 12 * 70
    warm = medians(made, "night")
    assert (warm["requests_per_symbol"], warm["new_rows"]) == (1.0, 12)
    assert warm["symbols_per_second"] > 0
    assert 0 < warm["append_share"] < 1


@pytest.mark.slow
def test_all_sides_read_the_same_number_of_rows_by_either_clock(made):
    for day in ("today", "year_ago"):
        rows = {medians(made, side)[f"{day}_rows"] for side in ("lake", "reference", "parquet")}
        assert len(rows) == 1
    lake = medians(made, "lake")
    assert lake["today_rows"] - lake["year_ago_rows"] == 5 * 252


@pytest.mark.slow
def test_upkeep_leaves_no_more_files_than_there_were(made):
    untidied, tidied = (medians(made, f"append {kind}") for kind in ("untidied", "tidied"))
    assert untidied["new_rows"] == tidied["new_rows"] == 3 * 8
    assert untidied["files"] >= tidied["files"] > 0
    assert "tidy.seconds" in tidied
    assert "tidy.seconds" not in untidied
    assert set(made["ratios"]) == {
        "parquet / lake",
        "parquet / reference",
        "append untidied / append tidied",
    }


def test_one_year_is_too_short_to_read_by_a_clock_of_a_year_ago(capsys):
    with pytest.raises(SystemExit):
        main(["--years", "1"])
    assert "give 2 or more" in capsys.readouterr().err
