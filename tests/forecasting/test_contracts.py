import math

import polars as pl
import pytest

from models.errors import DataError
from tasks.forecasting.contracts import check_forecast
from tasks.lake.tables import QUANTILE_COLUMNS


def forecast(**columns) -> pl.DataFrame:
    quantiles = dict(zip(QUANTILE_COLUMNS, (-0.02, -0.01, 0.0, 0.01, 0.02), strict=True))
    looks = {"distance": 0.4, "novel": False}
    values = {
        "symbol": "A",
        "horizon": 5,
        "score": 0.0,
        "mean": 0.0,
        **quantiles,
        "rank": 1,
        **looks,
    } | columns
    optional = dict.fromkeys(("mean", *QUANTILE_COLUMNS, "distance"), pl.Float64)
    optional["novel"] = pl.Boolean
    made = pl.DataFrame({name: [value] for name, value in values.items()})
    return made.cast({name: kind for name, kind in optional.items() if values[name] is None})


def test_a_sound_forecast_passes_unchanged():
    assert check_forecast(forecast()).equals(forecast())


@pytest.mark.parametrize(
    "without",
    [("mean",), QUANTILE_COLUMNS, ("mean", *QUANTILE_COLUMNS), ("distance", "novel")],
)
def test_what_a_head_or_a_bundle_does_not_have_is_null(without):
    made = forecast(**dict.fromkeys(without))
    assert check_forecast(made).equals(made)


def test_what_one_symbol_has_all_have():
    other = forecast(symbol="B", rank=2, mean=None).cast({"mean": pl.Float64})
    with pytest.raises(DataError, match="of B lacks mean, which other symbols have"):
        check_forecast(pl.concat([forecast(), other]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"q05": 0.5}, "of A has quantiles that cross"),
        ({"mean": math.inf}, "of A is not finite"),
        ({"q95": math.nan}, "of A is not finite"),
        ({"distance": math.nan}, r"A is not finite|breaks its contract.*distance"),
        ({"distance": -0.1}, r"breaks its contract.*distance: -0.1"),
        ({"q95": None}, "of A has some of the quantiles and not the others"),
        ({"horizon": 0}, r"breaks its contract.*horizon: 0"),
        ({"rank": 0}, r"breaks its contract.*rank: 0"),
        ({"score": None}, r"breaks its contract.*score"),
        ({"more": 1}, r"breaks its contract.*more"),
    ],
)
def test_an_unfit_forecast_is_refused(columns, message):
    with pytest.raises(DataError, match=message):
        check_forecast(forecast(**columns))


def test_a_symbol_stands_once_a_horizon():
    twice = pl.concat([forecast(), forecast(rank=2)])
    with pytest.raises(DataError, match="breaks its contract"):
        check_forecast(twice)
    both = pl.concat([forecast(), forecast(horizon=1)])
    assert check_forecast(both).equals(both)


def test_every_symbol_has_every_horizon_and_a_rank_of_its_own_there():
    all_but_one = [forecast(), forecast(symbol="B", rank=2), forecast(horizon=1)]
    with pytest.raises(DataError, match="of B lacks a horizon, which other symbols have"):
        check_forecast(pl.concat(all_but_one))
    tied = [*all_but_one, forecast(symbol="B", horizon=1)]
    with pytest.raises(DataError, match="of A shares its rank with another symbol"):
        check_forecast(pl.concat(tied))
