import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # The threads of one process wait for each other at every step: on a machine that does other
    # work besides, two are ten times slower than one.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
