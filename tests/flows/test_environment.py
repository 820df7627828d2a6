import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.environment import SERVE_FILE, Place, data_root, served_url

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


@pytest.mark.parametrize(
    ("private", "expected"), [(True, "Prefect in process"), (False, "http://127.0.0.1:9/api")]
)
def test_a_private_run_ignores_the_users_prefect(tmp_path, private, expected):
    script = (
        "from pathlib import Path\nfrom flows.environment import Place, prepare\n"
        f"print(prepare(Place(Path({str(tmp_path)!r})), {private}))"
    )
    env = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HOME, env=env, capture_output=True, text=True
    )
    assert expected in done.stdout, done.stderr
