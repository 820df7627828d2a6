"""Windows of the fit span seen a little differently each time; off unless asked for.

Names, and what their strength means:

    jitter   standard deviation of noise, in units of the scaled features
    scaling  standard deviation of a factor around 1, one a window and feature
    warp     a random part runs 1 + strength times as fast, or as slow
    slice    up to this share of the window's beginning is cut off
    mixup    both parameters of the Beta distribution that weighs two windows

Sources: jitter and scaling, Um et al. 2017 (ICMI); warp and slice, Le Guennec et al. 2016 (AALTD);
mixup, Zhang et al. 2018 (ICLR); surveyed by Iwana & Uchida 2021 (PLOS ONE 16(7)). Here the last bar
stays the last, because the label begins after it, and bars keep their order.

Nothing asks the device for a value, so a GPU does not wait for the CPU.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.errors import UsageError, near

Pair = tuple[Tensor, Tensor]


def augment(
    windows: Tensor,
    labels: Tensor,
    settings: Sequence[tuple[str, float]],
    generator: torch.Generator,
) -> Pair:
    """Returns windows [B, L, F] and labels [B, H] of the same shapes, augmented in that order.

    Args:
        windows: scaled features, or chunks [B, C, F] (jitter and scaling only).
        labels: [B, H], or [B, K, H] with chunks; only mixup changes them.
        settings: names with strengths.
        generator: of the windows' device, or of the CPU.

    Raises:
        UsageError: an unknown name, or a strength out of its range.
    """
    for name, strength in settings:
        _check_strength(name, strength)
        windows, labels = AUGMENTATIONS[name](windows, labels, strength, generator)
    return windows, labels


def check_augmentation(names: Sequence[str], supervision: str) -> None:
    """Raises UsageError for an unknown name, or one that moves the steps of `dense` labels."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise UsageError(
                f"augment={name!r} is unknown.{near(name, AUGMENTATIONS)} "
                f"Use some of {', '.join(AUGMENTATIONS)}."
            )
    moving = [name for name in names if name not in _KEEP_STEPS]
    if supervision == "dense" and moving:
        raise UsageError(
            f"augment={', '.join(moving)} does not suit supervision='dense', whose labels stand at "
            f"every step and would no longer fit; use {' or '.join(_KEEP_STEPS)}, or "
            "supervision='last'."
        )


def jitter(windows: Tensor, labels: Tensor, strength: float, generator: torch.Generator) -> Pair:
    """Adds Gaussian noise to every feature of every bar."""
    return windows + strength * _normal(windows, windows.shape, generator), labels


def scaling(windows: Tensor, labels: Tensor, strength: float, generator: torch.Generator) -> Pair:
    """Multiplies each feature of a window, at all its bars, by one number from N(1, strength²)."""
    shape = (windows.shape[0], 1, windows.shape[2])
    return windows * (1 + strength * _normal(windows, shape, generator)), labels


def warp(windows: Tensor, labels: Tensor, strength: float, generator: torch.Generator) -> Pair:
    """Runs a random part of each window faster or slower, and fits the whole into L bars again.

    The part lies between two uniform draws; whether it runs faster is even chance. Between bars
    the features are interpolated linearly.
    """
    many, span = windows.shape[0], windows.shape[1] - 1
    edges = _uniform(windows, (many, 2), generator).sort(dim=1).values * span
    faster = _uniform(windows, (many, 1), generator) < 0.5
    speed = torch.where(faster, 1 + strength, 1 / (1 + strength)).to(windows.dtype)
    begin, end = edges[:, :1], edges[:, 1:]
    time = torch.arange(span + 1, device=windows.device, dtype=windows.dtype)
    run = time + (speed - 1) * (torch.minimum(time, end) - begin).clamp(min=0)
    return _resampled(windows, run / run[:, -1:].clamp(min=1e-6) * span), labels


def slice_window(
    windows: Tensor, labels: Tensor, strength: float, generator: torch.Generator
) -> Pair:
    """Cuts off the beginning of each window, a uniform share up to `strength`; stretches the rest.

    Published slicing lets the slice lie anywhere; here it ends on the last bar.
    """
    span = windows.shape[1] - 1
    left = 1 - strength * _uniform(windows, (windows.shape[0], 1), generator)
    back = torch.arange(span, -1, -1, device=windows.device, dtype=windows.dtype)
    return _resampled(windows, span - left * back), labels


def mixup(windows: Tensor, labels: Tensor, strength: float, generator: torch.Generator) -> Pair:
    """Mixes each window and its labels with those of another window of the batch.

    The larger share, at least one half, is the window's own: its symbol, date and weight stay. A
    window is not mixed with one that lacks a label, so NaN labels do not spread.
    """
    many, home = windows.shape[0], generator.device
    partner = torch.randperm(many, generator=generator, device=home).to(windows.device)
    lacking = labels[partner].isnan().any(dim=1)
    own = _beta(many, strength, generator).to(windows.device, windows.dtype)
    own = torch.maximum(own, 1 - own).masked_fill(lacking, 1.0)[:, None]
    mixed = torch.lerp(windows[partner], windows, own[:, :, None])
    return mixed, torch.lerp(labels[partner].nan_to_num(), labels, own.to(labels.dtype))


Augmentation = Callable[[Tensor, Tensor, float, torch.Generator], Pair]
AUGMENTATIONS: dict[str, Augmentation] = {
    "jitter": jitter,
    "scaling": scaling,
    "warp": warp,
    "slice": slice_window,
    "mixup": mixup,
}
_KEEP_STEPS = ("jitter", "scaling")


def _check_strength(name: str, strength: float) -> None:
    check_augmentation([name], "last")
    if not 0 < strength < (1 if name == "slice" else float("inf")):
        below = " and below 1" if name == "slice" else ""
        raise UsageError(
            f"augment: {name}={strength} is out of range; use a number above 0{below}, or leave "
            f"{name} out."
        )


def _resampled(windows: Tensor, places: Tensor) -> Tensor:
    """Returns the windows read at `places` [B, L] between their bars, 0 … L − 1, linearly."""
    last = windows.shape[1] - 1
    if last == 0:
        return windows
    left = places.floor().long().clamp(0, last - 1)
    share = (places - left).clamp(0, 1)[:, :, None]
    left = left[:, :, None].expand(-1, -1, windows.shape[2])
    return torch.lerp(windows.gather(1, left), windows.gather(1, left + 1), share)


def _beta(many: int, strength: float, generator: torch.Generator) -> Tensor:
    """Returns draws from Beta(strength, strength) as the share of one gamma draw in two.

    torch.distributions takes no generator. Gamma draws of a small shape a fall below the smallest
    number; their logarithms do not, through Gamma(a) = Gamma(a + 1) U^(1/a) (Marsaglia & Tsang
    2000, section 6).
    """
    home, shape = generator.device, (2, many)
    raised = torch.full(shape, strength + 1, dtype=torch.float64, device=home)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64, device=home)
    size = torch._standard_gamma(raised, generator=generator).log()
    size += uniform.clamp(min=1e-300).log() / strength
    return torch.sigmoid(size[0] - size[1])


def _normal(windows: Tensor, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=windows.dtype)
    return drawn.to(windows.device)


def _uniform(windows: Tensor, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=windows.dtype)
    return drawn.to(windows.device)
