"""Which rows each fold fits, stops, calibrates and tests on, and the scaler of each fold.

The refit's entry also says what its features look like, so that a night can tell what is novel.

Nothing here holds a window: a window is the number of its last row.
"""

from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import polars as pl

from models.errors import DataError
from models.novelty import fit_novelty
from models.scaler import Scaler, fit_scaler
from tasks.lake.panel import PanelArrays
from tasks.windows.contracts import REFIT, SPANS, check_plan
from tasks.windows.spec import SplitSpec
from tasks.windows.splits import Fold, Span, walk_forward


@dataclass(frozen=True)
class WindowPlan:
    """Row numbers by fold and span, and what was fitted to choose them.

    Attributes:
        rows: Columns fold, span, row; fold −1 is the refit, which has a fit span only.
        summary: For each fold its spans, row counts and scaler, JSON-ready.
    """

    rows: pl.DataFrame
    summary: dict[str, object]


def plan_windows(
    panel: PanelArrays, lookback: int, horizon: int, splits: SplitSpec, cutoff: date
) -> WindowPlan:
    """Returns the folds' rows and scalers, and those of the refit that ends at the cutoff.

    `horizon` is the target's longest: a row counts once all its labels are known.

    Raises:
        DataError: The history is too short for the folds, or a span holds no labelled window.
    """
    first = panel.dates[panel.window_ends].min()
    sessions = np.unique(panel.dates[(panel.dates >= first)]).tolist()
    pieces: list[pl.DataFrame] = []
    folds: list[dict[str, object]] = []
    for fold in walk_forward(sessions, horizon, splits):
        chosen = {
            name: panel.rows(span.start, span.end, span.labels_by)
            for name in SPANS
            for span in [getattr(fold, name)]
        }
        _require_windows(fold, chosen)
        pieces += [_piece(fold.number, name, rows) for name, rows in chosen.items()]
        scaler = fit_scaler(panel.features, panel.labels, chosen["fit"], lookback)
        spans = {name: asdict(getattr(fold, name)) for name in SPANS}
        folds.append(_entry(fold.number, spans, chosen, scaler))
    rows = panel.rows(sessions[0], sessions[-1], cutoff)
    pieces.append(_piece(REFIT, "fit", rows))
    scaler = fit_scaler(panel.features, panel.labels, rows, lookback)
    last = {"start": panel.dates[rows].min().item(), "end": panel.dates[rows].max().item()}
    span = {"fit": {**last, "labels_by": panel.label_end[rows].max().item()}}
    looks = fit_novelty(scaler.transform(panel.features[rows]))
    refit = _entry(REFIT, span, {"fit": rows}, scaler) | {"novelty": looks.to_dict()}
    return WindowPlan(check_plan(pl.concat(pieces)), {"folds": folds, "refit": refit})


def _require_windows(fold: Fold, rows: dict[str, np.ndarray]) -> None:
    for name in SPANS:
        span: Span = getattr(fold, name)
        if len(rows[name]) == 0:
            raise DataError(
                f"The {name} span of fold {fold.number} ({span.start} to {span.end}) holds no "
                "complete labelled window; use longer spans, fewer folds or a shorter lookback."
            )


def _piece(fold: int, span: str, rows: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"row": rows.astype(np.int64)}).select(
        pl.lit(fold, pl.Int64).alias("fold"), pl.lit(span).alias("span"), "row"
    )


def _entry(
    number: int,
    spans: dict[str, dict[str, date]],
    rows: dict[str, np.ndarray],
    scaler: Scaler,
) -> dict[str, object]:
    return {
        "fold": number,
        "spans": {name: {k: str(v) for k, v in days.items()} for name, days in spans.items()},
        "windows": {name: len(r) for name, r in rows.items()},
        "scaler": scaler.to_dict(),
    }
