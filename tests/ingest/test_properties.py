"""Whatever is served: nothing impossible passes, nothing possible is lost, no value is changed."""

import math
from collections import Counter
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest.judge import judge
from tasks.ingest.quality import check
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.ingest.rules import RULES
from tasks.ingest.spec import QualitySpec
from tasks.lake.calendar import sessions

DAYS = sessions("XNYS", date(2013, 1, 2), date(2013, 3, 1))
CLOSED = [date(2013, 1, 5), date(2013, 1, 21)]
TAPE = ("open", "high", "low", "close", "volume")
CURRENCY = {"A": "USD"}
NAN, INF = float("nan"), float("inf")

sound_prices = st.sampled_from([1e-4, 0.5, 9.0, 10.0, 10.0 * (1 + 5e-7), 11.0, 1e3, 1e9])
broken = st.sampled_from([None, NAN, INF, -INF, 0.0, -1.0])
prices = st.one_of(sound_prices, sound_prices, sound_prices, broken)
volumes = st.sampled_from([0.0, 100.0, 1e12, None, NAN, INF, -1.0])
days = st.sampled_from([*DAYS[:4], *DAYS[:4], *CLOSED, None])
currencies = st.sampled_from([None, "USD", "USD", "GBp"])


@st.composite
def coherent(draw: st.DrawFn) -> tuple:
    """Prices that may be true: open and close lie between low and high."""
    low, first, last, high = sorted(draw(st.tuples(*[sound_prices] * 4)))
    opened, closed = draw(st.permutations([first, last]))
    return opened, high, low, closed


rows = st.tuples(
    st.sampled_from(["A", "B"]),
    days,
    st.one_of(coherent(), coherent(), st.tuples(*[prices] * 4)),
    volumes,
    currencies,
)
frames = st.lists(rows, max_size=14)


def frame_of(drawn: list[tuple]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "date": pl.Date, **dict.fromkeys(TAPE, pl.Float64)}
    flat = [(s, d, *tape, v) for s, d, tape, v, _ in drawn]
    return pl.DataFrame(flat, schema=schema, orient="row").with_columns(
        adj_close=pl.lit(None, pl.Float64),
        currency=pl.Series([c for *_, c in drawn], dtype=pl.String),
        source=pl.lit("test"),
    )


def possible(symbol: str, day: date | None, tape: tuple, volume: float | None, currency) -> bool:
    if day not in DAYS or any(p is None or not math.isfinite(p) or p <= 0 for p in tape):
        return False
    opened, high, low, closed = tape
    if high < low or (currency and CURRENCY.get(symbol, currency) != currency):
        return False
    if volume is not None and not 0 <= volume < INF:
        return False
    return all(low * (1 - 1e-6) <= p <= high * (1 + 1e-6) for p in (opened, closed))


def counted(frame: pl.DataFrame) -> Counter:
    """The rows as a multiset; texts, as NaN differs from itself."""
    return Counter(map(str, frame.select("symbol", "date", *TAPE).iter_rows()))


def hold_what_check_promises(drawn: list[tuple], release: bool) -> None:
    served = frame_of(drawn)
    good, quarantine = check(served, DAYS, CURRENCY, NO_REVIEWS)
    if release:
        # A person waves through all that was refused.
        reviews = quarantine.select(
            "symbol", "kind", "rule", "value", pl.lit("").alias("reason"),
            pl.lit("me").alias("reviewer"), "date",
        ).unique()  # fmt: skip
        good, quarantine = check(served, DAYS, CURRENCY, reviews)
    assert counted(good) + counted(quarantine) == counted(served)
    assert not good.select("symbol", "date").is_duplicated().any()
    sound = [r for r in drawn if possible(*r)]
    by_key = {(s, d): set() for s, d, *_ in sound}
    for s, d, tape, volume, _ in sound:
        by_key[s, d].add((*tape, volume))
    kept = {(s, d): tuple(v) for s, d, *v in good.select("symbol", "date", *TAPE).iter_rows()}
    if release:
        assert all(p is not None and 0 < p < INF for v in kept.values() for p in v[:4])
        return
    assert kept == {key: versions.pop() for key, versions in by_key.items() if len(versions) == 1}


closes = st.lists(
    st.tuples(
        st.sampled_from([0.01, 0.5, 0.97, 1.0, 1.02, 2.0, 100.0]),
        st.sampled_from([0.0, 1000.0, 50_000.0, None]),
        st.booleans(),
        st.sampled_from([None, "", "level_shift", "stale_across_symbols", "unit_error_level"]),
    ),
    min_size=1,
    max_size=40,
)


def hold_what_judge_promises(drawn: list[tuple], late: int, action: str | None) -> None:
    level, prices = 50.0, []
    for step, *_ in drawn:
        level *= step if 1e-6 < level * step < 1e9 else 1.0
        prices.append(level)
    close = pl.Series(prices)
    bars = pl.DataFrame(
        {
            "symbol": "A",
            "date": DAYS[: len(drawn)],
            **dict.fromkeys(("open", "high", "low", "close"), close),
            "volume": pl.Series([v for _, v, _, _ in drawn], dtype=pl.Float64),
            "source": "test",
            "flags": pl.Series([f for *_, f in drawn], dtype=pl.String),
            "held": pl.Series([bool(f) if f is not None else None for *_, f in drawn]),
            "final": pl.Series([final for _, _, final, _ in drawn]),
        },
        schema_overrides={"held": pl.Boolean},
    )
    acting = [("A", DAYS[len(drawn) // 2], action, 2.0)] if action else []
    schema = {"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
    actions = pl.DataFrame(acting, schema=schema, orient="row")
    through = DAYS[min(len(drawn) - 1 + late, len(DAYS) - 1)]
    seen = judge(bars, actions, DAYS, through, NO_REVIEWS, QualitySpec())
    unchanged = [c for c in bars.columns if c not in ("flags", "held")]
    assert seen.select(unchanged).equals(bars.select(unchanged))
    for flags, held in seen.select("flags", "held").iter_rows():
        met = flags.split(",") if flags else []
        assert met == sorted(set(met))
        assert held == any(RULES[rule].severity == "hold" for rule in met)
        assert all(RULES[rule].severity != "refuse" for rule in met)
    again = judge(seen, actions, DAYS, through, NO_REVIEWS, QualitySpec())
    assert again.equals(seen)


late = st.integers(0, 2)
kinds = st.sampled_from([None, "split", "dividend"])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(frames, st.booleans())
def test_no_impossible_bar_passes_and_no_possible_bar_is_lost(drawn, release):
    hold_what_check_promises(drawn, release)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(closes, late, kinds)
def test_judging_changes_flags_and_nothing_else(drawn, late, action):
    hold_what_judge_promises(drawn, late, action)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(frames, st.booleans())
def test_no_impossible_bar_passes_in_ten_thousand_frames(drawn, release):
    hold_what_check_promises(drawn, release)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(closes, late, kinds)
def test_judging_changes_flags_and_nothing_else_in_ten_thousand_frames(drawn, late, action):
    hold_what_judge_promises(drawn, late, action)
