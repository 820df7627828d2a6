"""The whole registry as features, and what the engine makes of bars."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from tasks.features.engine import compute
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Feature
from tasks.features.names import parse
from tasks.features.sets import SETS
from tests.features.panels import SESSIONS, panel_of


def every_feature() -> list[Feature]:
    """The registry with its default periods, and what the sets hold besides."""
    names = [*INDICATORS, *(name for members in SETS.values() for name in members)]
    return list({parse(name).name: parse(name) for name in names}.values())


def columns_of(bars: dict[str, np.ndarray], features: Sequence[Feature]) -> pl.DataFrame:
    """The features of a panel of one symbol with these bars; NaN where masked."""
    return compute(panel_of(AAA=bars), features, SESSIONS).drop("symbol", "date")
