"""`nightcast serve` in a process of its own, asked through its API, ended by SIGTERM."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from flows.doctor import examine
from flows.environment import Place, served_url
from tests.flows.tiny import SYMBOLS, forecasts

COMMAND = Path(sys.executable).with_name("nightcast")


@pytest.fixture
def serving(world, tmp_path):
    """A served root: the root, the process, and the address of its API."""
    root = tmp_path / "root"
    with subprocess.Popen(
        [COMMAND, "serve", world, "--root", root, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            # The runner says so once both deployments are known to the server.
            said = []
            for line in process.stdout:
                said.append(line)
                if "are being served" in line:
                    break
            assert process.poll() is None, "".join(said)
            yield root, process, json.loads((root / "serve.json").read_text())["api_url"]
        finally:
            if process.poll() is None:
                process.terminate()
            process.stdout.read()


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_serve_schedules_both_flows_and_ends_with_everything_it_started(serving):
    root, process, api = serving
    assert ask(f"{api}/health") is True
    deployments = {d["name"]: d for d in ask(f"{api}/deployments/filter", {})}
    schedules = {
        name: [
            (s["slug"], s["schedule"]["cron"], s["schedule"]["timezone"]) for s in d["schedules"]
        ]
        for name, d in deployments.items()
    }
    assert schedules == {
        "nightly": [("weekdays-after-the-close", "0 18 * * 1-5", "America/New_York")],
        "weekly": [("saturday-morning", "0 9 * * 6", "America/New_York")],
        "study": [],
    }
    assert {d["parameters"]["config"]["name"] for d in deployments.values()} == {"tiny"}

    assert served_url(Place(root)) == api
    (found,) = [c for c in examine(Place(root)) if c.subject == "prefect"]
    assert found.finding.startswith(api)
    second = subprocess.run(
        [COMMAND, "serve", "--root", root, "--port", "0"], capture_output=True, text=True
    )
    assert second.returncode == 1
    assert f"This data root is served already at {api}" in second.stderr

    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    assert len(family) >= 2, "the server was not found"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(family[1:], timeout=30)
    assert not alive
    assert served_url(Place(root)) is None
    assert not (root / "serve.json").exists()


@pytest.mark.slow
def test_a_deployment_started_from_the_ui_publishes_and_a_killed_serve_leaves_no_server(serving):
    root, process, api = serving
    for name in ("weekly", "nightly"):
        (deployment,) = [d for d in ask(f"{api}/deployments/filter", {}) if d["name"] == name]
        started = ask(f"{api}/deployments/{deployment['id']}/create_flow_run", {"state": None})
        # The process that serves says how each run of it ended.
        for line in process.stdout:
            if "completed with" in line or "exited with" in line or "Finished in state" in line:
                state = ask(f"{api}/flow_runs/{started['id']}")["state"]
                if state["type"] in ("COMPLETED", "FAILED", "CRASHED"):
                    break
        assert state["type"] == "COMPLETED", state
    assert len(forecasts(root)) == len(SYMBOLS)

    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert served_url(Place(root)) is None
