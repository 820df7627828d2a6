"""Where a run keeps its data and which Prefect it talks to, settled before Prefect is imported.

`demo` and the tests use a private in-process server. Other commands use PREFECT_API_URL if it is
set, else the running `serve` of this data root, else a server in process.
"""

import atexit
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from models.errors import UsageError
from tasks.lake.store import check_writable

ROOT_VARIABLE = "NIGHTCAST_ROOT"
DEFAULT_ROOT = "nightcast-data"
SERVE_FILE = "serve.json"
_CODE = Path(__file__).parents[1] / "tasks"


@dataclass(frozen=True)
class Place:
    """A data root: everything of one installation of nightcast lies below it."""

    root: Path

    @property
    def lake(self) -> str:
        """The lake's address."""
        return str(self.root / "lake")


def data_root(given: Path | None = None) -> Place:
    """Returns the data root given, or $NIGHTCAST_ROOT, or ./nightcast-data, as absolute path."""
    return Place((given or Path(os.environ.get(ROOT_VARIABLE, DEFAULT_ROOT))).resolve())


def prepare(place: Place, private: bool = False, code: Path = _CODE) -> str:
    """Sets the environment for Prefect and numba; returns which server will be used, in words.

    Args:
        place: The data root; created if it is not there.
        private: Ignore the user's Prefect and use a server in process.
        code: The folder of the code whose compiled form is kept.

    Raises:
        UsageError: The data root cannot be written.
    """
    check_writable(place.root)
    home = place.root / "prefect"
    os.environ[ROOT_VARIABLE] = str(place.root)
    if not os.access(code, os.W_OK):
        # numba keeps what it has compiled beside the code, once for all roots, where it may write
        # there. It reads this once, at import.
        os.environ.setdefault("NUMBA_CACHE_DIR", str(place.root / "numba"))
    # cuBLAS is reproducible only with a fixed workspace, settled before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    given = None if private else os.environ.get("PREFECT_API_URL") or served_url(place)
    settings = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        # The default is pickle, also for the exception of a run that failed.
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # The default of 20 s is too short for a busy machine's first start.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": _LINE,
        "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": _TASK_LINE,
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT": _LINE,
    }
    if private:
        settings["PREFECT_PROFILES_PATH"] = str(home / "profiles.toml")
    if given:
        os.environ.setdefault("PREFECT_HOME", str(home))
        os.environ["PREFECT_API_URL"] = given
    else:
        os.environ["PREFECT_HOME"] = str(home)
        os.environ.pop("PREFECT_API_URL", None)
        settings["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    for name, value in settings.items():
        os.environ[name] = value
    return f"Prefect server at {given}" if given else "Prefect in process"


_LINE = "%(asctime)s %(message)s"
_TASK_LINE = "%(asctime)s   %(task_run_name)s: %(message)s"


def served_url(place: Place) -> str | None:
    """Returns the API address of this root's running `serve`, or None where none answers."""
    try:
        url = str(json.loads((place.root / SERVE_FILE).read_text())["api_url"])
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=1):
            return url
    except (OSError, ValueError, KeyError):
        return None


def end_with_us(server: int) -> None:
    """Ties a Prefect server to this process: it ends with it even where that is killed.

    Left alone it would run for ever, on the root's database.

    Args:
        server: The server's process id.
    """
    # The shell reads on until our end of the pipe closes, however we ended.
    guard = subprocess.Popen(
        ["sh", "-c", f"read _; kill {server}"], stdin=subprocess.PIPE, start_new_session=True
    )
    # In an orderly end the server goes first, and its number may soon be another process's.
    atexit.register(guard.kill)


def start_server_in_process() -> None:
    """Starts the server in process where `prepare` chose it; a run would start it unguarded."""
    if os.environ.get("PREFECT_API_URL"):
        return
    from prefect.server.api.server import SubprocessASGIServer

    class Guarded(SubprocessASGIServer):
        # `start` returns when the server answers: a run killed before would leave it behind.
        def _run_uvicorn_command(self) -> "subprocess.Popen[Any]":
            server = super()._run_uvicorn_command()
            end_with_us(server.pid)
            return server

    # Prefect keeps the one instance made first, and runs find it.
    Guarded().start()


@contextmanager
def one_run(place: Place, waiting: str) -> Iterator[None]:
    """Holds the root's lock, so that one run at a time writes below it; a second waits.

    Args:
        place: The data root.
        waiting: What to say, once, when another run holds the lock.
    """
    lock = FileLock(place.root / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        from rich.console import Console

        Console(stderr=True).print(waiting)
        lock.acquire()
    except OSError as error:
        raise UsageError(
            f"The data root {str(place.root)!r} cannot be locked ({error}); choose another --root."
        ) from error
    try:
        yield
    finally:
        lock.release()
