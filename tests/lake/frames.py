"""Bars and feature frames for the tests, made by plain loops over sessions."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

NIGHT = datetime(2021, 1, 4, 22, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NIGHT + timedelta(minutes=minutes)


def weekdays(count: int, first: date = date(2015, 1, 1)) -> list[date]:
    days = (first + timedelta(days=i) for i in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def bars(rows: list[tuple[str, date, float]], volume: float = 1000.0) -> pl.DataFrame:
    """Raw bars of (symbol, date, close); the other prices are simple multiples of the close."""
    rest = (volume, "test", "", False, True)
    return pl.DataFrame(
        [(s, d, c * 0.99, c * 1.02, c * 0.97, c, *rest) for s, d, c in rows],
        schema={
            "symbol": pl.String,
            "date": pl.Date,
            **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
            **dict.fromkeys(("source", "flags"), pl.String),
            **dict.fromkeys(("held", "final"), pl.Boolean),
        },
        orient="row",
    )


def batches(writer: int) -> list[pl.DataFrame]:
    """Half of each batch is what everybody writes, half is this writer's own."""
    days = weekdays(3)
    return [bars([("ALL", day, 1.0), (f"OWN{writer}", day, float(writer))]) for day in days]


def actions(rows: list[tuple[str, date, str, float]]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def random_market(seed, symbols=("A", "B", "C"), sessions=60):
    draw = np.random.default_rng(seed)
    days = weekdays(sessions)
    rows, acting = [], []
    for symbol in symbols:
        price = 50.0
        for day in days:
            price *= float(np.exp(0.02 * draw.normal()))
            if draw.random() < 0.95:
                rows.append((symbol, day, price))
            if draw.random() < 0.1:
                acting.append((symbol, day, "dividend", float(draw.uniform(0.1, 1.0))))
            if draw.random() < 0.02:
                acting.append((symbol, day, "capital_gain", float(draw.uniform(0.1, 1.0))))
            if draw.random() < 0.05:
                acting.append((symbol, day, "split", float(draw.choice([0.5, 2.0, 1.5, 7.0]))))
    return bars(rows), actions(acting), days


def feature_frame(
    spans: dict[str, tuple[int, int]],
    sessions: list[date],
    horizon: int = 1,
    features: int = 3,
    seed: int = 0,
    missing: float = 0.0,
    masked: float = 0.0,
) -> pl.DataFrame:
    """A feature frame of random numbers; the target follows the first feature a little.

    Args:
        spans: Of each symbol its first and last session's number.
        sessions: All sessions.
        horizon: Sessions between the two opens of the target.
        features: Number of feature columns f0, f1 ….
        seed: Of all randomness.
        missing: Share of the bars that are not there.
        masked: Share of the feature rows with one null.
    """
    draw, other = (np.random.default_rng(s) for s in (seed, [seed, 1]))
    rows = []
    for symbol, (first, last) in spans.items():
        there = [n for n in range(first, last + 1) if draw.random() >= missing]
        held = set(there)
        for seen, n in enumerate(there):
            values = [float(np.float32(v)) for v in draw.normal(size=features)]
            target = 0.01 * values[0] + 0.01 * float(draw.normal())
            if draw.random() < masked:
                values[draw.integers(features)] = None
            known = n + 1 in held and n + 1 + horizon in held
            rows.append(
                {
                    "symbol": symbol,
                    "date": sessions[n],
                    **{f"f{k}": v for k, v in enumerate(values)},
                    "volatility": 0.01 + 0.01 * float(draw.random()),
                    "momentum": float(draw.normal()) if seen > 5 else None,
                    "reversal": float(other.normal()) if seen > 4 else None,
                    "bars_seen": seen,
                    "member": True,
                    "target": target if known else None,
                    "label_end": sessions[n + 1 + horizon] if known else None,
                    "exchange": "XNYS",
                    "sector": None,
                }
            )
    narrow = {f"f{k}": pl.Float32 for k in range(features)}
    wide = dict.fromkeys(("momentum", "reversal", "target"), pl.Float64)
    wide["label_end"], wide["sector"] = pl.Date, pl.String
    return pl.DataFrame(rows, schema_overrides={**narrow, **wide})


def names_of(frame: pl.DataFrame) -> tuple[str, ...]:
    return tuple(c for c in frame.columns if c.startswith("f") and c[1:].isdigit())
