"""Prefect shell of the features stage."""

from pathlib import Path

import polars as pl

from models.errors import DataError
from tasks.features.engine import feature_frame
from tasks.features.spec import FeatureSpec
from tasks.features.target_spec import TargetSpec
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.calendar import sessions
from tasks.lake.factors import adjust
from tasks.lake.membership import Membership, member_rows
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
    members: Membership,
) -> Artifact:
    """Writes the adjusted bars as `panel` and the features with their targets as `frame`.

    Each symbol follows the sessions of its own exchange. Rows outside a symbol's membership are
    there for the windows to look back on, with `member` false.
    """
    panel = adjust(read_reference(lake, bars), read_reference(lake, actions))
    if panel.is_empty():
        raise DataError(f"The lake holds no bar up to {bars.cutoff}; ingest the universe first.")
    listed_on = members.exchanges()
    frames = []
    for exchange in sorted(set(listed_on.values())):
        listed = [s for s, e in listed_on.items() if e == exchange]
        own = panel.filter(pl.col("symbol").is_in(listed))
        if own.height:
            days = sessions(exchange, own["date"].min(), bars.cutoff)  # type: ignore[arg-type]
            # A bar that a person has let pass against the calendar has no session to count in.
            own = own.filter(pl.col("date").is_in(days))
            frames.append(feature_frame(own, days, features, target))
    frame = pl.concat(frames).sort("symbol", "date")
    frame = frame.with_columns(member_rows(members.frame(), frame))
    fill = write_frames({"panel": panel, "frame": frame})
    return write_artifact(root, "features", key, fill, (bars.digest, actions.digest))
