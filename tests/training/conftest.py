import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # Networks this small are slower on two threads than on one.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
