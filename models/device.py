"""Where the arithmetic runs, and what its last bits depend on."""

import ctypes
import os
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import torch.utils.deterministic

from models.errors import UsageError, near

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> torch.device:
    """Returns the device called `name`; "auto" is CUDA where there is one, else the CPU.

    Asking for "cuda" on a machine without one is an error, never a quiet CPU.
    """
    if name not in DEVICES:
        raise UsageError(
            f"device={name!r} is not one of {', '.join(DEVICES)}.{near(name, DEVICES)} "
            "Name one of them."
        )
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            f"device='cuda' was asked for, but torch {torch.__version__} sees no CUDA device; "
            "install the driver and a CUDA build of torch, or set device='cpu'."
        )
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)


def make_deterministic() -> None:
    """Makes this process repeat its results bit for bit; call it before the first CUDA work."""
    # cuBLAS reads this once, when its handle is made; without it cuDNN's recurrent layers
    # differ from run to run, and torch does not warn about them.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    # Filling fresh memory guards against reading it unwritten, and costs an LSTM step 15 %.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def memory_for_panel(device: torch.device) -> int | None:
    """Returns how many bytes of the device's memory a panel may take; None where none is counted.

    Half of what is free: the other half is for the network, its gradients and the batches.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free // 2)


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed memory in the process; returns whether it could.

    A recurrent layer frees and takes the same large blocks at every step. By default glibc hands
    them back to the kernel, which zeroes them again: an LSTM of 2 × 64 trains twice as fast
    without. The price is that the process keeps its peak memory until it ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    trim_threshold, mmap_threshold, most = -1, -3, 2**31 - 1  # names and values of malloc.h
    return bool(mallopt(mmap_threshold, most) and mallopt(trim_threshold, most))


def fingerprint(device: torch.device) -> dict[str, Any]:
    """Returns what the last bits of a result depend on, ready for JSON."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "numba": version("numba"),
        "device": device.type,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    }
