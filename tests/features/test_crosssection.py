from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from models.errors import DataError
from tasks.features.transforms import TRANSFORMS
from tasks.features.transforms.crosssection import CrossSection, sector_codes

NAN = np.nan
DAY = date(2020, 1, 1)


def made_frame(symbols: int, days: int, seed: int) -> pl.DataFrame:
    """Symbols that begin and end on different days, sorted by symbol and date."""
    draw = np.random.default_rng(seed)
    parts = []
    for number in range(symbols):
        first, last = np.sort(draw.integers(0, days, 2))
        dates = pl.date_range(DAY + timedelta(int(first)), DAY + timedelta(int(last)), eager=True)
        parts.append(pl.DataFrame({"symbol": f"S{number:04}", "date": dates}))
    frame = pl.concat(parts)
    values = draw.normal(0.0, 0.02, frame.height).astype(np.float32)
    values[draw.random(frame.height) < 0.02] = NAN
    names = ["Energy", "Banks", "Metals", None]
    return frame.with_columns(
        value=pl.Series(values),
        member=pl.Series(draw.random(frame.height) < 0.8),
        sector=pl.Series([names[k] for k in draw.integers(0, 4, frame.height)], dtype=pl.String),
    )


def applied(frame: pl.DataFrame, name: str) -> np.ndarray:
    section = CrossSection(frame, frame["member"].to_numpy(), sector_codes(frame["sector"]))
    entry = TRANSFORMS[name]
    return section.apply(frame["value"].to_numpy(), entry, entry.arguments)


@pytest.mark.parametrize("name", ["rank", "zscore", "winsor", "sector"])
def test_a_cross_section_brings_every_date_together_and_puts_it_back(name):
    frame = made_frame(30, 50, 0)
    found = frame.with_columns(found=pl.Series(applied(frame, name)))
    codes = {"Banks": 0, "Energy": 1, "Metals": 2, None: -1}
    for _, day in found.group_by("date"):
        sector = np.array([codes[s] for s in day["sector"]])
        wide = day["value"].cast(pl.Float64).to_numpy()
        entry, member = TRANSFORMS[name], day["member"].to_numpy()
        starts = np.array([0, day.height])
        expected = entry.function(wide, starts, member, sector, *entry.arguments)
        np.testing.assert_array_equal(day["found"].to_numpy(), expected.astype(np.float32))
    assert found["found"].dtype == pl.Float32


def test_a_long_cross_section_is_worked_on_in_parts_and_by_several_threads():
    frame = made_frame(700, 2500, 1)
    # More than are worked on at a time.
    assert frame.height > 2**19
    section = CrossSection(frame, frame["member"].to_numpy(), sector_codes(frame["sector"]))
    theirs = pl.when("member").then(pl.col("value").fill_nan(None))
    count = theirs.count().over("date")
    expected = (theirs.rank("average").over("date") - count / 2 - 0.5) / count
    expected = pl.when(count > 1).then(expected).cast(pl.Float32).fill_null(NAN)
    wanted = frame.select(expected).to_series().to_numpy()
    column, member = frame["value"].to_numpy(), frame["member"].to_numpy()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: section.apply(column, TRANSFORMS["rank"], ()), range(4)))
    for one in found:
        np.testing.assert_array_equal(one[member], wanted[member])


def test_names_and_order_of_symbols_and_a_stranger_change_nothing():
    frame = made_frame(20, 60, 2)
    stranger = made_frame(1, 60, 3).with_columns(symbol=pl.lit("X"), member=pl.lit(False))
    renamed = frame.with_columns(symbol=pl.col("symbol").str.reverse()).sort("symbol", "date")
    for name in ("rank", "zscore", "winsor", "sector"):
        known = frame.with_columns(found=pl.Series(applied(frame, name)))
        again = renamed.with_columns(found=pl.Series(applied(renamed, name)))
        again = again.with_columns(symbol=pl.col("symbol").str.reverse()).sort("symbol", "date")
        assert again.equals(known)
        joined = pl.concat([frame, stranger])
        joined = joined.with_columns(found=pl.Series(applied(joined, name)))
        assert joined.filter(pl.col("symbol") != "X").equals(known)


def test_an_empty_cross_section_is_empty():
    frame = made_frame(2, 9, 4).clear()
    for name in ("rank", "zscore", "winsor", "sector"):
        assert applied(frame, name).shape == (0,)


def test_a_value_that_overflows_raises_nothing():
    frame = made_frame(2, 9, 5).select("symbol", "date").head(1)
    frame = pl.concat([frame.with_columns(symbol=pl.lit(s)) for s in "AB"])
    section = CrossSection(frame, np.ones(2, dtype=bool), np.array([-1, -1]))
    column = np.array([-3e38, 3e38], dtype=np.float32)
    assert section.apply(column, TRANSFORMS["zscore"], ()).tolist() == [-1.0, 1.0]


def test_a_cross_section_of_other_rows_is_refused():
    frame = made_frame(4, 9, 6).head(2)
    codes = sector_codes(frame["sector"])
    with pytest.raises(DataError, match=r"have 2, 3 and 2 rows; make all three of one frame"):
        CrossSection(frame, np.ones(3, dtype=bool), codes)


def test_sectors_are_numbered_by_name_and_the_unknown_is_minus_one():
    names = pl.Series(["b", None, "a", "b", "É"])
    assert sector_codes(names).tolist() == [1, -1, 0, 1, 2]
    assert sector_codes(names).dtype == np.int64
    assert sector_codes(pl.Series([None, None], dtype=pl.String)).tolist() == [-1, -1]
    assert sector_codes(pl.Series([], dtype=pl.String)).tolist() == []
