"""The certificate's second part: what enters the fits, and one fit, on other bars after a fold."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import polars as pl
import polars.selectors as cs
import torch

from flows.certificate.trained import Trained, World
from models.errors import NightcastError
from tasks.features.causality import changes
from tasks.lake.bits import first_difference
from tasks.lake.panel import PanelArrays
from tasks.lake.target_spec import TARGET_COLUMNS
from tasks.training.folds import FoldFit, fit_network
from tasks.training.inputs import FoldRows, fit_inputs

_EPOCHS = 2
# Labels of an epoch of the fits that are compared, at most.
_LABELS = 50_000
_CPU = torch.device("cpu")

Fold = tuple[int, date, PanelArrays, FoldRows]


def other_folds(run: Trained) -> Iterator[tuple[Fold | None, list[str | None]]]:
    """Yields each walked fold as planned on replaced bars, and what changed of its inputs.

    Everything after the fold's calibrate span is replaced. Without a fold, none can be planned
    there, although what it is fitted on is as it was.
    """
    truth = run.panel(run.frame)
    for number, entry in enumerate(run.walked):
        end = date.fromisoformat(entry["spans"]["calibrate"]["end"])
        told = f"of fold {number} change when the bars after {end} are replaced"
        try:
            _, frame = run.stage(replaced_after(run.world, end, run.seed + number))
            panel = run.panel(frame)
            rows = run.planned(panel, number)
        except NightcastError as fault:
            yield None, [f"the rows {told}: {fault}"]
            continue
        before, after = (
            fit_inputs(seen, chosen, run.training, run.network.covariates, _CPU).digests(
                run.lookback
            )
            for seen, chosen in ((truth, run.fold(number)), (panel, rows))
        )
        found = [
            f"the {part} {told}" if digest != after.get(part) else None
            for part, digest in before.items()
        ]
        yield (number, end, panel, rows), [_label_leak(run.frame, frame, end), *found]


def replaced_after(world: World, end: date, seed: int) -> World:
    """Returns the world with made-up bars after a date, and a split in place of its actions.

    The benchmark's bars and actions too.
    """
    later = changes.with_future(world.bars, changes.made_up_bars(world.bars, seed), end)
    acted = world.actions.filter(pl.col("date") <= end)
    bars, actions = changes.with_later_action(later, acted, end, 3.0, moved=False)
    index = world.index
    if index is not None:
        index = changes.with_future(index, changes.made_up_bars(index, seed), end)
        index, actions = changes.with_later_action(index, actions, end, 3.0, moved=False)
    return replace(world, bars=bars, actions=actions, index=index)


def refit_leaks(run: Trained, fold: Fold) -> Iterator[str | None]:
    """Fits a fold for two epochs on the bars as they are and on replaced ones, and compares."""
    number, end, panel, rows = fold
    true = _fitted(run, run.panel(run.frame), run.fold(number))
    other = _fitted(run, panel, rows)
    told = f"of fold {number}, fitted for {_EPOCHS} epochs, change when the bars after {end} are "
    same = true.weights.keys() == other.weights.keys() and all(
        torch.equal(true.weights[name], other.weights[name]) for name in true.weights
    )
    yield None if same else f"the weights {told}replaced"
    yield None if true.curve.equals(other.curve) else f"the losses {told}replaced"
    first, second = (fit.forecasts.filter(span="calibrate").drop("row") for fit in (true, other))
    yield None if first.equals(second) else f"the calibrate forecasts {told}replaced"


def _fitted(run: Trained, panel: PanelArrays, rows: FoldRows) -> FoldFit:
    most = min(run.training.max_windows_per_epoch or _LABELS, _LABELS)
    changed = {"epochs": _EPOCHS, "max_windows_per_epoch": most, "max_seconds": None}
    training = run.training.model_copy(update=changed)
    seed = run.training.seeds[0]
    return fit_network(panel, rows, run.network, training, seed, run.lookback, run.device)


def _label_leak(true: pl.DataFrame, other: pl.DataFrame, end: date) -> str | None:
    """Returns what changes of the labels that are said to be known by a date, or None."""
    labels = cs.matches(TARGET_COLUMNS) | cs.by_name("label_end")
    known = (
        frame.filter(pl.col("label_end") <= end).select("symbol", "date", labels)
        for frame in (true, other)
    )
    where = first_difference(*known)
    if where is None:
        return None
    return (
        f"the {where.columns[0]} of {where.symbol} {where.date}, said to be known by {end}, "
        "changes when the bars after it are replaced"
    )
