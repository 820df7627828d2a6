import numpy as np
import polars as pl
import pytest

from models.errors import DataError
from tasks.lake.covariates import levels_of, one_hot
from tasks.lake.panel import panel_arrays
from tests.lake.frames import feature_frame, names_of, weekdays

DAYS = weekdays(40)
SPANS = {"A": (0, 39), "B": (0, 39), "C": (0, 39), "D": (0, 39)}


def panel_of(frame):
    return panel_arrays(frame, names_of(frame), 3, 0)


@pytest.fixture(scope="module")
def frame():
    """A is in steel and then in banks; B in shoes; of C and D no sector is known; D is listed
    elsewhere."""
    first = pl.col("symbol") == "A", pl.col("date") < DAYS[20]
    return feature_frame(SPANS, DAYS).with_columns(
        sector=pl.when(*first)
        .then(pl.lit("steel"))
        .when(symbol="A")
        .then(pl.lit("banks"))
        .when(symbol="B")
        .then(pl.lit("shoes")),
        exchange=pl.when(symbol="D").then(pl.lit("XLON")).otherwise("exchange"),
    )


def test_levels_are_the_sorted_words_of_the_rows_and_of_no_others(frame):
    panel = panel_of(frame)
    early = panel.rows(DAYS[0], DAYS[10])
    names = ("exchange", "sector")
    assert levels_of(panel, names, early) == {
        "exchange": ("XLON", "XNYS"),
        "sector": ("shoes", "steel"),
    }
    assert list(levels_of(panel, names, early)) == ["exchange", "sector"]
    whole = levels_of(panel, ("sector",), panel.rows(DAYS[0], DAYS[39]))
    assert whole == {"sector": ("banks", "shoes", "steel")}
    assert levels_of(panel, (), early) == {}


def test_a_row_has_a_one_at_its_word_and_zeros_where_the_word_is_no_level(frame):
    levels = {"sector": ["shoes", "steel"], "exchange": ["XLON", "XTKS"]}
    vectors = one_hot(panel_of(frame), levels)
    assert vectors.dtype == np.float32
    for row, vector in zip(frame.iter_rows(named=True), vectors, strict=True):
        words = [row["sector"], row["sector"], row["exchange"], row["exchange"]]
        expected = [a == b for a, b in zip(words, [*levels["sector"], *levels["exchange"]],
                                           strict=True)]  # fmt: skip
        assert vector.tolist() == expected
    assert {tuple(v) for v in vectors.tolist()} == {(0, 1, 0, 0), (0,) * 4, (1, 0, 0, 0),
                                                    (0, 0, 1, 0)}  # fmt: skip


def test_without_levels_there_are_no_covariates(frame):
    assert one_hot(panel_of(frame), {}) is None


def test_a_covariate_that_no_fit_row_knows_is_refused_with_what_to_do(frame):
    panel = panel_of(frame.filter(pl.col("symbol").is_in(["C", "D"])))
    rows = panel.rows(DAYS[0], DAYS[39])
    with pytest.raises(
        DataError,
        match=rf"network.covariates=\['sector'\], but no sector .* 2 symbols of the fit span "
        rf"\({len(rows)} rows\); give universe.file with the column sector filled, or leave",
    ):
        levels_of(panel, ("sector",), rows)
