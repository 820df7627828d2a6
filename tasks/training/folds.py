"""One fit: a fold's rows and scaler in, weights, learning curve and forecasts out."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from models.baselines import BaselineRows, BaselineSettings, fit_baseline
from models.checkpoint import Checkpoint, CurveRow
from models.fit import FitSettings, fit
from models.heads import point
from models.networks import Network, build_network
from models.predict import predict
from tasks.lake.covariates import Levels
from tasks.lake.panel import PanelArrays
from tasks.lake.tables import QUANTILE_COLUMNS
from tasks.lake.target_spec import further_name
from tasks.training.baseline_spec import BaselineSpec
from tasks.training.inputs import FoldRows, fit_inputs
from tasks.training.network_spec import NetworkSpec
from tasks.training.spec import TrainingSpec

OUT_OF_FIT = ("calibrate", "test")
_NONE = np.empty(0)
_CURVE = {
    "epoch": pl.Int64,
    "fit_loss": pl.Float64,
    "stop_loss": pl.Float64,
    "stop_score": pl.Float64,
    "windows": pl.Int64,
    "learning_rate": pl.Float64,
}


@dataclass(frozen=True)
class FoldFit:
    """What a fit leaves: weights, the epoch they are from, the curve, forecasts out of fit.

    Attributes:
        forecasts: Columns span, row, score, mean, and q05 … q95 from a head of quantiles, in the
            target's unit; mean is null where the head has none. Of the main horizon.
        further: The same of each further horizon.
        known: The symbols that the fit rows hold, in the order of their codes 1, 2, …
        levels: The words of each covariate that the fit rows hold, in the order of their places.
        out_of_time: Whether `max_seconds` ended the fit.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    curve: pl.DataFrame
    forecasts: pl.DataFrame
    further: dict[int, pl.DataFrame]
    known: tuple[str, ...]
    levels: Levels
    out_of_time: bool

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The forecasts by the names that they are stored under."""
        others = {further_name("forecasts", h): frame for h, frame in self.further.items()}
        return {"forecasts": self.forecasts, **others}


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
    stopping: Callable[[], bool] = lambda: False,
) -> FoldFit:
    """Fits one network with one seed.

    With `epochs`, the fit runs for just that many and looks at no stop span: the refit.
    `stopping` is asked after every step; True keeps a checkpoint and raises Stopped.
    """
    entering = fit_inputs(
        panel, rows, training, network.covariates, device, refit=epochs is not None
    )
    known, levels, scaled = entering.known, entering.levels, entering.panel

    def factory() -> Network:
        places = sum(map(len, levels.values()))
        options = network.options(1 + len(panel.further), n_symbols=len(known), covariates=places)
        return build_network(inputs=panel.features.shape[1], **options)

    result = fit(
        factory,
        scaled,
        entering.fit_ends,
        entering.stop_ends,
        lookback,
        _settings(training, network.head, epochs),
        seed,
        checkpoint,
        on_epoch,
        stopping,
        time.monotonic,
    )
    fitted = factory().to(device)
    fitted.load_state_dict(result.weights)
    asked = {name: ends for name, ends in rows.spans.items() if name in OUT_OF_FIT}
    raws = {name: predict(fitted, scaled, ends, lookback) for name, ends in asked.items()}

    def forecasts(place: int) -> pl.DataFrame:
        scale = rows.scaler.target_scales[place]
        made = [
            forecast_frame(name, ends, network.head, raws[name][:, place], scale)
            for name, ends in asked.items()
        ]
        return pl.concat(made) if made else forecast_frame("test", _NONE, "rank", _NONE, 1.0)

    return FoldFit(
        result.weights,
        result.best_epoch,
        pl.DataFrame([asdict(row) for row in result.curve], schema=_CURVE),
        forecasts(0),
        {horizon: forecasts(place) for place, horizon in enumerate(panel.further, start=1)},
        known,
        levels,
        result.out_of_time,
    )


def _settings(training: TrainingSpec, head: str, epochs: int | None) -> FitSettings:
    chosen = training.model_dump(include=set(FitSettings.__dataclass_fields__))
    return FitSettings(
        **chosen
        | {
            "epochs": epochs or training.epochs,
            "losses": training.losses_of(head),
            "augment": tuple(training.augment.items()),
        }
    )


def fit_baselines(panel: PanelArrays, rows: FoldRows, spec: BaselineSpec) -> pl.DataFrame:
    """Returns model, span, row, mean of every baseline on a fold's calibrate and test rows."""
    scaled = rows.scaler.transform(panel.features)

    def of(ends: np.ndarray) -> BaselineRows:
        return BaselineRows(
            symbols=panel.symbol[ends],
            momentum=panel.momentum[ends],
            reversal=panel.reversal[ends],
            features=scaled[ends],
        )

    settings = BaselineSettings(**spec.model_dump(exclude={"names"}))
    fit_rows = rows.spans["fit"]
    pieces = []
    for name in spec.names:
        forecast = fit_baseline(name, of(fit_rows), panel.target[fit_rows], settings)
        for span in OUT_OF_FIT:
            ends = rows.spans[span]
            made = forecast_frame(span, ends, "mean", forecast(of(ends)), 1.0)
            pieces.append(made.select(pl.lit(name).alias("model"), "span", "row", "mean"))
    return pl.concat(pieces)


def refit_epochs(best_epochs: list[int]) -> int:
    """Returns the median best epoch of all folds and seeds, at least 1; halves round up."""
    return max(1, int(np.floor(np.median(best_epochs) + 0.5)))


def forecast_frame(
    span: str, ends: np.ndarray, head: str, raw: np.ndarray, target_scale: float
) -> pl.DataFrame:
    """Returns span, row, score, mean and the quantiles of a head, in the target's unit.

    Args:
        span: Name of the span.
        ends: Rows that the forecasts are for [n].
        head: Kind of the head.
        raw: Its output at one horizon, [n] or [n, Q].
        target_scale: What a label was divided by.
    """
    scale = target_scale if head in ("mean", "quantiles") else 1.0
    score = np.asarray(point(head, raw[:, None]), np.float64)[:, 0] * scale
    frame = pl.DataFrame({"row": ends.astype(np.int64), "score": score})
    mean = pl.col("score") if head == "mean" else pl.lit(None, pl.Float64)
    quantiles = raw.astype(np.float64) * scale if head == "quantiles" else None
    return frame.select(
        pl.lit(span).alias("span"),
        "row",
        "score",
        mean.alias("mean"),
        *(
            pl.lit(None, pl.Float64).alias(q)
            if quantiles is None
            else pl.Series(q, quantiles[:, i])
            for i, q in enumerate(QUANTILE_COLUMNS)
        ),
    )
