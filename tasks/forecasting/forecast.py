"""Tonight's forecast from a bundle. The bundle's specification decides, never today's config."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import torch

from models.bundle import Bundle
from models.errors import DataError
from models.intervals import apply
from models.networks import build_network
from models.panel import Panel
from models.predict import predict_ensemble
from models.scaler import Scaler
from tasks.forecasting.contracts import check_forecast
from tasks.lake.panel import PanelArrays, panel_arrays
from tasks.lake.tables import QUANTILE_COLUMNS
from tasks.lake.target_spec import TargetSpec


def forecast(
    bundle: Bundle, features: pl.DataFrame, cutoff: date, device: torch.device
) -> pl.DataFrame:
    """Returns the forecasts of all symbols that have a complete window ending at the cutoff.

    Args:
        bundle: A published model.
        features: A feature frame built by the bundle's feature specification.
        cutoff: The last session a forecast may see.
        device: Where the networks run.

    Returns:
        symbol, score, mean and q05 … q95 (in the unit of the bundle's target), rank (1 is the
        highest score), sorted by rank.

    Raises:
        DataError: No symbol has a complete window at the cutoff, or a forecast is unfit.
    """
    manifest = bundle.manifest
    names, lookback = tuple(manifest["features"]), int(manifest["lookback"])
    seen = features.filter(pl.col("date") <= cutoff)
    panel = panel_arrays(seen, names, lookback, int(manifest["earlier_bars"]))
    ends = panel.rows(cutoff, cutoff)
    if len(ends) == 0:
        raise DataError(
            f"No symbol has {lookback} complete feature rows ending on {cutoff}; the newest bar "
            f"is of {seen['date'].max()!s}. Ingest the session first, or take another --as-of."
        )
    mean = ensemble_mean(bundle, panel, ends, device)
    offsets = np.array([manifest["calibration"]["offsets"][q] for q in QUANTILE_COLUMNS])
    target = TargetSpec.model_validate(manifest["target"])
    bands = apply(mean, target.spread(panel.volatility[ends]), offsets)
    frame = pl.DataFrame(
        {
            "symbol": [panel.symbols[code] for code in panel.symbol[ends]],
            "score": mean,
            "mean": mean,
            **{q: bands[:, i] for i, q in enumerate(QUANTILE_COLUMNS)},
        }
    )
    # Ties go by symbol, so that a rank never depends on the order of rows.
    ranked = frame.sort(["score", "symbol"], descending=[True, False])
    ranks = pl.int_range(1, pl.len() + 1, dtype=pl.Int64)
    return check_forecast(ranked.with_columns(rank=ranks))


def ensemble_mean(
    bundle: Bundle, panel: PanelArrays, ends: np.ndarray, device: torch.device
) -> np.ndarray:
    """Returns the mean forecast over the bundle's weight sets, in the target's unit [len(ends)]."""
    manifest = bundle.manifest
    scaler = Scaler(**manifest["scaler"])
    scaled = Panel(
        scaler.transform(panel.features), np.zeros(len(panel.target), np.float32), device
    )
    options: dict[str, Any] = dict(manifest["network"])
    kind = options.pop("kind")
    network = build_network(kind, inputs=len(panel.names), **options).to(device)
    lookback = int(manifest["lookback"])
    return predict_ensemble(network, bundle.weights, scaled, ends, lookback) * scaler.target_scale
