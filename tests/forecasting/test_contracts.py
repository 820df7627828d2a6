import math

import polars as pl
import pytest

from models.errors import DataError
from tasks.forecasting.contracts import check_forecast
from tasks.lake.tables import QUANTILE_COLUMNS


def forecast(**columns) -> pl.DataFrame:
    quantiles = dict(zip(QUANTILE_COLUMNS, (-0.02, -0.01, 0.0, 0.01, 0.02), strict=True))
    values = {"symbol": "A", "score": 0.0, "mean": 0.0, **quantiles, "rank": 1} | columns
    return pl.DataFrame({name: [value] for name, value in values.items()})


def test_a_sound_forecast_passes_unchanged():
    assert check_forecast(forecast()).equals(forecast())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"q05": 0.5}, "of A has quantiles that cross"),
        ({"mean": math.inf}, "of A is not finite"),
        ({"q95": math.nan}, r"breaks its contract.*q95: NaN"),
        ({"rank": 0}, r"breaks its contract.*rank: 0"),
        ({"mean": None}, r"breaks its contract.*mean"),
        ({"more": 1}, r"breaks its contract.*more"),
    ],
)
def test_an_unfit_forecast_is_refused(columns, message):
    with pytest.raises(DataError, match=message):
        check_forecast(forecast(**columns))


def test_a_symbol_stands_once():
    twice = pl.concat([forecast(), forecast(rank=2)])
    with pytest.raises(DataError, match="breaks its contract"):
        check_forecast(twice)
