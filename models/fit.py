"""The one fit loop.

1. Look at the windows: none, a NaN, or a lookback that does not fit stops here.
2. Seed, build the network and AdamW; take up a checkpoint if there is one.
3. Every epoch: draw and shuffle the fit windows, step through them in batches with the gradient
   clipped by its norm, then look once whether loss or gradient went bad.
4. Measure the loss on the stop windows; keep the best weights; count the epochs without a better.
5. Save a checkpoint, report the epoch, and go on until the epochs or the patience run out.

All randomness comes from (seed, epoch), none from what went before. So a fit taken up after any
epoch ends in the same bits as one that was never cut off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.checkpoint import Checkpoint, CurveRow, Progress, Weights, copy_weights, pack, take_up
from models.errors import ModelError
from models.losses import find_loss
from models.panel import Ends, Panel, check_ends, check_finite, digest_windows, gather
from models.predict import predict

_INITIAL, _ORDER, _DROPOUT = range(3)  # purposes with random streams of their own


@dataclass(frozen=True)
class FitSettings:
    """How to fit; the defaults live in the training stage's configuration."""

    epochs: int  # at most, or exactly where there is no stop span
    batch_size: int  # windows a step; the last batch of an epoch may be smaller
    learning_rate: float
    weight_decay: float  # AdamW's, decoupled from the gradient
    clip_norm: float  # largest norm of the whole gradient
    patience: int  # epochs without a better stop loss before the fit ends, at least 1
    max_windows_per_epoch: int | None  # drawn anew each epoch without replacement; None = all
    loss: str


@dataclass(frozen=True)
class FitResult:
    """The best weights (on the CPU), the epoch they are from (counted from 1), and the curve."""

    weights: Weights
    best_epoch: int
    curve: tuple[CurveRow, ...]


# Longer than 40 lines: the loop is read in one place, from top to bottom.
def fit(
    network_factory: Callable[[], nn.Module],
    panel: Panel,
    fit_ends: Ends,
    stop_ends: Ends | None,
    lookback: int,
    settings: FitSettings,
    seed: int,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[CurveRow], None] | None = None,
) -> FitResult:
    """Fits a fresh network on the panel's device and returns its best weights.

    Args:
        network_factory: makes the network; called once, after seeding.
        panel: features and labels; labels already scaled by the caller.
        fit_ends: last rows of the windows to learn from.
        stop_ends: last rows of the windows that choose the epoch; None runs all epochs and keeps
            the last weights (the refit).
        lookback: rows in a window.
        settings: see FitSettings.
        seed: 0 or more.
        checkpoint: saved after every epoch, taken up at the start; one file belongs to one fit.
        on_epoch: called after the epoch is saved.
    """
    for span, ends in (("fit", fit_ends), ("stop", stop_ends)):
        if ends is not None:
            _check_span(panel, ends, lookback, span)
    loss_of = find_loss(settings.loss)
    cuda = [panel.device] if panel.device.type == "cuda" else []
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=cuda), _one_thread():
        torch.manual_seed(_stream(seed, 0, _INITIAL))
        network = network_factory().to(panel.device)
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        best, progress = copy_weights(network), Progress(0, 0, None, 0, [])
        identity: dict[str, object] = {}
        if checkpoint is not None:
            identity = {
                "network": repr(network),
                "device": panel.device.type,
                "fit": digest_windows(panel, fit_ends, lookback),
                "stop": None if stop_ends is None else digest_windows(panel, stop_ends, lookback),
                "settings": asdict(settings),
                "seed": seed,
            }
            state = checkpoint.load()
            if state is not None:
                best, progress = take_up(state, identity, network, optimizer)

        while progress.epoch < settings.epochs and progress.stale < settings.patience:
            epoch = progress.epoch = progress.epoch + 1
            network.train()
            batches = _draw(fit_ends, settings.max_windows_per_epoch, seed, epoch)
            batches = batches.to(panel.device).split(settings.batch_size)
            torch.manual_seed(_stream(seed, epoch, _DROPOUT))
            trace = torch.empty((len(batches), 2), device=panel.device)  # loss, gradient norm
            for step, ends in enumerate(batches):
                forecasts = network(gather(panel, ends, lookback))
                loss = loss_of(forecasts, panel.labels.index_select(0, ends))
                optimizer.zero_grad()
                loss.backward()
                norm = nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
                optimizer.step()
                trace[step, 0], trace[step, 1] = loss.detach(), norm
            # One look an epoch: a look a step would make a GPU wait for the CPU every time.
            losses = _check_trace(trace, epoch, settings)
            sizes = [len(ends) for ends in batches]
            fit_loss = float(np.average(losses, weights=sizes))

            stop_loss = None
            if stop_ends is not None:
                forecasts = torch.from_numpy(predict(network, panel, stop_ends, lookback))
                labels = panel.labels.cpu()[torch.tensor(stop_ends)].double()
                stop_loss = loss_of(forecasts, labels).item()
            if stop_loss is None or progress.best_loss is None or stop_loss < progress.best_loss:
                best, progress.best_epoch, progress.stale = copy_weights(network), epoch, 0
                progress.best_loss = stop_loss
            else:
                progress.stale += 1

            progress.curve.append(CurveRow(epoch, fit_loss, stop_loss, sum(sizes)))
            if checkpoint is not None:
                checkpoint.save(pack(network, best, optimizer, progress, identity))
            if on_epoch is not None:
                on_epoch(progress.curve[-1])
    return FitResult(best, progress.best_epoch, tuple(progress.curve))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets each of torch's operations run on one thread.

    Some processors' matrix products add up in another order on two, and so give other bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_span(panel: Panel, ends: Ends, lookback: int, span: str) -> None:
    if not len(ends):
        raise ModelError(
            f"the {span} span has 0 windows; lengthen it, shorten the lookback, or bring more bars."
        )
    check_ends(panel, ends, lookback)
    check_finite(panel, ends, lookback, span)


def _stream(seed: int, epoch: int, purpose: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint64)[0])


def _draw(ends: Ends, most: int | None, seed: int, epoch: int) -> Tensor:
    """Returns the epoch's windows in the order they are seen; the same on every device."""
    generator = torch.Generator().manual_seed(_stream(seed, epoch, _ORDER))
    order = torch.randperm(len(ends), generator=generator)[:most]
    return torch.tensor(ends)[order]


def _check_trace(trace: Tensor, epoch: int, settings: FitSettings) -> np.ndarray:
    """Returns the losses of the epoch's steps, or raises ModelError at the first bad step."""
    steps = trace.double().cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(steps).all(axis=1))
    if len(bad):
        loss, norm = steps[bad[0]]
        raise ModelError(
            f"the fit diverged in epoch {epoch}, step {bad[0] + 1} of {len(steps)}: "
            f"loss={loss}, gradient norm={norm}; lower learning_rate={settings.learning_rate} "
            "or look for extreme labels."
        )
    return steps[:, 0]
