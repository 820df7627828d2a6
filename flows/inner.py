"""The folds of a study's trials, inside the fit and stop spans of the first outer fold."""

from typing import Literal

from flows.config import RunConfig
from models.errors import UsageError
from tasks.windows.spec import SplitSpec

# The shortest calibrate span that may be planned; in a study it only keeps stop and test apart.
_GAP = 5
_SHORTEST_FIT = 20


def inner_splits(config: RunConfig) -> SplitSpec:
    """Returns the folds of a trial, which lie in the first outer fold's fit and stop spans.

    Raises:
        UsageError: They do not fit there.
    """
    outer, horizon, folds = config.splits, config.target.longest, config.tuning.folds
    gap = max(_GAP, horizon + 1)
    dimension = config.tuning.space.get("window.lookback")
    longest = max(dimension.ends()) if dimension else config.window.lookback
    # Longer windows begin later; the last h + 1 labels are not known at the end of the past.
    lost = max(0, longest - config.window.lookback) + horizon + 1
    needed = lost + gap + (folds + 1) * outer.stop
    fit = outer.fit + outer.stop - needed
    shortest = max(_SHORTEST_FIT, horizon + 1)
    if fit < shortest:
        raise UsageError(
            f"tuning.folds={folds} leaves {fit} sessions to fit: the first fold has splits.fit + "
            f"splits.stop = {outer.fit + outer.stop} sessions, and stop and test spans of a study "
            f"take {needed} of them; raise splits.fit by {shortest - fit}, or lower tuning.folds "
            "or splits.stop."
        )
    scheme: Literal["expanding", "rolling"] = (
        "rolling" if outer.scheme == "rolling" else "expanding"
    )
    return SplitSpec(
        scheme=scheme, folds=folds, fit=fit, stop=outer.stop, calibrate=gap, test=outer.stop
    )
