"""Small made-up markets whose truth is known."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from scipy.signal import lfilter

from tasks.evaluation.evaluate import evaluate
from tasks.evaluation.portfolio import Market
from tasks.evaluation.spec import EvaluationSpec
from tasks.lake.tables import QUANTILE_COLUMNS
from tasks.lake.target_spec import TargetSpec

START = date(2010, 1, 4)
SPEC = EvaluationSpec(bootstrap_samples=200)


def run(predictions, panel, benchmark, horizon=1, spec=SPEC, **target):
    return evaluate(
        predictions, panel, benchmark, TargetSpec(horizon=horizon, **target), spec, "gru"
    )


def null_world(seed, dates, names, horizon, persistence):
    """Forecasts that know nothing of the targets [D, S], made as hard as real ones.

    Returns share a market factor, have fat tails and a drifting volatility; labels of
    neighbouring dates overlap; forecasts persist. They are tiny, as larger ones would be worse
    than zero rather than equal to it.
    """
    rng = np.random.default_rng(seed)
    volatility = 0.01 * np.exp(np.cumsum(rng.normal(0, 0.05, dates + horizon)))[:, None]
    shared = 0.7 * rng.standard_t(4, (dates + horizon, 1))
    returns = volatility * (shared + rng.standard_t(4, (dates + horizon, names)))
    target = sum(returns[ahead : dates + ahead] for ahead in range(horizon))
    fresh = rng.normal(size=(dates, names))
    fresh[1:] *= np.sqrt(1 - persistence**2)
    return 1e-5 * lfilter([1.0], [1.0, -persistence], fresh, axis=0), target


def random_market(seed, sessions=60, names=4, missing=0.1):
    """A market with gaps: symbols without an open, without any bar, listed late, or dead early.

    Volumes are small enough to matter to a million; some symbols leave the universe for a while.
    """
    rng = np.random.default_rng(seed)
    opens = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, (sessions, names)), axis=0))
    closes = opens * np.exp(rng.normal(0, 0.02, (sessions, names)))
    absent = rng.random((sessions, names)) < missing / 2
    absent[: sessions // 4, -1] = True
    for name in np.flatnonzero(rng.random(names) < missing):
        absent[rng.integers(sessions) :, name] = True
    opens[absent | (rng.random((sessions, names)) < missing)] = np.nan
    closes[absent] = np.nan
    signal = np.where(absent, np.nan, rng.normal(size=(sessions, names)))
    days = [START + timedelta(days=day) for day in range(sessions)]
    dollars = np.exp(rng.normal(15, 1, names) + rng.normal(0, 0.3, (sessions, names)))
    volatility = rng.uniform(0.005, 0.05, (sessions, names))
    volatility[: min(3, rng.integers(6))] = np.nan
    earlier = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, (30, names)), axis=0))
    spell = rng.integers(1, 8, names)
    market = Market(
        days,
        opens,
        closes,
        np.isfinite(opens),
        dollar_volume=np.where(absent, np.nan, dollars),
        volatility=np.where(absent, np.nan, volatility),
        member=(np.arange(sessions)[:, None] // 10) % 8 != spell,
        sector=np.broadcast_to(rng.integers(-1, 2, names), (sessions, names)),
        earlier_close=earlier,
    )
    return signal, market


def frames(names, dates, skill, seed=0, horizon=1):
    """Predictions, panel and benchmark; the network's forecast is `skill` x target + noise."""
    rng = np.random.default_rng(seed)
    length = dates + horizon + 1
    days = [START + timedelta(days=day) for day in range(length)]
    opens = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (length, names)), axis=0))
    closes = opens * np.exp(rng.normal(0, 0.002, (length, names)))
    target = np.log(opens[1 + horizon :] / opens[1:-horizon])
    symbols = [f"S{name:03d}" for name in range(names)]
    panel = pl.DataFrame(
        {
            "symbol": np.repeat(symbols, length),
            "date": days * names,
            "open": opens.T.ravel(),
            "close": closes.T.ravel(),
            "volume": np.full(length * names, 1e6),
            "dividend_factor": np.ones(length * names),
        }
    )
    keys = pl.DataFrame({"symbol": np.repeat(symbols, dates), "date": days[:dates] * names})
    keys = keys.with_columns(
        pl.Series("target", target.T.ravel()),
        fold=(pl.col("date").rank("dense").cast(pl.Int64) - 1) * 3 // dates,
    )
    network = skill * target + rng.normal(0, 0.001, target.shape)
    guess = np.broadcast_to(rng.normal(0, 0.001, names), target.shape)
    parts = []
    for model, role, mean in (
        ("gru", "network", network),
        ("historical_mean", "baseline", guess),
        ("zero", "baseline", np.zeros(target.shape)),
    ):
        bands = {
            column: mean.T.ravel() + shift if role == "network" else [None] * target.size
            for column, shift in zip(
                QUANTILE_COLUMNS, (-0.033, -0.013, 0, 0.013, 0.033), strict=True
            )
        }
        parts.append(
            keys.with_columns(
                pl.lit(model).alias("model"),
                pl.lit(role).alias("role"),
                pl.Series("score", mean.T.ravel()),
                pl.Series("mean", mean.T.ravel()),
                *(pl.Series(name, band, dtype=pl.Float64) for name, band in bands.items()),
            )
        )
    index = pl.DataFrame({"date": days, "open": opens.mean(axis=1), "close": closes.mean(axis=1)})
    return pl.concat(parts), panel, index
