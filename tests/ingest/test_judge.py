from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest

from tasks.ingest.judge import judge
from tasks.ingest.providers import open_provider
from tasks.ingest.quality import check, check_actions
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.rules import has_flag, with_flag
from tasks.ingest.spec import QualitySpec, SampleSpec
from tasks.lake.calendar import sessions
from tasks.lake.tables import BARS

DAYS = sessions("XNYS", date(2013, 1, 2), date(2013, 12, 31))
CALM = 30
NO_ACTIONS = pl.DataFrame(
    schema={"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
)


def calm(count: int = CALM, level: float = 100.0) -> list[float]:
    """Closes that move by one per cent, up and down."""
    return [level * (1.01 if i % 2 else 1.0) for i in range(count)]


def history(
    closes: Sequence[float],
    days: Sequence[date] = DAYS,
    symbol: str = "A",
    volume: float | Sequence[float] = 1000.0,
) -> pl.DataFrame:
    close = pl.Series(closes, dtype=pl.Float64)
    volumes = [volume] * len(closes) if isinstance(volume, float) else volume
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": days[: len(closes)],
            "open": close * 0.999,
            "high": close * 1.002,
            "low": close * 0.998,
            "close": close,
            "volume": pl.Series(volumes, dtype=pl.Float64),
            "source": "test",
            "flags": pl.Series([None] * len(closes), dtype=pl.String),
            "held": pl.Series([None] * len(closes), dtype=pl.Boolean),
            "final": True,
        }
    )


def crash(closes: Sequence[float], days: Sequence[date] = DAYS) -> pl.DataFrame:
    """A history whose bars after the first 30 trade fifty times as much, as on bad news."""
    quiet = min(CALM, len(closes))
    return history(closes, days, volume=[1000.0] * quiet + [50_000.0] * (len(closes) - quiet))


def acting(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=NO_ACTIONS.schema, orient="row")


def judged(
    bars: pl.DataFrame,
    through: date | None = None,
    actions: pl.DataFrame = NO_ACTIONS,
    reviews: pl.DataFrame = NO_REVIEWS,
) -> pl.DataFrame:
    end = through or bars["date"].max()
    return judge(bars, actions, [d for d in DAYS if d <= end], end, reviews, QualitySpec())


def verdicts(bars: pl.DataFrame, first: int = CALM) -> list[tuple[str, bool]]:
    return bars.select("flags", "held").rows()[first:]


def text_of(bars: pl.DataFrame, row: int) -> str:
    names = ("open", "high", "low", "close", "volume")
    return " ".join(f"{n}={v}" for n, v in zip(names, bars.row(row)[2:7], strict=True))


def release(bars: pl.DataFrame, row: int, rule: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": [bars["symbol"][row]],
            "kind": ["bar"],
            "rule": [rule],
            "value": [text_of(bars, row)],
            "reason": ["seen on the tape"],
            "reviewer": ["me"],
            "date": [bars["date"][row]],
        }
    )


def test_a_quiet_history_meets_no_rule():
    bars = history(calm(120))
    assert verdicts(judged(bars), 0) == [("", False)] * 120
    assert judged(bars).columns == list(BARS.columns)


def test_a_crash_is_held_on_first_sight_and_let_go_when_the_next_bar_stays():
    bars = crash([*calm(), 65.0])
    assert verdicts(judged(bars)) == [("jump", True)]
    stays = crash([*calm(), 65.0, 66.0])
    assert verdicts(judged(stays)) == [("large_move", False), ("", False)]


def test_a_spike_that_goes_back_stays_held_and_its_neighbours_are_free():
    bars = crash([*calm(), 65.0, 100.0, 101.0])
    assert verdicts(judged(bars)) == [("jump", True), ("", False), ("", False)]


def test_a_crash_before_a_halt_is_let_go_by_a_later_session():
    bars = crash([*calm(), 65.0])
    assert verdicts(judged(bars, through=DAYS[CALM + 1])) == [("large_move", False)]


def test_a_bar_long_after_says_nothing_of_a_jump():
    gone = 8
    days = [*DAYS[: CALM + 1], DAYS[CALM + gone]]
    bars = crash([*calm(), 65.0, 100.0], days)
    assert verdicts(judged(bars)) == [("large_move", False), ("gap,jump", True)]


@pytest.mark.parametrize(("close", "is_jump"), [(78.7, False), (77.0, True)])
def test_nothing_below_the_floor_is_a_jump(close, is_jump):
    # ln(78.7/101) = -0.2495, ln(77/101) = -0.271; the floor is 0.25, ten sigmas are 0.15.
    bars = crash([*calm(), close])
    assert verdicts(judged(bars)) == [("jump", True) if is_jump else ("", False)]


def test_the_bound_grows_with_what_the_symbol_does():
    # Moves of 6 %: ten robust sigmas are 0.86, and a fall by half is no jump.
    wild = [100.0 * (1.06 if i % 2 else 1.0) for i in range(CALM)]
    assert verdicts(judged(crash([*wild, 53.0]))) == [("", False)]
    assert verdicts(judged(crash([*wild, 40.0]))) == [("jump", True)]


def test_spikes_that_are_held_make_no_later_spike_usual():
    bars = crash([*calm(), *[c for _ in range(12) for c in (165.0, 100.5)]])
    assert verdicts(judged(bars)) == [("jump", True), ("", False)] * 12


@pytest.mark.parametrize(("close", "is_jump"), [(52.0, False), (48.0, True)])
def test_a_young_symbol_may_halve(close, is_jump):
    bars = history([*calm(9), close], volume=[*[1000.0] * 9, 50_000.0])
    assert verdicts(judged(bars), 9) == [("jump", True) if is_jump else ("", False)]


def test_a_split_that_is_stated_is_no_move():
    bars = history([*calm(), 50.5, 50.0])
    split = acting(("A", DAYS[CALM], "split", 2.0))
    assert verdicts(judged(bars, actions=split)) == [("", False)] * 2


def test_a_special_dividend_is_no_move():
    bars = history([*calm(), 61.0])
    paid = acting(("A", DAYS[CALM], "dividend", 40.0))
    assert verdicts(judged(bars, actions=paid)) == [("", False)]


def test_a_split_left_out_is_held_for_five_sessions_or_until_it_arrives():
    closes = [*calm(), 50.5, 50.0, 50.5, 51.5, 53.0, 52.0, 51.0]
    bars = history(closes)
    for later in range(5):
        seen = judged(bars.head(CALM + 1 + later))
        assert verdicts(seen) == [("unexplained_split", True)] * (later + 1)
    assert verdicts(judged(bars.head(CALM + 6))) == [("large_move", False), *[("", False)] * 5]
    split = acting(("A", DAYS[CALM], "split", 2.0))
    assert verdicts(judged(bars.head(CALM + 3), actions=split)) == [("", False)] * 3


def test_a_fall_by_half_on_enormous_volume_is_no_split_left_out():
    bars = history([*calm(), 50.5, 50.0], volume=[*[1000.0] * CALM, 20_000.0, 9000.0])
    assert verdicts(judged(bars)) == [("large_move", False), ("", False)]


def test_a_fall_that_opened_at_the_old_level_is_no_split_left_out():
    bars = history([*calm(), 50.5, 50.0])
    opened = pl.when(pl.col("date") == DAYS[CALM]).then(100.0).otherwise("open")
    bars = bars.with_columns(open=opened, high=pl.max_horizontal("high", opened))
    assert verdicts(judged(bars)) == [("large_move", False), ("", False)]


@pytest.mark.parametrize("unit", [100.0, 0.01])
def test_a_level_in_another_unit_is_held_however_long_it_lasts(unit):
    bars = history([*calm(), *(c * unit for c in calm(50))])
    assert verdicts(judged(bars)) == [("unit_error_level", True)] * 50


def test_a_unit_error_that_goes_back_costs_its_own_bars_only():
    bars = history([*calm(), 10_000.0, 10_100.0, 101.0, 100.0])
    held = ("unit_error_level", True)
    assert verdicts(judged(bars)) == [held, held, ("", False), ("", False)]


def test_a_unit_error_stays_held_where_its_beginning_is_out_of_sight():
    bars = history([*calm(), *calm(50, 10_000.0), *calm(3)])
    whole = judged(bars)
    recent = whole.tail(33).with_columns(
        flags=pl.when(pl.int_range(pl.len()) < 20).then("flags"),
        held=pl.when(pl.int_range(pl.len()) < 20).then("held"),
    )
    assert judged(recent).equals(whole.tail(33))


def test_a_person_releases_a_level_and_what_follows_it_is_free():
    bars = history([*calm(), *calm(3, 10_000.0)])
    seen = judged(bars, reviews=release(bars, CALM, "unit_error_level"))
    assert verdicts(seen) == [("released,unit_error_level", False), ("", False), ("", False)]


def test_a_release_counts_for_the_values_that_were_seen():
    bars = crash([*calm(), 65.0])
    let = release(bars, CALM, "jump")
    assert verdicts(judged(bars, reviews=let)) == [("jump,released", False)]
    revised = crash([*calm(), 64.0])
    assert verdicts(judged(revised, reviews=let)) == [("jump", True)]


def test_a_bar_let_out_of_quarantine_says_so():
    bars = history(calm())
    let = release(bars, 5, "open_or_close_outside_range")
    assert verdicts(judged(bars, reviews=let), 5)[:2] == [("released", False), ("", False)]


def test_a_bar_of_an_open_session_is_held():
    bars = history([*calm(), 100.0]).with_columns(final=pl.int_range(pl.len()) < CALM)
    assert verdicts(judged(bars)) == [("not_final", True)]


def test_what_shows_on_a_bar_and_the_one_before_it():
    days = [*DAYS[:CALM], *DAYS[CALM + 2 : CALM + 6]]
    bars = history([*calm(), 100.0, 100.0, 100.0, 100.0], days)
    flat = dict.fromkeys(("open", "high", "low", "close"), pl.lit(100.0))
    row = pl.int_range(pl.len())
    bars = bars.with_columns(
        *(pl.when(row == CALM + 2).then(v).otherwise(c).alias(c) for c, v in flat.items()),
        volume=pl.when(row == CALM + 2).then(0.0).when(row != CALM + 3).then(pl.col("volume")),
    )
    assert verdicts(judged(bars)) == [
        ("gap", False),
        ("stale", False),
        ("halt,zero_volume", False),
        ("null_volume", False),
    ]


def test_the_first_bar_of_a_symbol_has_nothing_before_it():
    other = history([5.0, 5.1], DAYS[10:], "B")
    assert verdicts(judged(pl.concat([history(calm()), other]))) == [("", False)] * 2


def test_an_adjusted_close_at_odds_with_the_actions_is_flagged():
    adjusted = [*[99.0 / 101.0 * c for c in calm()], 99.0]
    bars = history([*calm(), 99.0]).with_columns(adj_close=pl.Series(adjusted))
    paid = acting(("A", DAYS[CALM], "dividend", 2.0))
    assert verdicts(judged(bars, actions=paid)) == [("", False)]
    assert verdicts(judged(bars)) == [("adjustment_mismatch", False)]
    # Where the adjusted close is not at hand, what was found with it stays.
    stored = judged(bars)
    assert verdicts(judged(stored)) == [("adjustment_mismatch", False)]


@pytest.mark.parametrize("rule", ["stale_across_symbols", "level_shift"])
def test_what_was_found_elsewhere_stays_and_is_no_reference(rule):
    bars = history([*calm(), 300.0, 101.0])
    shown = pl.when(pl.int_range(pl.len()) == CALM).then(pl.lit(rule))
    seen = judged(bars.with_columns(flags=shown))
    assert verdicts(seen) == [(rule, True), ("", False)]


def test_a_released_level_is_what_follows_it_is_measured_by():
    bars = crash([*calm(), 65.0, 65.5])
    shown = pl.when(pl.int_range(pl.len()) == CALM).then(pl.lit("level_shift"))
    let = release(bars, CALM, "level_shift")
    seen = judged(bars.with_columns(flags=shown), reviews=let)
    assert verdicts(seen) == [("large_move,level_shift,released", False), ("", False)]


def test_a_flag_takes_its_place_among_the_others():
    flags = pl.DataFrame({"flags": ["", "stale", None, "gap,zero_volume"]})
    assert flags.select(with_flag(pl.col("flags"), "halt")).to_series().to_list() == [
        "halt",
        "halt,stale",
        "halt",
        "gap,halt,zero_volume",
    ]
    assert flags.select(has_flag(pl.col("flags"), "zero_volume")).to_series().to_list() == [
        False,
        False,
        False,
        True,
    ]


def random_history(seed: int, length: int = 60) -> pl.DataFrame:
    """A history with crashes, spikes, unit errors, splits left out, gaps and missing sessions."""
    draw = np.random.default_rng(seed)
    log_price, unit, closes, days, final = 3.0, 0.0, [], [], []
    for day in DAYS[:length]:
        log_price += 0.01 * draw.normal() + (draw.random() < 0.05) * draw.choice(
            [-0.69315, 0.4, 0.405]
        )
        if draw.random() < 0.03 or (unit and draw.random() < 0.3):
            unit = 0.0 if unit else float(draw.choice([-1, 1]) * np.log(100))
        spike = (draw.random() < 0.04) * draw.choice([-0.5, 0.6])
        if draw.random() < 0.92:
            days.append(day)
            closes.append(float(np.exp(log_price + unit + spike)))
            final.append(bool(draw.random() < 0.98))
    return history(closes, days).with_columns(final=pl.Series(final))


@pytest.mark.parametrize("seed", range(5))
def test_night_by_night_and_all_at_once_end_in_the_same(seed):
    whole = random_history(seed)
    at_once = judged(whole, through=DAYS[59])
    stored = whole.head(0)
    for number, night in enumerate(DAYS[:60]):
        served = whole.filter(pl.col("date") <= night)
        carried = served.join(
            stored.select("date", was="flags", kept="held"), on="date", how="left"
        ).with_columns(flags="was", held="kept")
        stored = judged(carried.drop("was", "kept"), through=night)
        settled = pl.col("date") <= DAYS[max(number - 6, 0)]
        if number >= 6:
            assert stored.filter(settled).equals(at_once.filter(settled))
    assert stored.equals(at_once)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 200))
def test_many_histories_end_in_the_same_night_by_night(seed):
    test_night_by_night_and_all_at_once_end_in_the_same(seed)


@pytest.mark.parametrize("seed", range(20))
def test_sixty_sessions_of_context_are_enough(seed):
    whole = random_history(seed, 200)
    at_once = judged(whole, through=DAYS[199])
    assert at_once["held"].sum() > 3
    recent = at_once.filter(pl.col("date") >= DAYS[120])
    fresh = pl.when(pl.col("date") < DAYS[190])
    again = recent.with_columns(flags=fresh.then("flags"), held=fresh.then("held"))
    wanted = pl.col("date") >= DAYS[185]
    assert judged(again, through=DAYS[199]).filter(wanted).equals(at_once.filter(wanted))


def test_of_the_sample_nothing_is_held_and_the_crash_of_apple_is_a_large_move():
    provider = open_provider(SampleSpec())
    last = provider.last_session(date.max)
    fetched = provider.fetch(dict.fromkeys(provider.symbols()), last, None)
    open_days = sessions("XNYS", fetched.bars["date"].min(), last)
    bars, _ = check(fetched.bars, open_days, {}, NO_REVIEWS)
    actions, _ = check_actions(fetched.actions, bars, NO_REVIEWS)
    new = bars.with_columns(
        flags=pl.lit(None, pl.String), held=pl.lit(None, pl.Boolean), final=True
    )
    seen = judge(new, actions, open_days, last, NO_REVIEWS, QualitySpec())
    assert not seen["held"].any()
    large = seen.filter(has_flag(pl.col("flags"), "large_move")).select("symbol", "date").rows()
    assert ("AAPL", date(2000, 9, 29)) in large
