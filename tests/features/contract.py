"""The contract that every feature keeps: one clause, one function, which asserts it of a feature.

Price and volume move in generated bars, so that nothing is masked there but warm-up.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal, assert_series_equal

from tasks.features.causality import first_causal_violation
from tasks.features.engine import compute
from tasks.features.indicators.entry import Feature
from tests.features.panels import BAR, flat_bars, generated_bars, panel_of

COUNT = 600


def _panel() -> pl.DataFrame:
    return panel_of(
        AAA=generated_bars(COUNT, 1), BBB=generated_bars(COUNT - 40, 2), CCC=generated_bars(30, 3)
    )


def _column(bars: dict[str, np.ndarray], feature: Feature) -> pl.Series:
    return compute(panel_of(AAA=bars), [feature]).get_column(feature.name)


def is_causal(feature: Feature) -> None:
    # A back-filled warm-up shows only at a cutoff inside it.
    for row in (feature.lookback // 2, COUNT // 2 + sum(feature.name.encode()) % 200):
        cutoff = _panel().row(row)[1]
        found = first_causal_violation(lambda bars: compute(bars, [feature]), _panel(), cutoff)
        assert found is None, found


def is_per_symbol(feature: Feature) -> None:
    others = compute(_panel(), [feature]).filter(pl.col("symbol") != "BBB")
    alone = compute(_panel().filter(pl.col("symbol") != "BBB"), [feature])
    assert_frame_equal(others, alone, check_exact=True)


def warms_up_for_its_lookback(feature: Feature) -> None:
    known = _column(generated_bars(COUNT, 4), feature).is_not_null().to_list()
    assert known == [t >= feature.lookback for t in range(COUNT)]


def masks_at_most_its_lookback_after_a_masked_bar(feature: Feature) -> None:
    bars = generated_bars(COUNT, 5)
    whole = _column(bars, feature)
    for name in BAR:
        bars[name][300] = np.nan
    holed = _column(bars, feature)
    assert_series_equal(holed[:300], whole[:300], check_exact=True)
    assert holed[301 + feature.lookback :].is_not_null().all()


def is_scale_free(feature: Feature) -> None:
    bars = generated_bars(COUNT, 6)
    sevenfold = {name: 7.0 * column for name, column in bars.items()}
    dearer = sevenfold | {"volume": bars["volume"]}
    busier = bars | {"volume": sevenfold["volume"]}
    for other in (dearer, busier):
        assert_series_equal(
            _column(other, feature), _column(bars, feature), rel_tol=1e-5, abs_tol=1e-6
        )


def does_not_blow_up_a_flat_price(feature: Feature) -> None:
    with np.errstate(divide="raise", invalid="raise"):
        values = feature.values(flat_bars(COUNT))
    assert not np.isinf(values).any()
    # All bars are alike, so what is not masked must be one number, and no rounding noise.
    known = values[~np.isnan(values)]
    assert known.size == 0 or np.ptp(known) < 1e-9


def survives_a_time_without_volume(feature: Feature) -> None:
    bars = generated_bars(COUNT, 7)
    bars["volume"][250:] = 0.0
    with np.errstate(divide="raise", invalid="raise"):
        values = feature.values(bars)
    assert not np.isinf(values).any()
    assert np.abs(values[~np.isnan(values)]).max() < 1e4


def stays_masked_on_a_short_history(feature: Feature) -> None:
    need = feature.lookback
    panel = panel_of(
        AAA=generated_bars(1, 8),
        BBB=generated_bars(need + 1, 9),
        CCC=generated_bars(max(need, 1), 10),
    )
    known = compute(panel, [feature]).filter(pl.col(feature.name).is_not_null())
    last = panel.filter(pl.col("symbol") == "BBB").row(-1)[1]
    expected = [("BBB", last)] if need else panel.select("symbol", "date").rows()
    assert known.select("symbol", "date").rows() == expected


def states_its_formula_and_source(feature: Feature) -> None:
    assert len(feature.indicator.formula) > 5
    assert len(feature.indicator.source) > 5


CLAUSES: tuple[Callable[[Feature], None], ...] = (
    is_causal,
    is_per_symbol,
    warms_up_for_its_lookback,
    masks_at_most_its_lookback_after_a_masked_bar,
    is_scale_free,
    does_not_blow_up_a_flat_price,
    survives_a_time_without_volume,
    stays_masked_on_a_short_history,
    states_its_formula_and_source,
)
