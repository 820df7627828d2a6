"""Prefect shell of forecasting."""

from datetime import date
from pathlib import Path

from models.bundle import load_bundle
from models.device import make_deterministic, resolve_device
from tasks.forecasting.forecast import forecast
from tasks.lake.artifacts import Artifact, write_artifact, write_frames
from tasks.lake.task import cached_stage


@cached_stage("forecast", run_name="forecast of {cutoff}")
def make_forecast(
    root: Path, key: str, bundle: Artifact, features: Artifact, cutoff: date, device: str
) -> Artifact:
    """Forecasts the sessions after `cutoff` with a published bundle."""
    make_deterministic()
    opened = load_bundle(root / bundle.uri)
    made = forecast(opened, features.frame(root), cutoff, resolve_device(device))
    facts = {
        "model": opened.manifest["id"],
        "cutoff": str(cutoff),
        "symbols": made["symbol"].n_unique(),
    }
    fill = write_frames({"frame": made}, facts)
    return write_artifact(root, "forecast", key, fill, (bundle.sha256, features.sha256))
