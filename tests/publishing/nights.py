"""Manifests, bundles' references and forecasts of made-up models."""

from typing import Any

import polars as pl

from tasks.lake.artifacts import Artifact
from tasks.lake.decision import Decision
from tasks.lake.tables import QUANTILE_COLUMNS

GATE = "first, no edge"
FIRST = Decision(True, "first", "there was no champion.")


def manifest(
    model: str, label_end: str = "2013-11-20", cutoff: str | None = None, name: str = "sample"
) -> dict[str, Any]:
    return {
        "id": model,
        "name": name,
        "state": "candidate",
        "exchange": "XNYS",
        "cutoff": cutoff or label_end,
        "label_end": label_end,
        "target": {"kind": "open_to_open", "horizon": 5},
        "verdict": {"label": "no edge"},
    }


def bundle_of(model: str) -> Artifact:
    return Artifact(kind="bundle", key=model, uri=f"artifacts/bundle/{model}", sha256="0", rows=1)


def forecast(mean: float = 0.01, horizon: int = 5) -> pl.DataFrame:
    """Forecasts of two symbols; B has no quantiles."""
    rows = {
        "symbol": ["A", "B"],
        "horizon": [horizon, horizon],
        "score": [mean, 0.0],
        "mean": [mean, 0.0],
        **{q: [mean + n / 100, None] for n, q in enumerate(QUANTILE_COLUMNS, start=-2)},
        "rank": [1, 2],
    }
    return pl.DataFrame(rows)
