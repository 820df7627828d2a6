"""Orders on a small market; run as a script, a parent that never answers its worker."""

import dataclasses
import sys
import time
from pathlib import Path

import torch

from tasks.lake.artifacts import write_artifact, write_frames
from tasks.lake.panel import panel_arrays
from tasks.training.network_spec import RecurrentSpec
from tasks.training.orders import FitOrder
from tasks.training.spec import TrainingSpec
from tasks.windows.plan import plan_windows
from tasks.windows.spec import SplitSpec
from tests.lake.frames import feature_frame, names_of, weekdays

LOOKBACK, HORIZON, EARLIER = 4, 2, 1


def made_orders(root):
    """Three seeds of the first of two folds, on a data root with features and windows."""
    sessions = weekdays(110)
    frame = feature_frame({"A": (0, 109), "B": (0, 109)}, sessions, horizon=HORIZON)
    splits = SplitSpec(folds=2, fit=40, stop=15, calibrate=15, test=15)
    panel = panel_arrays(frame, names_of(frame), LOOKBACK, EARLIER)
    plan = plan_windows(panel, LOOKBACK, HORIZON, splits, sessions[-1])
    features = write_artifact(root, "features", "f", write_frames({"frame": frame}))
    windows = write_artifact(root, "windows", "w", write_frames({"frame": plan.rows}, plan.summary))
    return [
        FitOrder(
            root=root,
            key=f"seed-{seed}",
            features=features,
            windows=windows,
            names=names_of(frame),
            earlier_bars=EARLIER,
            lookback=LOOKBACK,
            fold=0,
            seed=seed,
            network=RecurrentSpec(hidden=4),
            training=TrainingSpec(epochs=3, patience=3, batch_size=32, seeds=(0, 1, 2)),
            device="cpu",
            epochs=None,
            threads=1,
        )
        for seed in range(3)
    ]


def moved(order, **changes):
    return dataclasses.replace(order, **changes)


def same_fit(left, right):
    return (
        left.weights.keys() == right.weights.keys()
        and all(torch.equal(left.weights[name], right.weights[name]) for name in left.weights)
        and left.forecasts.equals(right.forecasts)
        and left.curve.equals(right.curve)
        and left.best_epoch == right.best_epoch
    )


def main():
    from tasks.training.workers import Processes

    pool = Processes(1)

    def hold(_):
        print(pool.pids[0], flush=True)  # noqa: T201
        time.sleep(600)

    pool.fit(made_orders(Path(sys.argv[1]))[0], hold)


if __name__ == "__main__":
    main()
