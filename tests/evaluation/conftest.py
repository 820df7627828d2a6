import pytest

from tests.evaluation.worlds import frames


@pytest.fixture(scope="module")
def few():
    return frames(names=5, dates=240, skill=0.05)
