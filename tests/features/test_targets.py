"""Labels by hand on a panel small enough for it, and by plain loops on larger ones."""

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import DataError, UsageError
from tasks.features.targets import label, relate
from tasks.lake.target_spec import TargetSpec
from tests.features.target_worlds import (
    DAYS,
    FURTHER,
    NAMES,
    SESSIONS,
    SPECS,
    flat_bars,
    index,
    loop_targets,
    made,
    market,
    targets,
)

WHOLE = flat_bars("AAA", {8: 10, 9: 11, 10: 12, 11: 13, 12: 14, 16: 15, 17: 16, 18: 17, 19: 18})
# The session of the 11th is missing.
HOLED = flat_bars("BBB", {8: 20, 9: 21, 10: 24, 12: 28, 16: 30, 17: 33, 18: 34, 19: 35})


def expected(symbol: str, rows: dict[int, tuple[float, float, int] | None]) -> pl.DataFrame:
    """Rows by hand: day -> (price at the beginning, price at the end, day of the end), or None."""
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(rows),
            "date": [date(2024, 1, day) for day in rows],
            "target": [math.log(row[1] / row[0]) if row else None for row in rows.values()],
            "label_end": [date(2024, 1, row[2]) if row else None for row in rows.values()],
        },
        schema_overrides={"target": pl.Float64, "label_end": pl.Date},
    )


def test_horizon_1_spans_the_next_two_opens_and_skips_the_holiday():
    answer = expected(
        "AAA",
        {
            8: (11, 12, 10),
            9: (12, 13, 11),
            10: (13, 14, 12),
            11: (14, 15, 16),
            12: (15, 16, 17),
            16: (16, 17, 18),
            17: (17, 18, 19),
            18: None,
            19: None,
        },
    )
    assert_frame_equal(made(WHOLE, TargetSpec()), answer)


def test_horizon_5_ends_five_sessions_after_the_entry():
    rows: dict = {8: (11, 16, 17), 9: (12, 17, 18), 10: (13, 18, 19)}
    answer = expected("AAA", rows | dict.fromkeys((11, 12, 16, 17, 18, 19)))
    assert_frame_equal(made(WHOLE, TargetSpec(horizon=5)), answer)


def test_a_missing_session_masks_the_labels_that_begin_or_end_there():
    answer = expected(
        "BBB",
        {
            8: (21, 24, 10),
            9: None,  # would end on the missing 11th; the next row is no substitute
            10: None,  # would begin there
            12: (30, 33, 17),
            16: (33, 34, 18),
            17: (34, 35, 19),
            18: None,
            19: None,
        },
    )
    assert_frame_equal(made(HOLED, TargetSpec()), answer)


def test_a_missing_session_inside_a_long_horizon_is_no_harm():
    rows: dict = {8: (21, 33, 17), 9: (24, 34, 18), 10: None}
    answer = expected("BBB", rows | dict.fromkeys((12, 16, 17, 18, 19)))
    assert_frame_equal(made(HOLED, TargetSpec(horizon=5)), answer)


def test_close_to_close_begins_at_the_rows_own_close_and_ends_a_session_earlier():
    rows: dict = {8: (20, 24, 10), 9: None, 10: (24, 28, 12), 12: (28, 33, 17), 16: (30, 34, 18)}
    answer = expected("BBB", rows | {17: (33, 35, 19), 18: None, 19: None})
    assert_frame_equal(made(HOLED, TargetSpec(kind="close_to_close", horizon=2)), answer)


@pytest.mark.parametrize("spec", [TargetSpec(), TargetSpec(kind="close_to_close")])
def test_symbols_do_not_lend_each_other_bars(spec):
    both = made(pl.concat([WHOLE, HOLED]), spec)
    assert_frame_equal(both, pl.concat([made(WHOLE, spec), made(HOLED, spec)]))


def test_a_masked_open_masks_its_labels():
    panel = flat_bars("AAA", {8: 10, 9: None, 10: float("nan"), 11: 13, 12: 14, 16: 15})
    target = made(panel, TargetSpec()).get_column("target")
    assert target.is_null().to_list() == [True, True, False, False, True, True]


def test_sessions_after_the_last_bar_mature_nothing():
    later = [*SESSIONS, date(2024, 1, 22), date(2024, 1, 23)]
    assert_frame_equal(made(WHOLE, TargetSpec(), later), made(WHOLE, TargetSpec()))


def test_a_label_that_is_masked_is_told_apart_from_one_that_has_not_matured():
    later = [*SESSIONS, date(2024, 1, 22)]
    found = label(WHOLE, later, TargetSpec(), pl.Series([0.01] * 9))
    assert found["label"].null_count() == 2
    assert found["label_end"].to_list() == [*SESSIONS[2:], date(2024, 1, 22), None]


def test_a_bar_off_the_calendar_is_refused():
    with pytest.raises(DataError, match="1 bars lie on no session of the calendar, first AAA"):
        made(flat_bars("AAA", {12: 10, 15: 11}), TargetSpec())


def test_an_empty_panel_has_no_target():
    for spec in SPECS[:4]:
        assert made(WHOLE.clear(), spec).schema == made(WHOLE, spec).schema


def test_an_excess_over_the_benchmark_takes_its_return_of_the_same_sessions():
    benchmark = flat_bars("^X", {8: 50, 9: 51, 10: 52, 15: 9, 16: 54, 17: 55, 18: 56, 19: 57})
    benchmark = benchmark.select("date", "open", "close")
    found = made(WHOLE, TargetSpec(horizon=2, excess="benchmark"), benchmark=benchmark)
    log = math.log
    answer = [None, None, None, None, log(17 / 15) - log(56 / 54), log(18 / 16) - log(57 / 55)]
    answer += [None] * 3
    assert found["target"].to_list() == pytest.approx(answer)
    with pytest.raises(UsageError, match="needs a benchmark, and the provider has none"):
        made(WHOLE, TargetSpec(excess="benchmark"))


def crossed(labels: dict[str, float | None], spec: TargetSpec, volatility=0.01) -> dict:
    """One date of these labels; symbols in small letters are no members."""
    frame = pl.DataFrame(
        {
            "symbol": list(labels),
            "date": SESSIONS[0],
            "label": pl.Series(list(labels.values()), dtype=pl.Float64),
            "label_end": SESSIONS[2],
            "reference": 0.0,
            "member": [symbol.isupper() for symbol in labels],
            "volatility": volatility,
        }
    )
    return dict(relate(frame, spec).select("symbol", "target").rows())


def test_an_excess_over_the_universe_is_measured_by_the_members():
    spec = TargetSpec(excess="universe")
    found = crossed({"A": 0.01, "B": 0.03, "C": None, "x": 0.1}, spec)
    assert found == {"A": pytest.approx(-0.01), "B": pytest.approx(0.01), "C": None,
                     "x": pytest.approx(0.08)}  # fmt: skip
    assert crossed({"A": 0.01, "B": None, "x": 0.1}, spec) == {"A": None, "B": None, "x": None}


def test_a_rank_is_centred_shares_ties_and_belongs_to_members():
    spec = TargetSpec(form="rank")
    found = crossed({"A": 0.01, "B": 0.03, "C": 0.01, "D": -0.2, "E": None, "x": 0.1}, spec)
    assert found == {"A": 0.0, "B": 0.375, "C": 0.0, "D": -0.375, "E": None, "x": None}
    assert crossed({"A": 0.01, "B": None}, spec) == {"A": None, "B": None}


def test_a_direction_is_0_up_to_the_dead_zone():
    labels = {"A": 0.02, "B": 0.0201, "C": -0.02, "D": -0.5, "E": 0.0, "F": None}
    found = crossed(labels, TargetSpec(form="direction", dead_zone=0.02))
    assert found == {"A": 0, "B": 1, "C": 0, "D": -1, "E": 0, "F": None}
    assert math.copysign(1, found["C"]) == 1
    assert crossed(labels, TargetSpec(form="direction"))["A"] == 1


def test_a_scaled_target_is_in_multiples_of_the_volatility_of_its_span():
    spec = TargetSpec(horizon=4, scale="volatility")
    assert crossed({"A": 0.03}, spec)["A"] == pytest.approx(1.5)
    for unknown in (None, float("nan"), 0.0, 9e-5):
        assert crossed({"A": 0.03}, spec, unknown)["A"] is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_every_target_is_that_of_its_definition_in_a_plain_loop(spec, seed):
    bars, benchmark = market(seed), index(seed + 50)
    found = targets(bars, spec, benchmark)
    answers = loop_targets(bars, spec, benchmark)
    assert 20 < sum(value is not None for value, _ in answers) < len(answers)
    assert found["label_end"].to_list() == [end for _, end in answers]
    values = [np.nan if value is None else value for value, _ in answers]
    np.testing.assert_allclose(found["target"].fill_null(np.nan), values, rtol=1e-9, atol=1e-12)


def test_a_target_that_hangs_on_others_is_known_when_the_last_of_them_is():
    # One exchange keeps all sessions, the other a holiday on the second.
    holiday = [day for day in DAYS if day != DAYS[1]]
    spec, volatility = TargetSpec(excess="universe", form="rank"), pl.Series([0.01] * 6)

    def joined(cutoff):
        pieces = []
        for symbol, days in (("AAA", DAYS), ("BBB", holiday)):
            days = [day for day in days[:8] if day <= cutoff]
            prices = [100.0 + n * n for n in range(len(days))]
            panel = pl.DataFrame({"symbol": symbol, "date": days, "open": prices})
            panel = panel.with_columns(close="open")
            pieces.append(label(panel, days, spec, volatility[: len(days)]))
        frame = pl.concat(pieces).with_columns(member=True, volatility=0.01)
        return relate(frame, spec).filter(pl.col("date") == DAYS[0])

    assert joined(DAYS[3])["label_end"].to_list() == [DAYS[3], DAYS[3]]
    assert joined(DAYS[3])["target"].null_count() == 0
    assert joined(DAYS[2])["target"].null_count() == 2  # AAA's own label is known by then


@pytest.mark.parametrize("spec", FURTHER, ids=lambda spec: f"{spec.name}, also {spec.also}")
def test_a_further_horizon_is_labelled_as_if_it_were_alone(spec):
    bars, benchmark = market(21), index(71)
    found = targets(bars, spec, benchmark)
    alone = {h: loop_targets(bars, spec.at(h), benchmark) for h in spec.horizons}
    number = {day: n for n, day in enumerate(DAYS)}
    reach = spec.longest + (spec.kind == "open_to_open")
    gaps = 0
    for n, row in enumerate(found.iter_rows(named=True)):
        end = number[row["date"]] + reach
        main = alone[spec.horizon][n][0]
        # Without a label at the main horizon a row is not used; before the longest, not yet.
        used = main is not None and end < len(DAYS)
        assert row["label_end"] == (DAYS[end] if used else None)
        for horizon, name in zip(spec.horizons, spec.columns, strict=True):
            expected = alone[horizon][n][0] if used else None
            assert row[name] == (None if expected is None else pytest.approx(expected, rel=1e-9))
            gaps += used and expected is None
    # Where a further label is missing for ever, the row keeps its others.
    assert gaps > 5
