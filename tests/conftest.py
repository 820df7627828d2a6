"""What the tests of whole flows share: one private Prefect, and one trained data root."""

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Trained:
    """A data root with one model and one published night. Its readers must not change it."""

    root: Path
    config: Path
    train: object
    daily: object


@pytest.fixture(scope="session")
def prefect_api():
    """The address of a Prefect server of this session alone; flows in this process use it."""
    with pytest.MonkeyPatch.context() as patch:
        # Its server is told so before Prefect is imported, as `flows.environment.prepare` does.
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        from prefect.settings import PREFECT_API_URL
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            yield PREFECT_API_URL.value()


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The configuration file of a sound tiny market."""
    from tests.flows.tiny import random_walks, write_world

    return write_world(tmp_path_factory.mktemp("world"), random_walks())


@pytest.fixture(scope="session")
def trained(prefect_api, world, tmp_path_factory):
    from tests.flows.tiny import TRAINED_TO, run

    root = tmp_path_factory.mktemp("trained")
    train = run("train", root, world, TRAINED_TO)
    assert train.state.is_completed(), train.state.message
    daily = run("daily", root, world)
    assert daily.state.is_completed(), daily.state.message
    return Trained(root, world, train, daily)
