"""What the certificate looks at: all that a training run read, chose and made, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl
import torch

from models.bundle import Bundle
from tasks.evaluation.spec import EvaluationSpec
from tasks.features.frame import Exchange
from tasks.features.spec import FeatureSpec
from tasks.features.stage import stage_frames
from tasks.lake.factors import index_prices
from tasks.lake.membership import Membership
from tasks.lake.panel import PanelArrays, panel_arrays
from tasks.lake.target_spec import TargetSpec
from tasks.training.inputs import FoldRows
from tasks.training.network_spec import NetworkSpec
from tasks.training.spec import TrainingSpec
from tasks.windows.plan import plan_walked
from tasks.windows.spec import SplitSpec


@dataclass(frozen=True)
class World:
    """As-traded bars, the benchmark's where a target needs them, and the actions on both."""

    bars: pl.DataFrame
    actions: pl.DataFrame
    index: pl.DataFrame | None


@dataclass(frozen=True)
class Trained:
    """A training run.

    Attributes:
        world: what it read.
        cutoff: the session it was trained to.
        frame: the feature frame it was trained on.
        rows: fold, span, row: the plan of its windows, and `plan`, the summary with spans and
            scalers.
        baselines: the models beside it, which are fitted on the same rows.
        bundle: its refitted weights, with what a forecast needs to know.
        spells: the universe's dated membership as the lake has it.
        unread: symbol and date of members' bars in the lake that the features were not made of.
        counted: every row of its trial in the lake, with the instants of their commits.
        fitted: when each fit was finished.
        first_counted: when the first trial of its specification and universe was counted; None
            where that is not known.
        began: when the run that counted the trial began; None where that is not known.
        seed: of everything that is drawn.
    """

    world: World
    exchanges: Mapping[str, Exchange]
    members: Membership
    features: FeatureSpec
    target: TargetSpec
    lookback: int
    splits: SplitSpec
    network: NetworkSpec
    training: TrainingSpec
    baselines: tuple[str, ...]
    evaluation: EvaluationSpec
    cutoff: date
    frame: pl.DataFrame
    rows: pl.DataFrame
    plan: Mapping[str, Any]
    bundle: Bundle
    spells: pl.DataFrame
    unread: pl.DataFrame
    counted: pl.DataFrame
    fitted: Mapping[str, datetime]
    first_counted: datetime | None
    began: datetime | None
    device: torch.device
    seed: int

    def stage(self, world: World) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Returns the panel and the feature frame that the run would make of another world."""
        index = world.index
        if index is not None:
            index = index_prices(index, world.actions)
        return stage_frames(
            world.bars,
            world.actions,
            self.exchanges,
            self.members,
            self.features,
            self.target,
            index,
        )

    def panel(self, frame: pl.DataFrame) -> PanelArrays:
        """Returns the arrays of a feature frame, with the rows on which windows end."""
        features = self.features
        return panel_arrays(frame, features.features, self.lookback, features.lookback)

    @property
    def walked(self) -> list[Mapping[str, Any]]:
        """The plan's walk-forward folds, which come first; the combinatorial ones follow."""
        return [entry for entry in self.plan["folds"] if "tested" not in entry]

    def fold(self, number: int) -> FoldRows:
        """Returns the rows and the scaler that a fold was fitted with."""
        return FoldRows.read(self.rows, self.plan["folds"][number])

    def planned(self, panel: PanelArrays, number: int) -> FoldRows:
        """Returns rows and scaler that the run would plan for a walked fold of another panel."""
        # Combinatorial folds come after an expanding walk, which they do not change.
        crossed = self.splits.scheme == "combinatorial"
        splits = self.splits.model_copy(update={"scheme": "expanding"}) if crossed else self.splits
        plan = plan_walked(panel, self.lookback, self.target.longest, splits, number)
        folds: Any = plan.summary["folds"]
        return FoldRows.read(plan.rows, folds[0])
