"""The one fit loop.

1. Look at the windows: none, a NaN, or a lookback that does not fit stops here.
2. Seed, build the network and AdamW; take up a checkpoint if there is one.
3. Every epoch: draw the batches of the fit span, step through them (augment, forward, backward,
   clip, AdamW at the schedule's rate), then look once whether a loss or gradient went bad.
4. Forecast the stop windows, score them by the chosen metric; keep the best weights; count the
   epochs without a better.
5. Save a checkpoint, report the epoch, and go on until the epochs or the patience run out.

All randomness comes from (seed, epoch, step), none from what went before. So a fit taken up after
any step ends in the same bits as one that was never cut off.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.augment import augment, check_augmentation
from models.checkpoint import Checkpoint, CurveRow, Progress, Weights, copy_weights, pack, take_up
from models.errors import ModelError, Stopped, UsageError, near
from models.feed import Drawn, Feed
from models.losses import Objective
from models.memory import out_of_memory
from models.metrics import METRICS, score
from models.networks import Network
from models.panel import Ends, Panel, check_ends, check_finite, digest_windows
from models.predict import predict
from models.schedule import learning_rate_at
from models.step import backward
from models.threads import alone

_INITIAL, _ORDER, _DROPOUT, _AUGMENT = range(4)  # purposes with random streams of their own


@dataclass(frozen=True)
class FitSettings:
    """How to fit; the defaults that users meet live in the training stage's configuration."""

    epochs: int  # at most, or exactly where there is no stop span
    batch_size: int  # windows, or chunks, a step; the last batch of an epoch may be smaller
    learning_rate: float
    weight_decay: float  # AdamW's, decoupled from the gradient (L2)
    clip_norm: float  # largest norm of the whole gradient
    patience: int  # epochs without a better stop score before the fit ends, at least 1
    losses: tuple[tuple[str, float], ...] = (("mse", 1.0),)  # names and weights
    max_windows_per_epoch: int | None = None  # labels drawn anew each epoch; None = all
    l1: float = 0.0  # times the sum of the weights' sizes
    metric: str = "loss"  # what chooses the epoch
    schedule: str = "constant"  # of the learning rate
    warmup: float = 0.0  # share of all steps over which the rate rises from 0
    precision: str = "float32"
    accumulate: int = 1  # batches whose gradients make one step, each by its number of labels
    supervision: str = "last"
    chunk: int = 60  # labels a chunk under dense supervision
    sampling: str = "window"
    augment: tuple[tuple[str, float], ...] = ()  # names and strengths
    max_seconds: float | None = None  # after which no further epoch begins


@dataclass(frozen=True)
class FitResult:
    """The best weights (on the CPU), the epoch they are from (counted from 1), and the curve.

    `out_of_time` says that `max_seconds` ended the fit: another run may end elsewhere.
    """

    weights: Weights
    best_epoch: int
    curve: tuple[CurveRow, ...]
    out_of_time: bool = False


# Longer than 40 lines: the loop is read in one place, from top to bottom.
def fit(
    network_factory: Callable[[], Network],
    panel: Panel,
    fit_ends: Ends,
    stop_ends: Ends | None,
    lookback: int,
    settings: FitSettings,
    seed: int,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[CurveRow], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = lambda: 0.0,
) -> FitResult:
    """Fits a fresh network on the panel's device and returns its best weights.

    Args:
        network_factory: makes the network; called once, after seeding.
        panel: features and labels; labels already scaled by the caller.
        fit_ends: last rows of the windows to learn from, ascending.
        stop_ends: last rows of the windows that choose the epoch; None runs all epochs and keeps
            the last weights (the refit).
        lookback: rows in a window; under dense supervision, of a chunk up to its first label.
        settings: see FitSettings.
        seed: 0 or more.
        checkpoint: saved after every epoch, taken up at the start; one file belongs to one fit.
        on_epoch: called after the epoch is saved.
        stopping: asked after every step; True saves a checkpoint and raises Stopped.
        clock: seconds that pass, needed for `max_seconds` only.

    Raises:
        ModelError: a span without windows, values that are not finite, a fit that diverged, a
            checkpoint of another fit, or too little memory.
        UsageError: settings that do not go together.
        Stopped: `stopping` said so.
    """
    _check_spans(panel, fit_ends, stop_ends, lookback)
    cuda = [panel.device] if panel.device.type == "cuda" else []
    # The caller's random state stays as it was. Sums over much are split among torch's threads, so
    # that their last bits hang on the number: here all is on one, but for what is side by side.
    with torch.random.fork_rng(devices=cuda), alone() as threads:
        torch.manual_seed(_stream(seed, 0, _INITIAL))
        network = network_factory().to(panel.device)
        trainer = _Trainer(network, panel, fit_ends, lookback, settings, seed, threads)
        best, progress, done = copy_weights(network), Progress(), torch.empty((0, 2))
        identity: dict[str, object] = {}
        if checkpoint is not None:
            identity = _identity(network, panel, fit_ends, stop_ends, lookback, settings, seed)
            state = checkpoint.load()
            if state is not None:
                best, progress, done = take_up(state, identity, network, trainer.optimizer)

        def save(trace: Tensor) -> None:
            if settings.max_seconds is not None:
                progress.seconds = clock() - began
            if checkpoint is not None:
                state = pack(network, best, trainer.optimizer, progress, trace, identity)
                checkpoint.save(state)

        began = clock() - progress.seconds
        while progress.epoch < settings.epochs and progress.stale < settings.patience:
            if settings.max_seconds is not None and clock() - began >= settings.max_seconds:
                return FitResult(best, progress.best_epoch, tuple(progress.curve), True)
            epoch = progress.epoch + 1
            network.train()
            steps = trainer.plan(epoch)
            trace = torch.empty((len(steps), 2), device=panel.device)  # loss, gradient norm
            trace[: progress.step] = done.to(panel.device)
            for step in range(progress.step, len(steps)):
                trace[step] = trainer.step(epoch, step, steps)
                if stopping():
                    progress.step = step + 1
                    save(trace[: step + 1])
                    raise Stopped(
                        f"The fit was stopped after step {step + 1} of {len(steps)} in epoch "
                        f"{epoch}; run it again to go on from there."
                    )
            # One look an epoch: a look a step would make a GPU wait for the CPU every time.
            losses = _check_trace(trace, epoch, trainer, steps)
            sizes = [_labels(step) for step in steps]
            progress.epoch, progress.step, done = epoch, 0, torch.empty((0, 2))

            stop_loss, stop_score = None, None
            if stop_ends is not None:
                raw = predict(network, panel, stop_ends, lookback, threads=threads)
                stop_loss, stop_score = trainer.judge(raw, stop_ends)
            # Without a stop span the last epoch is the best.
            if (
                progress.best_score is None
                or stop_score is None
                or stop_score < progress.best_score
            ):
                best, progress.best_epoch, progress.stale = copy_weights(network), epoch, 0
                progress.best_score = stop_score
            else:
                progress.stale += 1

            fit_loss = float(np.average(losses, weights=sizes))
            rate = trainer.rate(epoch, len(steps) - 1, len(steps))
            progress.curve.append(
                CurveRow(epoch, fit_loss, stop_loss, stop_score, sum(sizes), rate)
            )
            save(done)
            if on_epoch is not None:
                on_epoch(progress.curve[-1])
    return FitResult(best, progress.best_epoch, tuple(progress.curve))


class _Trainer:
    """Network, optimizer and data of one fit; every step is a function of (seed, epoch, step)."""

    def __init__(
        self,
        network: Network,
        panel: Panel,
        ends: Ends,
        lookback: int,
        settings: FitSettings,
        seed: int,
        threads: int,
    ) -> None:
        self.network, self.panel, self.lookback = network, panel, lookback
        self.settings, self.seed, self.threads = settings, seed, threads
        head = network.head
        self.objective = Objective(settings.losses, head.kind, head.levels)
        _check_together(settings, network, panel)
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.feed = Feed(
            panel,
            ends,
            lookback,
            settings.batch_size,
            settings.sampling,
            settings.chunk if settings.supervision == "dense" else None,
            settings.max_windows_per_epoch,
        )

    def plan(self, epoch: int) -> list[list[Drawn]]:
        """Returns the steps of an epoch, each the batches whose gradients it sums."""
        drawn = self.feed.plan(torch.Generator().manual_seed(_stream(self.seed, epoch, _ORDER)))
        size = self.settings.accumulate
        return [drawn[i : i + size] for i in range(0, len(drawn), size)]

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Returns the learning rate of a step, counted from 0 in an epoch counted from 1."""
        chosen, place = self.settings, (epoch - 1) * steps + step
        whole = chosen.epochs * steps
        return chosen.learning_rate * learning_rate_at(chosen.schedule, chosen.warmup, place, whole)

    def step(self, epoch: int, step: int, steps: list[list[Drawn]]) -> Tensor:
        """Takes one step; returns its loss and the norm of its gradient [2], on the device."""
        chosen = self.settings
        self.optimizer.param_groups[0]["lr"] = self.rate(epoch, step, len(steps))
        self.optimizer.zero_grad()
        loss = torch.zeros((), device=self.panel.device)
        whole = _labels(steps[step])
        for part, drawn in enumerate(steps[step]):
            share = drawn.labels / whole
            lacking = ""
            try:
                loss += share * self._backward(drawn, share, (epoch, step, part))
            except torch.OutOfMemoryError as error:
                lacking = str(error)
            # Outside the handler: its traceback holds the memory of the step that failed.
            if lacking:
                raise out_of_memory(lacking, drawn, self._fits, chosen.batch_size)
        if chosen.l1:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.detach().sign(), alpha=chosen.l1)
        norm = nn.utils.clip_grad_norm_(self.parameters, chosen.clip_norm)
        self.optimizer.step()
        return torch.stack([loss, norm])

    def judge(self, raw: NDArray[np.float64], ends: Ends) -> tuple[float, float]:
        """Returns loss and score of raw forecasts [n, …] of the rows `ends`; lower is better."""
        rows = torch.tensor(ends)  # a copy: the ends of a plan are read-only
        labels = self.panel.labels.cpu()[rows].double()
        dates, symbols = (
            None if field is None else field.cpu()[rows]
            for field in (self.panel.dates, self.panel.symbols)
        )
        loss = self.objective(torch.from_numpy(raw), labels, dates=dates).item()
        if self.settings.metric == "loss":
            return loss, loss
        kind = self.network.head.kind
        return loss, score(self.settings.metric, kind, raw, labels.numpy(), dates, symbols)

    def _backward(self, drawn: Drawn, share: float, place: tuple[int, int, int]) -> Tensor:
        batch = self.feed.batch(drawn)
        if self.settings.augment:
            generator = torch.Generator(self.panel.device)
            generator.manual_seed(_stream(self.seed, _AUGMENT, *place))
            batch = batch.seen_as(
                *augment(batch.windows, batch.labels, self.settings.augment, generator)
            )
        torch.manual_seed(_stream(self.seed, _DROPOUT, *place))
        precision, threads = self.settings.precision, self.threads
        return backward(self.network, self.objective, batch, share, precision, threads=threads)

    def _fits(self, drawn: Drawn) -> bool:
        """Returns whether a batch goes through forward and backward; its gradients are dropped."""
        try:
            self._backward(drawn, 1.0, (0, 0, 0))
        except torch.OutOfMemoryError:
            return False
        finally:
            self.optimizer.zero_grad()
        return True


def _check_spans(panel: Panel, fit_ends: Ends, stop_ends: Ends | None, lookback: int) -> None:
    for span, ends in (("fit", fit_ends), ("stop", stop_ends)):
        if ends is None:
            continue
        if not len(ends):
            raise ModelError(
                f"the {span} span has 0 windows; lengthen it, shorten the lookback, or bring more "
                "bars."
            )
        check_ends(panel, ends, lookback)
        check_finite(panel, ends, lookback, span)


def _check_together(settings: FitSettings, network: Network, panel: Panel) -> None:
    """Raises UsageError where settings, network and panel do not go together."""
    if settings.metric not in METRICS:
        raise UsageError(
            f"metric={settings.metric!r} is unknown.{near(settings.metric, METRICS)} "
            f"Use one of {', '.join(METRICS)}."
        )
    if settings.precision == "bf16" and panel.device.type != "cuda":
        raise UsageError(
            f"precision='bf16' was asked for on the device {panel.device.type}; it pays on CUDA "
            "only: set precision='float32'."
        )
    if settings.supervision == "dense" and network.why_not_dense is not None:
        raise UsageError(
            f"supervision='dense' does not suit this network: {network.why_not_dense}; "
            "set supervision='last'."
        )
    if settings.supervision not in ("last", "dense"):
        raise UsageError(
            f"supervision={settings.supervision!r} is unknown; use one of last, dense."
        )
    if settings.supervision == "dense" and settings.sampling != "window":
        raise UsageError(
            f"sampling={settings.sampling!r} means nothing under supervision='dense', whose chunks "
            "hold one symbol each; set sampling='window'."
        )
    check_augmentation([name for name, _ in settings.augment], settings.supervision)


def _identity(
    network: Network,
    panel: Panel,
    fit_ends: Ends,
    stop_ends: Ends | None,
    lookback: int,
    settings: FitSettings,
    seed: int,
) -> dict[str, object]:
    """Returns what makes one fit another than the next, ready for JSON."""
    chosen = {name: _plain(value) for name, value in asdict(settings).items()}
    return {
        "network": repr(network),
        "device": panel.device.type,
        "fit": digest_windows(panel, fit_ends, lookback),
        "stop": None if stop_ends is None else digest_windows(panel, stop_ends, lookback),
        "settings": chosen,
        "seed": seed,
    }


def _plain(value: object) -> object:
    """Returns a value as JSON gives it back: tuples become lists."""
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _labels(step: Sequence[Drawn]) -> int:
    return sum(drawn.labels for drawn in step)


def _stream(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def _check_trace(
    trace: Tensor, epoch: int, trainer: _Trainer, steps: list[list[Drawn]]
) -> NDArray[np.float64]:
    """Returns the losses of the epoch's steps, or raises ModelError at the first bad step."""
    found = trace.double().cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        first = int(bad[0])
        loss, norm = found[first]
        raise ModelError(
            f"the fit diverged in epoch {epoch}, step {first + 1} of {len(found)}: "
            f"loss={loss}, gradient norm={norm}; {_most_extreme(trainer, steps[first])}. "
            f"Lower learning_rate={trainer.settings.learning_rate}, or mend that feature or label."
        )
    return found[:, 0]


def _most_extreme(trainer: _Trainer, step: list[Drawn]) -> str:
    """Returns which feature of a step's windows, and which label, lies furthest from 0."""
    batches = [trainer.feed.batch(drawn) for drawn in step]
    peaks = torch.stack([b.windows.abs().flatten(0, 1).amax(0) for b in batches]).amax(0)
    feature = int(peaks.argmax())
    label = max(float(torch.nan_to_num(b.labels).abs().max()) for b in batches)
    return (
        f"in its {_labels(step)} labels' windows the feature furthest from 0 is "
        f"{trainer.panel.names[feature]}, at {float(peaks[feature]):.4g}, and the furthest label "
        f"is at {label:.4g}"
    )
