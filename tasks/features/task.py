"""Prefect shell of the features stage."""

from pathlib import Path

from models.errors import DataError
from tasks.features.engine import feature_frame
from tasks.features.spec import FeatureSpec, TargetSpec
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.calendar import sessions
from tasks.lake.factors import adjust
from tasks.lake.store import read_reference
from tasks.lake.task import cached_stage


@cached_stage("features", run_name="features to {bars.cutoff}")
def build_features(
    root: Path,
    key: str,
    lake: str,
    bars: TableRef,
    actions: TableRef,
    features: FeatureSpec,
    target: TargetSpec,
    exchange: str,
) -> Artifact:
    """Writes the adjusted bars as `panel` and the features with their targets as `frame`."""
    raw = read_reference(lake, bars)
    if raw.is_empty():
        raise DataError(f"The lake holds no bar up to {bars.cutoff}; ingest the universe first.")
    panel = adjust(raw, read_reference(lake, actions))
    days = sessions(exchange, raw["date"].min(), bars.cutoff)  # type: ignore[arg-type]
    frame = feature_frame(panel, days, features, target)
    fill = write_frames({"panel": panel, "frame": frame})
    return write_artifact(root, "features", key, fill, (bars.digest, actions.digest))
