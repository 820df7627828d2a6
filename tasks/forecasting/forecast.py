"""Tonight's forecast from a bundle. The bundle's specification decides, never today's config.

1. Every seed's network makes a point forecast of the windows that end at the cutoff; their mean is
   the score, in the unit of the bundle's target.
2. Around it, or around the head's own quantiles, lie the intervals that the bundle was calibrated
   to. A head that only orders symbols has a score alone.
3. Mean and quantiles are multiplied back with the volatility known at the cutoff where the target
   was divided by it: what is published is a log return. The score, which orders, stays as it was
   evaluated.
4. Each forecast says how far its newest features lie from those that the network was fitted on.
5. All this is done for every horizon of the target; each has intervals and ranks of its own.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import torch

from models.bundle import Bundle
from models.errors import DataError
from models.heads import point
from models.intervals import Floats, apply, floored
from models.networks import build_network
from models.novelty import Novelty
from models.panel import Panel
from models.predict import predict_ensemble
from models.scaler import Scaler
from tasks.forecasting.contracts import check_forecast
from tasks.lake.covariates import one_hot
from tasks.lake.panel import PanelArrays, panel_arrays
from tasks.lake.tables import QUANTILE_COLUMNS, QUANTILES
from tasks.lake.target_spec import TargetSpec

# Of every published forecast, so that the same windows always give the same bits.
BLOCK = 1024


@dataclass(frozen=True)
class EnsembleForecast:
    """What a bundle's networks say at one horizon, in the unit of its target.

    Attributes:
        head: kind of the networks' head.
        score: point forecast, for ordering [n].
        quantiles: of a head that has them [n, Q], else None.
    """

    head: str
    score: Floats
    quantiles: Floats | None


def forecast(
    bundle: Bundle,
    features: pl.DataFrame,
    cutoff: date,
    device: torch.device,
    block: int = BLOCK,
) -> pl.DataFrame:
    """Returns the forecasts of all symbols that have a complete window ending at the cutoff.

    Args:
        bundle: A published model.
        features: A feature frame built by the bundle's feature specification.
        cutoff: The last session a forecast may see.
        device: Where the networks run.
        block: Windows of one call to a network; another number may give other last bits.

    Returns:
        symbol; horizon, in sessions; score, for ordering, in the unit of the bundle's target; mean
        and q05 … q95 in the unit of its published target, null where the head has none; rank at
        that horizon (1 is the highest score); distance of the newest features from those fitted
        on, in multiples of what is called novel, and novel, both null where the bundle holds no
        statistics of them. The main horizon comes first; each is sorted by rank.

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
    novelty = _novelty(manifest, panel, ends)
    pieces = []
    for horizon, made in ensemble_forecasts(bundle, panel, ends, device, block).items():
        frame = pl.DataFrame(
            {
                "symbol": [panel.symbols[code] for code in panel.symbol[ends]],
                "horizon": pl.repeat(horizon, len(ends), dtype=pl.Int64, eager=True),
                "score": made.score,
                **_published(manifest, horizon, made, panel.volatility[ends]),
            },
            schema_overrides=dict.fromkeys(("mean", *QUANTILE_COLUMNS), pl.Float64),
        )
        # Ties go by symbol, so that a rank never depends on the order of rows.
        ranked = frame.with_columns(novelty).sort(["score", "symbol"], descending=[True, False])
        pieces.append(ranked.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)))
    numbered = pl.concat(pieces)
    return check_forecast(numbered.select(pl.exclude("distance", "novel"), "distance", "novel"))


def ensemble_forecasts(
    bundle: Bundle,
    panel: PanelArrays,
    ends: np.ndarray,
    device: torch.device,
    block: int = BLOCK,
) -> dict[int, EnsembleForecast]:
    """Returns by horizon the mean of the forecasts of the bundle's weight sets of windows [n].

    It is the mean of their point forecasts, as the folds were evaluated: chances of a direction
    are averaged, not their logits.
    """
    manifest = bundle.manifest
    horizons = TargetSpec.model_validate(manifest["target"]).horizons
    scaler = Scaler(**manifest["scaler"])
    known = manifest.get("known", [])
    # A bundle from before there were covariates has no levels.
    covariates = one_hot(panel, manifest.get("levels", {}))
    scaled = Panel(
        scaler.transform(panel.features),
        np.zeros(len(panel.target), np.float32),
        device,
        symbols=panel.codes(known),
        covariates=covariates,
        names=panel.names,
    )
    options: dict[str, Any] = {"head": "mean", **manifest["network"], "n_symbols": len(known)}
    options["covariates"] = 0 if covariates is None else covariates.shape[1]
    options["horizons"] = len(horizons)
    kind, head = options.pop("kind"), options["head"]
    if head == "quantiles":
        options["levels"] = QUANTILES
    network = build_network(kind, inputs=len(panel.names), **options).to(device)
    lookback = int(manifest["lookback"])
    raws = [
        predict_ensemble(network, [one], scaled, ends, lookback, block) for one in bundle.weights
    ]
    found = {}
    for place, horizon in enumerate(horizons):
        # A chance and a rank's score are free of the label's scale.
        scale = scaler.target_scales[place] if head in ("mean", "quantiles") else 1.0
        points = [np.asarray(point(head, raw), np.float64)[:, place] for raw in raws]
        quantiles = np.mean(raws, axis=0)[:, place] * scale if head == "quantiles" else None
        found[horizon] = EnsembleForecast(head, np.mean(points, axis=0) * scale, quantiles)
    return found


def _published(
    manifest: dict[str, Any], horizon: int, made: EnsembleForecast, volatility: Floats
) -> dict[str, Floats | None]:
    """Returns mean and quantiles in the unit of the published target, None where there is none."""
    whole = TargetSpec.model_validate(manifest["target"])
    target, calibration = whole.at(horizon), manifest["calibration"]
    spread = floored(volatility)
    mean = made.score if target.has_mean(made.head) else None
    centre = mean if mean is not None else made.quantiles
    bands = None
    if centre is not None:
        main = horizon == whole.horizon
        by_level = calibration["offsets"] if main else calibration["further"][str(horizon)]
        offsets = np.array([by_level[q] for q in QUANTILE_COLUMNS])
        bands = apply(centre, target.spread(volatility), offsets, target.limits)
        bands = target.to_published(bands, spread)
    return {
        "mean": None if mean is None else target.to_published(mean, spread),
        **{q: None if bands is None else bands[:, i] for i, q in enumerate(QUANTILE_COLUMNS)},
    }


def _novelty(manifest: dict[str, Any], panel: PanelArrays, ends: np.ndarray) -> list[pl.Series]:
    """Returns distance and novel of the rows; null for a bundle from before there were any."""
    statistics = manifest.get("novelty")
    if statistics is None:
        nothing = [None] * len(ends)
        return [pl.Series("distance", nothing, pl.Float64), pl.Series("novel", nothing, pl.Boolean)]
    scaler = Scaler(**manifest["scaler"])
    distances = Novelty(**statistics).distances(scaler.transform(panel.features[ends]))
    return [pl.Series("distance", distances), pl.Series("novel", distances > 1.0)]
