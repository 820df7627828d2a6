"""Small markets for the targets, and the targets' definitions again as plain loops."""

import math
from datetime import date

import numpy as np
import polars as pl

from tasks.features.targets import label, relate
from tasks.lake.target_spec import TargetSpec
from tests.lake.frames import weekdays

# Two weeks; Monday the 15th is a holiday.
SESSIONS = [date(2024, 1, day) for day in (8, 9, 10, 11, 12, 16, 17, 18, 19)]
DAYS = weekdays(40)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
BAR = ("open", "high", "low", "close")
SPECS = (
    TargetSpec(horizon=3),
    TargetSpec(kind="close_to_close", horizon=3),
    TargetSpec(kind="triple_barrier", horizon=4, barrier_up=1.2, barrier_down=0.8),
    TargetSpec(horizon=2, excess="universe"),
    TargetSpec(kind="close_to_close", horizon=2, excess="benchmark"),
    TargetSpec(horizon=4, scale="volatility"),
    TargetSpec(kind="close_to_close", form="rank"),
    TargetSpec(horizon=2, excess="universe", scale="volatility", form="rank"),
    TargetSpec(horizon=3, excess="benchmark", scale="volatility", form="direction", dead_zone=0.4),
)
NAMES = [spec.name for spec in SPECS]
FURTHER = (
    TargetSpec(horizon=3, also=(1, 6)),
    TargetSpec(kind="close_to_close", horizon=5, also=(2,), excess="benchmark", scale="volatility"),
    TargetSpec(horizon=2, also=(4,), excess="universe", form="rank"),
)


def flat_bars(symbol: str, prices: dict[int, float | None]) -> pl.DataFrame:
    """Bars without a range: all four prices are one."""
    column = pl.Series("open", list(prices.values()), dtype=pl.Float64)
    days = [date(2024, 1, day) for day in prices]
    return pl.DataFrame({"symbol": [symbol] * len(days), "date": days}).with_columns(
        column, *(column.alias(name) for name in ("high", "low", "close")), volume=pl.lit(1.0)
    )


def made(
    panel: pl.DataFrame,
    spec: TargetSpec,
    sessions: list[date] = SESSIONS,
    volatility: float | None = 0.01,
    benchmark: pl.DataFrame | None = None,
) -> pl.DataFrame:
    known = pl.Series("volatility", [volatility] * panel.height, dtype=pl.Float64)
    labelled = label(panel, sessions, spec, known, benchmark)
    return relate(labelled.with_columns(known, member=True), spec)


def market(
    seed: int, missing: float = 0.06, masked: float = 0.03, days: list[date] = DAYS
) -> pl.DataFrame:
    """Coherent bars with holes and masked prices, their volatility and their membership."""
    draw = np.random.default_rng(seed)
    rows = []
    for symbol in SYMBOLS:
        price = 50.0
        for day in days:
            opening = price * math.exp(0.01 * draw.normal())
            price = opening * math.exp(0.02 * draw.normal())
            high = max(opening, price) * math.exp(0.01 * draw.random())
            low = min(opening, price) * math.exp(-0.01 * draw.random())
            bar = [None if draw.random() < masked else p for p in (opening, high, low, price)]
            volatility = None if draw.random() < masked else 0.01 + 0.02 * draw.random()
            if draw.random() >= missing:
                rows.append((symbol, day, *bar, 1e6, volatility, bool(draw.random() < 0.8)))
    return pl.DataFrame(
        rows, ["symbol", "date", *BAR, "volume", "volatility", "member"], orient="row"
    )


def index(seed: int, days: list[date] = DAYS) -> pl.DataFrame:
    """A benchmark of which some sessions are missing, and one bar lies on no session."""
    bars = (
        market(seed, missing=0.05, masked=0.0, days=days).filter(symbol="AAA").select("date", *BAR)
    )
    stray = bars.head(1).with_columns(date=pl.lit(date(2015, 1, 3)))
    return pl.concat([bars, stray]).sort("date")


def targets(
    bars: pl.DataFrame,
    spec: TargetSpec,
    benchmark: pl.DataFrame | None = None,
    sessions: list[date] = DAYS,
) -> pl.DataFrame:
    """What the code under test makes of a market."""
    panel = bars.select("symbol", "date", *BAR, "volume")
    labelled = label(panel, sessions, spec, bars["volatility"], benchmark)
    return relate(labelled.with_columns(bars["volatility"], bars["member"]), spec)


def touched(bars: dict, day: int, spec: TargetSpec, volatility: float | None) -> float | None:
    """Which barrier comes first, session by session."""
    ends = (bars.get(day + 1), bars.get(day + spec.horizon))
    if volatility is None or None in ends or ends[0]["open"] is None:
        return None
    if any(ends[1][name] is None for name in ("open", "high", "low")):
        return None
    width = volatility * math.sqrt(spec.horizon)
    upper = ends[0]["open"] * math.exp(spec.barrier_up * width)
    lower = ends[0]["open"] * math.exp(-spec.barrier_down * width)
    for later in range(day + 1, day + spec.horizon + 1):
        bar = bars.get(later)
        if bar is None or any(bar[name] is None for name in ("open", "high", "low")):
            continue
        if bar["open"] >= upper:
            return 1.0
        if min(bar["open"], bar["low"]) <= lower:
            return -1.0
        if bar["high"] >= upper:
            return 1.0
    return 0.0


def returned(bars: dict, day: int, spec: TargetSpec) -> float | None:
    """The log return between two sessions' prices, None where one is not there."""
    name, first, last = ("open", day + 1, day + 1 + spec.horizon)
    if spec.kind == "close_to_close":
        name, first, last = ("close", day, day + spec.horizon)
    prices = [bars[at][name] if at in bars else None for at in (first, last)]
    return None if None in prices else math.log(prices[1] / prices[0])


def loop_targets(
    bars: pl.DataFrame, spec: TargetSpec, benchmark: pl.DataFrame | None
) -> list[tuple[float | None, date | None]]:
    """Target and label_end of each row, by the definitions."""
    rows = bars.rows(named=True)
    number = {day: n for n, day in enumerate(DAYS)}
    own: dict = {s: {} for s in SYMBOLS}
    for row in rows:
        own[row["symbol"]][number[row["date"]]] = row
    market_bars = {
        number[r["date"]]: r for r in (benchmark.rows(named=True) if benchmark is not None else [])
        if r["date"] in number
    }  # fmt: skip
    values, found = [], []
    for row in rows:
        day = number[row["date"]]
        if spec.kind == "triple_barrier":
            value = touched(own[row["symbol"]], day, spec, row["volatility"])
        else:
            value = returned(own[row["symbol"]], day, spec)
        if spec.excess == "benchmark":
            less = returned(market_bars, day, spec)
            value = None if value is None or less is None else value - less
        values.append(value)
    if spec.excess == "universe":
        values = [_less_peers(rows, values, n) for n in range(len(rows))]
    if spec.scale == "volatility":
        values = [
            None if v is None or r["volatility"] is None
            else v / (r["volatility"] * spec.horizon**0.5)
            for v, r in zip(values, rows, strict=True)
        ]  # fmt: skip
    if spec.form == "rank":
        values = [_rank(rows, values, n) for n in range(len(rows))]
    if spec.form == "direction":
        values = [v if v is None else (abs(v) > spec.dead_zone) * math.copysign(1, v)
                  for v in values]  # fmt: skip
    for row, value in zip(rows, values, strict=True):
        end = number[row["date"]] + spec.horizon + (spec.kind == "open_to_open")
        found.append((value, None if value is None else DAYS[end]))
    return found


def _peers(rows: list[dict], values: list[float | None], at: int) -> list[float]:
    day = rows[at]["date"]
    return [
        v for r, v in zip(rows, values, strict=True)
        if r["date"] == day and r["member"] and v is not None
    ]  # fmt: skip


def _less_peers(rows: list[dict], values: list[float | None], at: int) -> float | None:
    peers, value = _peers(rows, values, at), values[at]
    return None if value is None or len(peers) < 2 else value - sum(peers) / len(peers)


def _rank(rows: list[dict], values: list[float | None], at: int) -> float | None:
    peers, value = _peers(rows, values, at), values[at]
    if value is None or not rows[at]["member"] or len(peers) < 2:
        return None
    below, level = sum(p < value for p in peers), sum(p == value for p in peers)
    return (below + (level + 1) / 2 - 0.5) / len(peers) - 0.5
