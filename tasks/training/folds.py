"""One fit: a fold's rows and scaler in, weights, learning curve and forecasts out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from models.baselines import BaselineRows, fit_baseline
from models.checkpoint import Checkpoint, CurveRow
from models.fit import FitSettings, fit
from models.networks import build_network
from models.panel import Panel
from models.predict import predict
from models.scaler import Scaler
from tasks.lake.panel import PanelArrays
from tasks.training.baseline_spec import BaselineSpec
from tasks.training.network_spec import NetworkSpec
from tasks.training.spec import TrainingSpec

OUT_OF_FIT = ("calibrate", "test")


@dataclass(frozen=True)
class FoldRows:
    """Row numbers of one fold by span, and the scaler fitted on its *fit* rows."""

    spans: dict[str, np.ndarray]
    scaler: Scaler

    @classmethod
    def read(cls, plan: pl.DataFrame, entry: dict[str, Any]) -> "FoldRows":
        """Reads one fold out of a windows artifact.

        Args:
            plan: Columns fold, span, row.
            entry: The fold's entry in the artifact's summary.
        """
        mine = plan.filter(pl.col("fold") == entry["fold"])
        spans = {
            name: mine.filter(pl.col("span") == name)["row"].to_numpy() for name in entry["spans"]
        }
        return cls(spans, Scaler(**entry["scaler"]))


@dataclass(frozen=True)
class FoldFit:
    """What a fit leaves: weights, the epoch they are from, the curve, forecasts out of fit.

    `forecasts` has the columns span, row, mean, in the target's unit.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    curve: pl.DataFrame
    forecasts: pl.DataFrame


def fit_network(
    panel: PanelArrays,
    rows: FoldRows,
    network: NetworkSpec,
    training: TrainingSpec,
    seed: int,
    lookback: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[CurveRow], None] | None = None,
    epochs: int | None = None,
) -> FoldFit:
    """Fits one network with one seed.

    With `epochs`, the fit runs for just that many and looks at no stop span: the refit.
    """
    options = network.model_dump(exclude={"kind"})
    scaled = Panel(
        rows.scaler.transform(panel.features),
        (panel.target / rows.scaler.target_scale).astype(np.float32),
        device,
    )
    settings = FitSettings(
        **training.model_dump(exclude={"seeds", "device", "epochs"}),
        epochs=epochs or training.epochs,
    )

    def factory() -> torch.nn.Module:
        return build_network(network.kind, inputs=panel.features.shape[1], **options)

    result = fit(
        factory,
        scaled,
        rows.spans["fit"],
        None if epochs else rows.spans["stop"],
        lookback,
        settings,
        seed,
        checkpoint,
        on_epoch,
    )
    fitted = factory().to(device)
    fitted.load_state_dict(result.weights)
    forecasts = [
        _forecasts(name, ends, predict(fitted, scaled, ends, lookback) * rows.scaler.target_scale)
        for name, ends in rows.spans.items()
        if name in OUT_OF_FIT
    ]
    curve = pl.DataFrame(
        [(r.epoch, r.fit_loss, r.stop_loss, r.windows) for r in result.curve],
        schema={
            "epoch": pl.Int64,
            "fit_loss": pl.Float64,
            "stop_loss": pl.Float64,
            "windows": pl.Int64,
        },
        orient="row",
    )
    return FoldFit(
        result.weights,
        result.best_epoch,
        curve,
        pl.concat(forecasts) if forecasts else _forecasts("test", np.empty(0, int), np.empty(0)),
    )


def fit_baselines(panel: PanelArrays, rows: FoldRows, spec: BaselineSpec) -> pl.DataFrame:
    """Returns model, span, row, mean of every baseline on a fold's calibrate and test rows."""
    scaled = rows.scaler.transform(panel.features)

    def of(ends: np.ndarray) -> BaselineRows:
        return BaselineRows(
            symbols=panel.symbol[ends], momentum=panel.momentum[ends], features=scaled[ends]
        )

    pieces = []
    for name in spec.names:
        fit_rows = rows.spans["fit"]
        forecast = fit_baseline(name, of(fit_rows), panel.target[fit_rows], spec.ridge_alpha)
        for span in OUT_OF_FIT:
            ends = rows.spans[span]
            made = _forecasts(span, ends, forecast(of(ends)))
            pieces.append(made.select(pl.lit(name).alias("model"), "span", "row", "mean"))
    return pl.concat(pieces)


def refit_epochs(best_epochs: list[int]) -> int:
    """Returns the median best epoch of all folds and seeds, at least 1; halves round up."""
    return max(1, int(np.floor(np.median(best_epochs) + 0.5)))


def _forecasts(span: str, ends: np.ndarray, mean: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"row": ends.astype(np.int64), "mean": mean.astype(np.float64)}).select(
        pl.lit(span).alias("span"), "row", "mean"
    )
