"""A small market taken through the project's own stages, as a training run takes its own.

Nothing is copied: a defect put into a stage's code is in the run as it would be in a user's.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import torch

from flows.certificate.trained import Trained, World
from models.bundle import Bundle
from tasks.evaluation.spec import EvaluationSpec
from tasks.features.frame import Exchange, bars_behind, looks_across
from tasks.features.names import parse
from tasks.features.spec import FeatureSpec
from tasks.features.stage import stage_frames
from tasks.lake.factors import index_prices
from tasks.lake.membership import Membership
from tasks.lake.panel import panel_arrays
from tasks.lake.store import Lake
from tasks.lake.tables import QUANTILE_COLUMNS
from tasks.lake.target_spec import TargetSpec
from tasks.training.folds import fit_network
from tasks.training.inputs import FoldRows
from tasks.training.network_spec import RecurrentSpec
from tasks.training.spec import TrainingSpec
from tasks.training.trials import complete_trial, count_trial
from tasks.windows.plan import plan_windows
from tasks.windows.spec import SplitSpec
from tests.lake.frames import weekdays

FEATURES = FeatureSpec(
    features=("log_return(1)", "log_return(5)", "rsi(5)", "realised_volatility(20)"), lookback=25
)
TARGET = TargetSpec(horizon=3)
LOOKBACK = 5
SPLITS = SplitSpec(folds=2, fit=120, stop=30, calibrate=25, test=40)
CROSSED = SPLITS.model_copy(
    update={"scheme": "combinatorial", "groups": 3, "test_groups": 1, "fit": 90}
)
NETWORK = RecurrentSpec(hidden=4, dropout=0.1)
TRAINING = TrainingSpec(epochs=2, batch_size=64, learning_rate=0.01, seeds=(0,), device="cpu")
CPU = torch.device("cpu")
DAYS = weekdays(330)
NOW = datetime(2020, 1, 2, 22, tzinfo=UTC)

# GONE leaves the universe and the exchange on day 200; LATE is listed before it becomes a member.
SPELLS = (
    ("AAA", None, None, "XTST", None),
    ("BBB", None, None, "XTST", None),
    ("CCC", None, None, "XTST", None),
    ("GONE", None, DAYS[200], "XTST", None),
    ("LATE", DAYS[150], None, "XTST", None),
)


@dataclass(frozen=True)
class Run:
    """A training run and the lake that it counted its trial in."""

    trained: Trained
    lake: Lake


def traded(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As-traded bars of random walks with gaps, and their splits and dividends."""
    draw = np.random.default_rng(seed)
    bars, actions = [], []
    for symbol, _, last, *_ in SPELLS:
        days = [day for day in DAYS if last is None or day <= last]
        price, shares = 50.0, 1.0
        for day in days:
            price *= float(np.exp(0.02 * draw.standard_normal()))
            if draw.random() < 0.01:
                actions.append((symbol, day, "split", 2.0))
                shares *= 2.0
            if draw.random() < 0.01:
                actions.append((symbol, day, "dividend", 0.01 * price / shares))
            opening = price * float(np.exp(0.005 * draw.standard_normal()))
            if draw.random() < 0.99:
                high, low = max(opening, price) * 1.01, min(opening, price) * 0.99
                prices = [p / shares for p in (opening, high, low, price)]
                bars.append((symbol, day, *prices, float(draw.integers(1_000, 9_000))))
    columns = ("open", "high", "low", "close", "volume")
    schema = {"symbol": pl.String, "date": pl.Date, **dict.fromkeys(columns, pl.Float64)}
    acted = {"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
    return (
        pl.DataFrame(bars, schema=schema, orient="row"),
        pl.DataFrame(actions, schema=acted, orient="row"),
    )


def train(
    seed: int,
    folder: Path,
    features: FeatureSpec = FEATURES,
    target: TargetSpec = TARGET,
    network: RecurrentSpec = NETWORK,
    training: TrainingSpec = TRAINING,
    splits: SplitSpec = SPLITS,
) -> Run:
    """Trains on the market of a seed; each stage is that of the project."""
    bars, actions = traded(seed)
    members, cutoff = Membership(spells=SPELLS), DAYS[-1]
    symbols = members.symbols(cutoff)
    bars, all_bars = bars.filter(pl.col("symbol").is_in(symbols)), bars
    actions = actions.filter(pl.col("symbol").is_in(symbols))
    index = None if target.excess != "benchmark" else bars.filter(symbol="AAA")
    exchanges = {"XTST": Exchange(DAYS, weekdays(400))}
    _, frame = stage_frames(
        bars,
        actions,
        exchanges,
        members,
        features,
        target,
        None if index is None else index_prices(index, actions),
    )
    panel = panel_arrays(frame, features.features, LOOKBACK, features.lookback)
    parsed = [parse(name) for name in features.features]
    behind, across = bars_behind(parsed, ("volatility",)), looks_across(parsed)
    plan = plan_windows(panel, LOOKBACK, target.horizon, splits, cutoff, behind, across)
    lake, counted = _count(folder)
    fitted = {}
    for entry in plan.summary["folds"]:
        rows = FoldRows.read(plan.rows, entry)
        fit_network(panel, rows, network, training, 0, LOOKBACK, CPU)
        fitted[f"the fit of fold {entry['fold']}"] = datetime.now(UTC)
    complete_trial(lake, counted, {"score": 0.0, "returns": [0.0]}, NOW)
    refit = FoldRows.read(plan.rows, plan.summary["refit"])
    last = fit_network(panel, refit, network, training, 0, LOOKBACK, CPU, epochs=2)
    spells = Membership(spells=SPELLS).frame()
    used = frame["symbol"].unique()
    trained = Trained(
        world=World(bars, actions, index),
        exchanges=exchanges,
        members=members,
        features=features,
        target=target,
        lookback=LOOKBACK,
        splits=splits,
        network=network,
        training=training,
        baselines=(),
        evaluation=EvaluationSpec(seed=seed),
        cutoff=cutoff,
        frame=frame,
        rows=plan.rows,
        plan=plan.summary,
        bundle=_bundle(features, target, network, last, plan.summary["refit"]),
        spells=spells,
        unread=all_bars.filter(~pl.col("symbol").is_in(used.implode())).select("symbol", "date"),
        counted=lake.every_row("trials").select("status", "commit", "committed_at"),
        fitted=fitted,
        first_counted=None,
        began=None,
        device=CPU,
        seed=seed,
    )
    return Run(trained, lake)


def _count(folder: Path) -> tuple[Lake, dict]:
    lake = Lake(folder / "lake")
    trial = {
        "trial": "a trial", "universe": "u", "target": TARGET.name, "spec": "s", "run": "r",
        "first": date(2015, 6, 1), "last": date(2016, 3, 1),
    }  # fmt: skip
    count_trial(lake, trial, NOW)
    return lake, trial


def _bundle(features, target, network, fit, entry) -> Bundle:
    offsets = dict(zip(QUANTILE_COLUMNS, (-2.0, -1.0, 0.0, 1.0, 2.0), strict=True))
    manifest = {
        "features": features.features,
        "earlier_bars": features.lookback,
        "lookback": LOOKBACK,
        "target": target.model_dump(mode="json"),
        "network": network.model_dump(mode="json"),
        "known": list(fit.known),
        "scaler": entry["scaler"],
        "novelty": entry["novelty"],
        "calibration": {"offsets": offsets},
    }
    return Bundle(manifest, [fit.weights], card="", sha256="")
