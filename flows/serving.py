"""`nightcast serve`: the Prefect server, its UI and the schedules, on loopback.

1. A Prefect server is started on 127.0.0.1 with its database below the data root.
2. Its address is kept in `<root>/serve.json`, so that other commands of this root use it.
3. The deployments `daily` and `train` are served from this process, on their schedules.
4. On interruption the server is ended by the process id that was started.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

from flows.config import RunConfig
from flows.environment import SERVE_FILE, Place, end_with_us, one_run, prepare, served_url
from models.errors import RunError, UsageError
from tasks.ingest.spec import SampleSpec

HOST = "127.0.0.1"
_START_SECONDS = 180


def serve_here(
    place: Place, config: RunConfig | None, port: int, say: Callable[[str], None]
) -> None:
    """Serves until interrupted.

    Args:
        place: The data root.
        config: What the schedules run; None replays the sample, one session a night.
        port: Port of the UI; 0 takes a free one.
        say: Shows a line to the person.

    Raises:
        UsageError: The port is taken.
        RunError: This root is served already, or the server does not start.
    """
    config = config or RunConfig(name="sample-replay", provider=SampleSpec(replay=True))
    if url := served_url(place):
        raise RunError(f"This data root is served already at {url}; end that process first.")
    port = _free_port(port)
    os.environ.pop("PREFECT_API_URL", None)
    prepare(place, private=True)
    with one_run(place, f"Another run works below {place.root}; waiting for it to end."):
        server = _start_server(place, port)
    # `docker stop` and systemd send SIGTERM; it must end the server as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _await_server(server, port)
        record = {"api_url": f"http://{HOST}:{port}/api", "pid": server.pid}
        (place.root / SERVE_FILE).write_text(json.dumps(record))
        say(f"Prefect UI: http://{HOST}:{port}  (Ctrl-C ends it)")
        prepare(place)
        _serve_deployments(config)
    except KeyboardInterrupt:
        say("Ending the server.")
    finally:
        (place.root / SERVE_FILE).unlink(missing_ok=True)
        _end(server)


def _serve_deployments(config: RunConfig) -> None:
    from prefect import serve
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron

    from flows.daily import daily
    from flows.train import train
    from flows.tune import tune

    zone = "America/New_York"
    values = {"config": config.model_dump(mode="json")}
    nightly, weekly, study = (
        daily.to_deployment(
            name="nightly",
            schedule=Cron("0 18 * * 1-5", timezone=zone, slug="weekdays-after-the-close"),
            parameters=values,
            concurrency_limit=1,
            description="Tonight's forecasts, on weekdays after the close.",
        ),
        train.to_deployment(
            name="weekly",
            schedule=Cron("0 9 * * 6", timezone=zone, slug="saturday-morning"),
            parameters=values,
            concurrency_limit=1,
            description="A new model every Saturday.",
        ),
        tune.to_deployment(
            name="study",
            parameters=values,
            concurrency_limit=1,
            description="Tries the values of config.tuning; run by hand.",
        ),
    )
    # Outside an event loop `to_deployment` answers with the deployment, not with a coroutine.
    assert isinstance(nightly, RunnerDeployment)  # noqa: S101
    assert isinstance(weekly, RunnerDeployment)  # noqa: S101
    assert isinstance(study, RunnerDeployment)  # noqa: S101
    serve(nightly, weekly, study, pause_on_shutdown=False)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"Port {port} is taken ({error.strerror}); choose another with --port, "
                "or 0 for a free one."
            ) from error
        return int(probe.getsockname()[1])


def _start_server(place: Place, port: int) -> subprocess.Popen[bytes]:
    home = place.root / "prefect"
    home.mkdir(exist_ok=True)
    log = (home / "server.log").open("ab")
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start"]
    server = subprocess.Popen(
        [*command, "--host", HOST, "--port", str(port)],
        # Left alone, the UI looks for the API on port 4200 whatever the server's port is.
        env={**os.environ, "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api"},
        stdout=log,
        stderr=subprocess.STDOUT,
        # Its own session: Ctrl-C reaches us first, and we end it in order.
        start_new_session=True,
    )
    end_with_us(server.pid)
    return server


def _await_server(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urlopen(f"http://{HOST}:{port}/api/health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise RunError(
        f"The Prefect server did not answer on port {port} within {_START_SECONDS} s "
        f"(exit code {server.poll()}); read prefect/server.log below the data root."
    )


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
