import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows.environment import SERVE_FILE, Place, data_root, one_run, prepare, served_url
from models.errors import UsageError

HOME = Path(__file__).parents[2]


def test_the_root_given_goes_before_the_variable_and_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTCAST_ROOT", str(tmp_path / "variable"))
    assert data_root(tmp_path / "given").root == tmp_path / "given"
    assert data_root().root == tmp_path / "variable"
    monkeypatch.delenv("NIGHTCAST_ROOT")
    monkeypatch.chdir(tmp_path)
    assert data_root().root == tmp_path / "nightcast-data"


def test_a_server_that_does_not_answer_is_no_server(tmp_path):
    place = Place(tmp_path)
    assert served_url(place) is None
    (tmp_path / SERVE_FILE).write_text("not json")
    assert served_url(place) is None
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        (tmp_path / SERVE_FILE).write_text(json.dumps({"api_url": url}))
        assert served_url(place) == url
    assert served_url(place) is None


@pytest.fixture
def environment():
    """Puts the environment back after the test: `prepare` is there to change it."""
    before = dict(os.environ)
    for name in [n for n in before if n.startswith("PREFECT_")]:
        del os.environ[name]
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


def test_without_a_server_prefect_runs_in_process_below_the_root(tmp_path, environment):
    place = Place(tmp_path / "new" / "root")
    assert prepare(place) == "Prefect in process"
    assert environment["PREFECT_HOME"] == str(place.root / "prefect")
    assert environment["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "true"
    assert environment["NIGHTCAST_ROOT"] == str(place.root)
    assert (environment["DO_NOT_TRACK"], environment["PREFECT_SERVER_ANALYTICS_ENABLED"]) == (
        "1",
        "false",
    )
    assert list(place.root.iterdir()) == []


def test_a_server_named_by_the_user_goes_before_the_one_serving_the_root(tmp_path, environment):
    place = Place(tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        (tmp_path / SERVE_FILE).write_text(json.dumps({"api_url": url}))
        assert prepare(place) == f"Prefect server at {url}"
        assert environment["PREFECT_API_URL"] == url
        environment["PREFECT_API_URL"] = "http://prefect.example/api"
        environment["PREFECT_HOME"] = "mine"
        assert prepare(place) == "Prefect server at http://prefect.example/api"
        assert environment["PREFECT_HOME"] == "mine"


def test_a_private_run_ignores_the_users_prefect(tmp_path, environment):
    environment["PREFECT_API_URL"] = "http://prefect.example/api"
    environment["PREFECT_HOME"] = environment["PREFECT_PROFILES_PATH"] = "mine"
    assert prepare(Place(tmp_path), private=True) == "Prefect in process"
    assert "PREFECT_API_URL" not in environment
    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert environment["PREFECT_PROFILES_PATH"] == str(tmp_path / "prefect" / "profiles.toml")


def test_compiled_code_lies_below_the_root_only_where_the_installation_cannot_be_written(
    tmp_path, environment
):
    environment.pop("NUMBA_CACHE_DIR", None)
    prepare(Place(tmp_path), code=tmp_path)
    assert "NUMBA_CACHE_DIR" not in environment
    prepare(Place(tmp_path), code=tmp_path / "absent")
    assert environment["NUMBA_CACHE_DIR"] == str(tmp_path / "numba")


def test_a_numba_cache_chosen_by_the_user_stays(tmp_path, environment):
    environment["NUMBA_CACHE_DIR"] = "mine"
    prepare(Place(tmp_path), code=tmp_path / "absent")
    assert environment["NUMBA_CACHE_DIR"] == "mine"


def test_a_root_that_cannot_be_written_is_refused_and_nothing_is_set(tmp_path, environment):
    (tmp_path / "file").write_text("")
    before = dict(environment)
    with pytest.raises(UsageError, match="choose another --root"):
        prepare(Place(tmp_path / "file"))
    assert dict(environment) == before


def test_a_second_run_of_a_root_says_that_it_waits_and_goes_on_after_the_first(tmp_path, capfd):
    place, order = Place(tmp_path), []

    def second():
        with one_run(place, "Another run works here; waiting."):
            order.append("second")

    other = threading.Thread(target=second)
    with one_run(place, "unused"):
        other.start()
        said = ""
        while other.is_alive() and "waiting" not in said:
            said += capfd.readouterr().err
            other.join(0.01)
        order.append("first")
    other.join(30)
    assert said == "Another run works here; waiting.\n"
    assert order == ["first", "second"]


def test_runs_of_two_roots_do_not_wait_for_each_other(tmp_path):
    (tmp_path / "other").mkdir()
    with one_run(Place(tmp_path), "unused"), one_run(Place(tmp_path / "other"), "unused"):
        pass


def test_a_server_ends_with_a_run_that_is_killed():
    script = (
        "import subprocess, sys\nfrom flows.environment import end_with_us\n"
        "server = subprocess.Popen(['sleep', '600'])\nend_with_us(server.pid)\n"
        "print('tied', flush=True)\nsys.stdin.read()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script], cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert run.stdout.readline() == b"tied\n"
    run.kill()
    # The pipe closes when its last holder has ended, and the server holds it.
    assert run.communicate(timeout=30)[0] == b""
