"""Runs a benchmark as a user does, for the tests of benchmarks."""

import json
import subprocess
import sys
from typing import Any

from tests.benchmarks import frame


def run_benchmark(name: str, *told: str) -> dict[str, Any]:
    """Returns the report of one round of the benchmark `name`."""
    command = (sys.executable, "-m", f"tests.benchmarks.{name}", *told, "--repeats=1", "--json")
    run = subprocess.run(command, cwd=frame.HOME, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
