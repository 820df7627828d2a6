"""Builds the feature columns of a panel.

1. The panel is checked: sorted by symbol and date, so that each symbol is one slice.
2. Its columns become float64 arrays, masked values NaN.
3. A thread takes a symbol's slice and writes its features into float32 columns that exist
   beforehand; symbols share nothing, and the kernels run without the GIL.
4. What is not finite becomes null.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import polars as pl

from tasks.features.contracts import check_features, check_panel
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature
from tasks.features.spec import FeatureSpec, parse
from tasks.features.target_spec import TargetSpec
from tasks.features.targets import open_to_open

_BAR = ("open", "high", "low", "close", "volume")

# Not features: intervals are scaled by the one, a baseline trades on the other.
_VOLATILITY = Feature("volatility", INDICATORS["realised_volatility"], (20,))
_MOMENTUM = Feature("momentum", INDICATORS["momentum"], (21, 252))


def feature_frame(
    panel: pl.DataFrame, sessions: Sequence[date], spec: FeatureSpec, target: TargetSpec
) -> pl.DataFrame:
    """Returns the feature frame: the columns of `build`, then `target` and `label_end`.

    Args:
        panel: adjusted bars, sorted by symbol and date.
        sessions: the exchange's sessions, ascending, over the panel's span.
        spec: which features.
        target: what the rows are labelled with; only this looks past row t.
    """
    columns = build(panel, spec)
    labels = open_to_open(panel, sessions, target.horizon)
    frame = columns.hstack(labels.select("target", "label_end"))
    check_features(frame, spec)
    return frame


def build(panel: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    """Returns symbol, date, the features, `volatility`, `momentum` and `bars_seen`; row t sees t.

    Raises:
        DataError: the panel breaks its contract.
    """
    return compute(panel, [parse(name) for name in spec.features])


def compute(panel: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """Returns what `build` does, for features that need not be in the registry."""
    check_panel(panel)
    bars = {name: panel.get_column(name).fill_null(np.nan).to_numpy(writable=True) for name in _BAR}
    narrow = np.empty((len(features), panel.height), dtype=np.float32)
    wide = np.empty((2, panel.height))

    lengths = panel.get_column("symbol").rle().struct.field("len").to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths

    def fill(start: int, end: int) -> None:
        slices = {name: column[start:end] for name, column in bars.items()}
        # Overflow, here and in the cast, ends as infinity and is masked below.
        with np.errstate(all="ignore"):
            for row, feature in enumerate(features):
                narrow[row, start:end] = feature.values(slices)
            for row, feature in enumerate((_VOLATILITY, _MOMENTUM)):
                wide[row, start:end] = feature.values(slices)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # The list raises what a thread raised.
        list(threads.map(fill, starts.tolist(), ends.tolist()))

    columns = [_masked(f.name, column) for f, column in zip(features, narrow, strict=True)]
    columns += [_masked(_VOLATILITY.name, wide[0]), _masked(_MOMENTUM.name, wide[1])]
    seen = pl.Series("bars_seen", np.arange(panel.height) - np.repeat(starts, lengths))
    return panel.select("symbol", "date").hstack([*columns, seen])


def _masked(name: str, column: np.ndarray) -> pl.Series:
    column[~np.isfinite(column)] = np.nan
    return pl.Series(name, column).fill_nan(None)
