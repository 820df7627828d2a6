"""Prefect shell of the windows stage."""

from datetime import date
from pathlib import Path

from tasks.lake.artifacts import Artifact, write_artifact, write_frames
from tasks.lake.panel import panel_arrays
from tasks.lake.task import cached_stage
from tasks.windows.plan import plan_windows
from tasks.windows.spec import SplitSpec, WindowSpec


@cached_stage("windows", run_name="windows to {cutoff}")
def make_windows(
    root: Path,
    key: str,
    features: Artifact,
    names: tuple[str, ...],
    earlier_bars: int,
    horizon: int,
    window: WindowSpec,
    splits: SplitSpec,
    cutoff: date,
    behind: int,
    across: bool,
) -> Artifact:
    """Writes the rows and scalers of all folds and of the refit as `windows`."""
    panel = panel_arrays(features.frame(root), names, window.lookback, earlier_bars)
    plan = plan_windows(panel, window.lookback, horizon, splits, cutoff, behind, across)
    fill = write_frames({"frame": plan.rows}, plan.summary)
    return write_artifact(root, "windows", key, fill, parents=(features.sha256,))
