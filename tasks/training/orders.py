"""A fit as an order: small enough to send to another process, which reads the panel by itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from models.bundle import FileCheckpoint
from models.checkpoint import CurveRow
from models.device import keep_freed_memory, make_deterministic, resolve_device
from tasks.lake.artifacts import Artifact
from tasks.lake.panel import PanelArrays, panel_arrays
from tasks.training.folds import FoldFit, fit_network
from tasks.training.inputs import FoldRows
from tasks.training.network_spec import NetworkSpec
from tasks.training.spec import TrainingSpec


@dataclass(frozen=True)
class FitOrder:
    """One network, one seed, one fold.

    Attributes:
        root: The data root; its `work/<key>` holds the checkpoint.
        key: The stage's key, which names this fit.
        fold: Number of the fold; None is the refit.
        epochs: Exactly so many (the refit); None takes at most those of `training`.
        threads: Of torch.
    """

    root: Path
    key: str
    features: Artifact
    windows: Artifact
    names: tuple[str, ...]
    earlier_bars: int
    lookback: int
    fold: int | None
    seed: int
    network: NetworkSpec
    training: TrainingSpec
    device: str
    epochs: int | None
    threads: int

    @property
    def work(self) -> Path:
        """Where the fit keeps its checkpoint."""
        return self.root / "work" / self.key

    @property
    def most_epochs(self) -> int:
        """After how many epochs the fit ends at the latest."""
        return self.epochs or self.training.epochs


def carry_out(
    order: FitOrder,
    on_epoch: Callable[[CurveRow], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> FoldFit:
    """Carries out a fit in this process, going on from its checkpoint where there is one.

    Raises:
        DataError: The features are gone.
        ModelError: The fit is wrong.
        Stopped: `stopping` said so, and a checkpoint was kept.
    """
    make_deterministic()
    keep_freed_memory()
    order.work.mkdir(parents=True, exist_ok=True)
    with torch_threads(order.threads):
        return fit_network(
            panel_of(order.root, order.features, order.names, order.lookback, order.earlier_bars),
            rows_of(order.root, order.windows, order.fold),
            order.network,
            order.training,
            order.seed,
            order.lookback,
            resolve_device(order.device),
            FileCheckpoint(order.work / "checkpoint.safetensors"),
            on_epoch,
            order.epochs,
            stopping,
        )


@lru_cache(maxsize=1)
def panel_of(
    root: Path, features: Artifact, names: tuple[str, ...], lookback: int, earlier_bars: int
) -> PanelArrays:
    """Returns a panel, which stays in memory for the next fit on it."""
    return panel_arrays(features.frame(root), names, lookback, earlier_bars)


def rows_of(root: Path, windows: Artifact, fold: int | None) -> FoldRows:
    """Reads the rows of a fold, or, with None, of the refit."""
    summary = windows.read_json(root)
    entry = summary["refit"] if fold is None else summary["folds"][fold]
    return FoldRows.read(windows.frame(root), entry)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Lets torch use `count` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
