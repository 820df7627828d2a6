import ctypes
import json
import sys

import pytest
import torch

from models.device import fingerprint, keep_freed_memory, make_deterministic, resolve_device
from models.errors import UsageError


def test_cpu_is_the_cpu_and_auto_is_the_best_there_is():
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_one_is_refused_and_never_a_quiet_cpu():
    with pytest.raises(UsageError, match=r"sees no CUDA device; .* or set device='cpu'"):
        resolve_device("cuda")


def test_an_unknown_device_offers_the_near_name():
    with pytest.raises(UsageError, match="Did you mean 'cuda'"):
        resolve_device("cuda0")


def test_the_fingerprint_is_json_and_shows_the_deterministic_flags():
    before = fingerprint(torch.device("cpu"))
    workspace = before["cublas_workspace"]
    try:
        make_deterministic()
        after = fingerprint(torch.device("cpu"))
    finally:
        torch.use_deterministic_algorithms(before["deterministic"])
    assert json.loads(json.dumps(after)) == after
    assert after["deterministic"]
    assert not after["cudnn_benchmark"]
    assert after["cublas_workspace"] == (workspace or ":4096:8")
    assert after["torch"] == torch.__version__
    assert after["gpu"] is None


def test_freed_memory_is_kept_exactly_where_the_c_library_can():
    has_mallopt = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")
    assert keep_freed_memory() == has_mallopt
