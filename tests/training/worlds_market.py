"""Made-up markets whose truth is known, taken through the project's own stages up to the verdict.

Bars → features and labels → window plan → fits → predictions → scores. Nothing of it is copied:
what is tested is what a run of the command does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch

from tasks.evaluation.aligned import score_grid
from tasks.evaluation.evaluate import judge
from tasks.evaluation.predictions import assemble
from tasks.evaluation.scores import ic_interval, ic_over_dates, score_dates
from tasks.evaluation.significance import Interval, resample_dates, standard_error
from tasks.evaluation.spec import EvaluationSpec
from tasks.features.frame import Exchange, feature_frame
from tasks.features.spec import FeatureSpec
from tasks.lake.membership import Membership
from tasks.lake.panel import PanelArrays, panel_arrays
from tasks.lake.target_spec import TargetSpec
from tasks.training.baseline_spec import BaselineSpec
from tasks.training.folds import OUT_OF_FIT, fit_baselines, fit_network, forecast_frame
from tasks.training.inputs import FoldRows
from tasks.training.network_spec import RecurrentSpec
from tasks.training.spec import TrainingSpec
from tasks.windows.plan import plan_windows
from tasks.windows.spec import SplitSpec
from tests.lake.frames import weekdays

FEATURES = FeatureSpec(
    features=("log_return(1)", "log_return(5)", "log_return(10)", "realised_volatility(20)"),
    lookback=20,
)
TARGET = TargetSpec(horizon=1)
LOOKBACK = 5
SHORT = SplitSpec(folds=2, fit=150, stop=40, calibrate=20, test=60)
# Where a signal is to be found whole, it has to be learned well.
LONG = SHORT.model_copy(update={"fit": 400})
JUDGED = EvaluationSpec(bootstrap_samples=300)
BASELINES = BaselineSpec(names=("zero", "ridge"))
TRAINING = TrainingSpec(
    epochs=6, patience=2, batch_size=512, learning_rate=0.01, seeds=(0,), device="cpu"
)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """A market as arrays, the spec by which it is split, and each fold's rows."""

    panel: PanelArrays
    splits: SplitSpec
    folds: tuple[FoldRows, ...]


@dataclass(frozen=True)
class Found:
    """What the evaluation says of one model's forecasts."""

    label: str
    ic: Interval
    ic_error: float


# From a world and the rows of a fold to the fold's forecasts.
Model = Callable[[World, FoldRows], pl.DataFrame]


def random_walks(seed: int) -> World:
    """Log prices without drift, made hard: a shared factor, fat tails, a drifting volatility."""
    draw = np.random.default_rng(seed)
    count, names = _sessions(SHORT), 25
    volatility = 0.01 * np.exp(np.cumsum(draw.normal(0, 0.05, count)))[:, None]
    shared = 0.7 * draw.standard_t(5, (count, 1))
    return _world(volatility * (shared + draw.standard_t(5, (count, names))), SHORT)


def planted(seed: int, memory: float) -> World:
    """Returns that are `memory` × the last return + noise of equal size: the IC that can be had.

    What each symbol does is its own, so across symbols the forecast that knows all has an IC of
    `memory` on average.
    """
    draw = np.random.default_rng(seed)
    returns = 0.01 * draw.standard_normal((_sessions(LONG), 40))
    for day in range(1, len(returns)):
        returns[day] += memory * returns[day - 1]
    return _world(returns, LONG)


def block_shuffled(world: World, seed: int, length: int = 10) -> World:
    """The world with its labels moved in blocks of sessions, each away from its own place.

    Each block's symbols are dealt anew: over the sample some symbol has risen more than others, in
    its features as in its labels wherever these lie, and that alone would be a small IC.
    """
    panel, draw = world.panel, np.random.default_rng(seed)
    days, place = np.unique(panel.dates, return_inverse=True)
    labels = np.full((len(days), len(panel.symbols)), np.nan)
    labels[place, panel.symbol] = panel.target
    known = np.flatnonzero(np.isfinite(labels).all(axis=1))
    assert np.array_equal(known, np.arange(known[0], known[-1] + 1))
    blocks = np.array_split(known, len(known) // length)
    # One cycle through all blocks leaves none where it was.
    order = draw.permutation(len(blocks))
    moved = labels.copy()
    to = known[0]
    source = dict(zip(order, np.roll(order, 1), strict=True))
    for block in range(len(blocks)):
        taken = labels[blocks[source[block]]]
        moved[to : to + len(taken)] = taken[:, draw.permutation(len(panel.symbols))]
        to += len(taken)
    return _planned(replace(panel, target=moved[place, panel.symbol]), world.splits)


def ridge(world: World, rows: FoldRows) -> pl.DataFrame:
    made = fit_baselines(world.panel, rows, BASELINES).filter(pl.col("model") == "ridge")
    pieces = []
    for span in OUT_OF_FIT:
        mine = made.filter(pl.col("span") == span)
        ends, mean = (mine[name].to_numpy(writable=True) for name in ("row", "mean"))
        pieces.append(forecast_frame(span, ends, "mean", mean, 1.0))
    return pl.concat(pieces)


def network(cell: str) -> Model:
    """A small recurrent network of one seed."""
    spec = RecurrentSpec(cell=cell, hidden=8, dropout=0.0)

    def model(world: World, rows: FoldRows) -> pl.DataFrame:
        seed = TRAINING.seeds[0]
        return fit_network(world.panel, rows, spec, TRAINING, seed, LOOKBACK, CPU).forecasts

    return model


def judged(world: World, model: Model, seed: int = 0) -> Found:
    """Fits a model on every fold and returns the evaluation's word on its test spans."""
    fits = [(number, model(world, rows)) for number, rows in enumerate(world.folds)]
    predictions = assemble(world.panel, TARGET, "model", fits, []).frame
    scored = score_grid(predictions, TARGET.horizon, JUDGED.min_names_for_ic)
    assert scored.ic_kind == "ic"
    dates = scored.dates.len()
    weights = resample_dates(dates, TARGET.horizon, JUDGED.bootstrap_samples, seed)
    scores = score_dates(scored.models[0], scored)
    verdict = judge(scores, scored, weights, TARGET.horizon, JUDGED.confidence)["verdict"]
    ic = ic_interval(scores, scored, weights, TARGET.horizon, JUDGED.confidence)
    error = standard_error(ic_over_dates(scores, scored, weights))
    return Found(verdict["label"], ic, error)


def edges_in_random_walks(seeds: Iterable[int], model: Model) -> int:
    """How often a model is said to have an edge where there is none."""
    return sum(judged(random_walks(seed), model, seed).label == "edge" for seed in seeds)


def _sessions(splits: SplitSpec) -> int:
    spans = splits.fit + splits.stop + splits.calibrate + splits.folds * splits.test
    return FEATURES.lookback + LOOKBACK + spans + TARGET.horizon + 1


def _world(returns: np.ndarray, splits: SplitSpec) -> World:
    """Takes log returns [D, S] through bars, features, labels and the window plan.

    A session opens where the last one closed. So the label of t, from the open of t + 1 to that of
    t + 2, is the return of session t + 1.
    """
    days, names = weekdays(len(returns)), returns.shape[1]
    closes = 50 * np.exp(np.cumsum(returns, axis=0))
    opens = np.vstack([np.full((1, names), 50.0), closes[:-1]])
    columns = {
        "open": opens,
        "high": np.maximum(opens, closes),
        "low": np.minimum(opens, closes),
        "close": closes,
        "volume": np.full(closes.shape, 1e6),
    }
    symbols = [f"S{name:02d}" for name in range(names)]
    bars = pl.DataFrame(
        {
            "symbol": np.repeat(symbols, len(days)),
            "date": days * names,
            **{name: values.T.ravel() for name, values in columns.items()},
        }
    )
    members = Membership(spells=tuple((symbol, None, None, "XTST", None) for symbol in symbols))
    frame = feature_frame(bars, {"XTST": Exchange(days, days)}, members, FEATURES, TARGET)
    return _planned(panel_arrays(frame, FEATURES.features, LOOKBACK, FEATURES.lookback), splits)


def _planned(panel: PanelArrays, splits: SplitSpec) -> World:
    plan = plan_windows(panel, LOOKBACK, TARGET.horizon, splits, panel.dates.max().item())
    folds = [FoldRows.read(plan.rows, entry) for entry in plan.summary["folds"]]
    return World(panel, splits, tuple(folds))
