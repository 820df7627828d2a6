"""What training and tuning have in common: labelled features, and the folds over them."""

from datetime import date
from pathlib import Path
from typing import Any

from flows.config import RunConfig
from flows.prices import Prices
from tasks.features.frame import bars_behind, looks_across
from tasks.features.names import parse
from tasks.features.task import build_features
from tasks.lake.artifacts import Artifact
from tasks.windows.task import make_windows


def label_features(config: RunConfig, prices: Prices, root: Path, lake: str) -> Artifact:
    """Returns the features of all rows with their targets."""
    return build_features(
        root=root,
        lake=lake,
        bars=prices.bars,
        actions=prices.actions,
        benchmark=prices.benchmark if config.target.excess == "benchmark" else None,
        features=config.features,
        target=config.target,
        members=prices.members,
        newest=None,
    )


def plan_folds(config: RunConfig, features: Artifact, session: date, root: Path) -> Artifact:
    """Returns the rows and scalers of all folds, and of the refit that ends at `session`."""
    return make_windows(
        root=root,
        features=features,
        names=config.features.features,
        earlier_bars=config.features.lookback,
        horizon=config.target.longest,
        window=config.window,
        splits=config.splits,
        cutoff=session,
        **reach(config),
    )


def reach(config: RunConfig) -> dict[str, Any]:
    """Returns what a row's features hang on, for folds that train behind their test spans."""
    features = [parse(name) for name in config.features.features]
    # Intervals and targets are scaled by the volatility; the other two are baselines by name.
    used = ("volatility", *config.baselines.names)
    return {"behind": bars_behind(features, used), "across": looks_across(features)}
