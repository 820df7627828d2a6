"""Which rows each fold fits, stops, calibrates and tests on, and the scaler of each fold.

The refit's entry also says what its features look like, so that a night can tell what is novel.

Nothing here holds a window: a window is the number of its last row.
"""

from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import polars as pl

from models.errors import DataError, UsageError
from models.novelty import fit_novelty
from models.scaler import Scaler, fit_scaler
from tasks.lake.panel import PanelArrays
from tasks.windows.combinatorial import CombinatorialFold, combinatorial
from tasks.windows.contracts import REFIT, SPANS, check_plan
from tasks.windows.purging import first_seen, open_rows
from tasks.windows.spec import SplitSpec
from tasks.windows.splits import Fold, Span, walk_forward


@dataclass(frozen=True)
class WindowPlan:
    """Row numbers by fold and span, and what was fitted to choose them.

    Attributes:
        rows: Columns fold, span, row; fold −1 is the refit, which has a fit span only.
        summary: For each fold its spans, row counts, scaler and `runs`: of each span the stretches
            of sessions that its rows stand on. A combinatorial fold, numbered after those of the
            walk-forward, also has `tested`: group, path, start and end. JSON-ready.
    """

    rows: pl.DataFrame
    summary: dict[str, object]


def plan_windows(
    panel: PanelArrays,
    lookback: int,
    horizon: int,
    splits: SplitSpec,
    cutoff: date,
    behind: int | None = None,
    across: bool = False,
) -> WindowPlan:
    """Returns the folds' rows and scalers, and those of the refit that ends at the cutoff.

    Args:
        panel: The panel the row numbers count in.
        lookback: Length of a window in bars.
        horizon: Sessions that the target spans, of several the most: a row counts once all its
            labels are known.
        splits: Scheme and sizes of the folds.
        cutoff: Last session by whose close the refit's labels are known.
        behind: Earlier bars that a row's features hang on; only combinatorial folds need it.
        across: Whether features hang on other symbols too; only combinatorial folds need it.

    Raises:
        UsageError: The folds are combinatorial and `behind` is not given.
        DataError: The history is too short for the folds, or a span holds no labelled window.
    """
    sessions = _sessions(panel)
    pieces: list[pl.DataFrame] = []
    folds: list[dict[str, object]] = []
    made: list[Fold | CombinatorialFold] = [*walk_forward(sessions, horizon, splits)]
    seen = panel.dates
    if splits.scheme == "combinatorial":
        if behind is None:
            raise UsageError(
                "behind=None: combinatorial folds purge by how many earlier bars a row's features "
                "hang on; pass it."
            )
        reach = lookback - 1 + behind
        made += combinatorial(sessions, horizon, reach, splits, first_number=splits.folds)
        seen = first_seen(panel, lookback, behind, across)
    for fold in made:
        own, entry = _planned(panel, lookback, fold, seen, sessions)
        pieces += own
        folds.append(entry)
    rows = panel.rows(sessions[0], sessions[-1], cutoff)
    pieces.append(_piece(REFIT, "fit", rows))
    scaler = fit_scaler(panel.features, panel.labels, rows, lookback)
    last = {"start": panel.dates[rows].min().item(), "end": panel.dates[rows].max().item()}
    span = {"fit": {**last, "labels_by": panel.label_end[rows].max().item()}}
    looks = fit_novelty(scaler.transform(panel.features[rows]))
    runs = _runs(panel, sessions, {"fit": rows})
    refit = _entry(REFIT, span, {"fit": rows}, scaler, runs) | {"novelty": looks.to_dict()}
    return WindowPlan(check_plan(pl.concat(pieces)), {"folds": folds, "refit": refit})


def plan_walked(
    panel: PanelArrays, lookback: int, horizon: int, splits: SplitSpec, number: int
) -> WindowPlan:
    """Returns what `plan_windows` makes of one walk-forward fold, without any other or the refit.

    Raises:
        DataError: as `plan_windows`.
    """
    sessions = _sessions(panel)
    fold = walk_forward(sessions, horizon, splits)[number]
    pieces, entry = _planned(panel, lookback, fold, panel.dates, sessions)
    return WindowPlan(check_plan(pl.concat(pieces)), {"folds": [entry]})


def _sessions(panel: PanelArrays) -> list[date]:
    """Returns the sessions from the first window's last one on."""
    first = panel.dates[panel.window_ends].min()
    sessions: list[date] = np.unique(panel.dates[panel.dates >= first]).tolist()
    return sessions


def _planned(
    panel: PanelArrays,
    lookback: int,
    fold: Fold | CombinatorialFold,
    seen: np.ndarray,
    sessions: list[date],
) -> tuple[list[pl.DataFrame], dict[str, object]]:
    """Returns a fold's rows by span and its entry."""
    chosen = _fold_rows(panel, fold, seen)
    _require_windows(fold, chosen)
    pieces = [_piece(fold.number, name, rows) for name, rows in chosen.items()]
    scaler = fit_scaler(panel.features, panel.labels, chosen["fit"], lookback)
    spans = {name: asdict(getattr(fold, name)) for name in SPANS}
    entry = _entry(fold.number, spans, chosen, scaler, _runs(panel, sessions, chosen))
    return pieces, entry | _tested(fold)


def _fold_rows(
    panel: PanelArrays, fold: Fold | CombinatorialFold, seen: np.ndarray
) -> dict[str, np.ndarray]:
    def rows(span: Span) -> np.ndarray:
        return panel.rows(span.start, span.end, span.labels_by)

    chosen = {name: rows(getattr(fold, name)) for name in SPANS}
    if isinstance(fold, CombinatorialFold):
        for name in SPANS[:-1]:
            chosen[name] = open_rows(panel, chosen[name], seen, fold.tests)
        chosen["test"] = np.sort(np.concatenate([rows(test.span) for test in fold.tests]))
    return chosen


def _tested(fold: Fold | CombinatorialFold) -> dict[str, object]:
    if isinstance(fold, Fold):
        return {}
    tested = [
        {"group": t.group, "path": t.path, "start": str(t.span.start), "end": str(t.span.end)}
        for t in fold.tests
    ]
    return {"tested": tested}


def _runs(
    panel: PanelArrays, sessions: list[date], rows: dict[str, np.ndarray]
) -> dict[str, list[list[str]]]:
    """Returns of each span the first and last dates of the stretches its rows stand on."""
    number = {day: n for n, day in enumerate(sessions)}
    runs = {}
    for name, mine in rows.items():
        days = np.unique(panel.dates[mine]).tolist()
        gaps = np.flatnonzero(np.diff([number[day] for day in days]) > 1) + 1
        heads, tails = [0, *gaps], [*gaps, len(days)]
        runs[name] = [
            [str(days[head]), str(days[tail - 1])] for head, tail in zip(heads, tails, strict=True)
        ]
    return runs


def _require_windows(fold: Fold | CombinatorialFold, rows: dict[str, np.ndarray]) -> None:
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
    runs: dict[str, list[list[str]]],
) -> dict[str, object]:
    return {
        "fold": number,
        "spans": {name: {k: str(v) for k, v in days.items()} for name, days in spans.items()},
        "windows": {name: len(r) for name, r in rows.items()},
        "scaler": scaler.to_dict(),
        "runs": runs,
    }
