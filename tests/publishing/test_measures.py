import math

import pytest

from tasks.publishing.formats import NARROW, UNKNOWN
from tasks.publishing.measures import in_basis_points, in_percent

OTHERS = ("log_return / volatility", "rank", "direction")


def test_log_returns_are_written_in_basis_points_or_per_cent():
    page, table = in_basis_points("log_return"), in_percent("log_return")
    assert page.text(-0.00032) == f"−3.2{NARROW}bp"
    assert page.text(0.0123, coarse=True) == f"+123{NARROW}bp"
    assert page.text(0.00421, signed=False) == f"42.1{NARROW}bp"
    assert table.text(0.00318) == f"+0.318{NARROW}%"
    assert (page.unit, page.heading) == ("log return, bp", "bp")
    assert (table.heading, table.factor) == ("%", 100)


@pytest.mark.parametrize("unit", OTHERS)
@pytest.mark.parametrize("measure", [in_basis_points, in_percent])
def test_numbers_of_other_units_are_plain(measure, unit):
    made = measure(unit)
    assert made.text(-0.1234) == "−0.1234"
    assert made.text(0.5, coarse=True, signed=False) == "0.500"
    assert (made.unit, made.heading, made.factor) == (unit, f"({unit})", 1)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_known_is_a_dash_in_any_unit(value):
    for unit in ("log_return", *OTHERS):
        assert in_basis_points(unit).text(value) == UNKNOWN
