from datetime import date

import pytest
from rich.console import Console

from flows.show import forecast_table


def shown(*further, **changes):
    row = {
        "rank": 1, "symbol": "AAA", "score": 0.5, "mean": 0.0123, "q05": -0.25, "q50": 0.01,
        "q95": 0.31, "horizon": 5,
        "cutoff": date(2024, 1, 2), "model": "m", "gate": "first, no edge", "origin": "live",
        "tradable": True, "target": "open_to_open", "unit": "log_return",
    }  # fmt: skip
    console = Console(width=160)
    with console.capture() as capture:
        console.print(forecast_table([row | changes, *(row | more for more in further)]))
    return " ".join(capture.get().split())


def test_log_returns_are_shown_in_per_cent():
    text = shown()
    assert "(first, no edge) · 5 session(s) from the next open · tradable" in text
    assert "forecast % " in text
    assert "+1.230 -25.00 … +31.00" in text


def test_of_several_horizons_the_first_is_shown_and_the_others_are_named():
    text = shown({"horizon": 1, "mean": 0.5}, {"horizon": 20, "mean": 0.7})
    assert "· 5 session(s) from the next open" in text
    assert text.count(" AAA ") == 1
    assert "also forecast: 1, 20 session(s); `nightcast forecasts --json`." in text
    assert "also" not in shown()


@pytest.mark.parametrize(
    ("target", "unit", "begins"),
    [
        ("open_to_open, excess over universe, rank", "rank", "the next open"),
        ("close_to_close, over volatility", "log_return / volatility", "this close"),
        ("triple_barrier, barriers +2 and -1", "direction", "the next open"),
    ],
)
def test_other_units_are_shown_as_they_are_with_what_they_mean(target, unit, begins):
    text = shown(target=target, unit=unit)
    assert f"· {target} · 5 session(s) from {begins} ·" in text
    assert f"forecast ({unit}) " in text
    assert "%" not in text.replace("90 %", "")
    assert "+0.0123 -0.250 … +0.310" in text


def test_a_head_without_a_mean_shows_its_median_and_one_without_either_its_score():
    assert "median % 90 % interval" in shown(mean=None)
    assert "1 AAA +1.000 -25.00 … +31.00" in shown(mean=None)
    text = shown(mean=None, q05=None, q50=None, q95=None)
    assert "rank symbol score 90 % interval" in text
    assert "1 AAA +0.5000 –" in text
