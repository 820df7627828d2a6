"""A seeded report's material that follows the evaluation's summary, of any size."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from tasks.lake.target_spec import TargetSpec
from tasks.publishing.report import ReportMaterial

NETWORK, BASELINES = "gru", ("zero", "historical_mean", "momentum", "ridge")
QUANTILES = {"q05": -1.645, "q25": -0.674, "q50": 0.0, "q75": 0.674, "q95": 1.645}


def sessions(count: int) -> list[date]:
    first = date(2008, 1, 2)
    days = (first + timedelta(days=i) for i in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count]


def interval(value: float | None, half: float = 0.0) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": value - half, "high": value + half}


def model_row(name: str, ic: float | None, ratio: float) -> dict[str, Any]:
    network = name == NETWORK
    return {
        "name": name, "role": "network" if network else "baseline",
        "ic": interval(ic, 0.021), "rank_ic": interval(ic and ic * 0.8, 0.020),
        "mse_ratio": interval(ratio, 0.0031), "mae_ratio": interval(ratio, 0.0018),
        "directional_accuracy": interval(0.507, 0.011),
        "coverage_90": interval(0.894, 0.012) if network else None,
        "pinball": interval(0.00421, 0.0002) if network else None, "suspected_leak": False,
        "network_better": None if network else {
            "statistic": -0.42, "p_better": 0.337, "p_worse": 0.663,
        },
        "set_p": 1.0 if network else 0.612,
    }  # fmt: skip


def portfolio_row(name: str, total: float, sharpe: float) -> dict[str, Any]:
    return {
        "name": name, "total_return": total, "annual_return": total / 4, "annual_volatility": 0.19,
        "sharpe": interval(sharpe, 0.9), "sortino": 1.3 * sharpe, "max_drawdown": -0.31,
        "turnover": 41.2, "costs": 31_250.4, "hit_rate": 0.521,
    }  # fmt: skip


def sharpe_row(returns: str, sharpe: float, deflated: float) -> dict[str, Any]:
    return {
        "returns": returns, "sharpe": sharpe, "sessions": 500, "skewness": -0.3, "kurtosis": 5.1,
        "probabilistic": 0.671, "trials": 34, "hurdle": 1.41, "deflated": deflated, "groups": 21,
        "group_hurdle": 1.22, "group_deflated": 0.093, "needed_sessions": None,
        "significant": False, "sentence": f"The Sharpe ratio {returns} is not significant.",
    }  # fmt: skip


def make_significance() -> dict[str, Any]:
    return {
        "any_beats_zero": 0.512, "any_beats_network": 0.713,
        "confidence_set": {"confidence": 0.95, "models": [NETWORK, *BASELINES]},
        "sentences": ["No candidate of 4 is shown to err less than forecasting zero."],
        "trials": {
            "count": 34, "with_returns": 12, "same_span": 3,
            "sentence": "34 trials are counted, this one and all others known.",
        },
        "confidence": 0.95,
        "sharpe": [sharpe_row("excess", -0.18, 0.011), sharpe_row("net", 0.31, 0.062)],
        "overfitting": {
            "probability": None, "trials": 3,
            "sentence": "The probability of overfitting is not computed: 3 trials have daily "
            "returns over this span, and it takes 5.",
        },
    }  # fmt: skip


def make_summary(ic_kind: str = "ic") -> dict[str, Any]:
    days = sessions(500)
    return {
        "network": NETWORK, "ic_kind": ic_kind,
        "verdict": {
            "label": "no edge",
            "sentence": "No edge: on 500 dates the network is not shown to err less than "
            "forecasting zero with an IC above 0 (p = 0.337; its IC is 0.012, at least -0.009).",
            "rule": "One-sided at 5 %, declared beforehand. no edge: anything else.",
            "dm_statistic": -0.42, "dm_p_better": 0.337, "dm_p_worse": 0.663, "ic_low": -0.0041,
        },
        "pays": {
            "sentence": "Not shown to pay: after costs the long-only portfolio has a Sharpe "
            "ratio of 0.31 (90% interval -0.57 to 1.19), the benchmark 0.54.",
            "net_sharpe": interval(0.31, 0.88),
        },
        "span": {
            "first": days[0].isoformat(), "last": days[-1].isoformat(),
            "dates": 500, "rows": 15_000, "symbols": 30, "folds": 4,
        },
        "power": {
            "sentence": "With 500 dates, an IC below 0.045 would often go unseen.",
            "detectable_ic": 0.045,
        },
        "models": [
            model_row(NETWORK, 0.0123, 0.9992), model_row("zero", None, 1.0),
            model_row("historical_mean", 0.0031, 1.0011), model_row("momentum", -0.0083, 1.0024),
            model_row("ridge", 0.0102, 1.0052),
        ],
        "portfolios": [
            portfolio_row("long_only", 0.221, 0.31), portfolio_row("long_short", -0.034, -0.12),
            portfolio_row("equal_weight", 0.312, 0.49), portfolio_row("benchmark", 0.344, 0.54),
        ],
        "folds": [
            {
                "fold": k, "first": days[125 * k].isoformat(),
                "last": days[125 * k + 124].isoformat(), "dates": 125,
                "ic": 0.01 * (k - 1), "mse_ratio": 1.001 - 0.0008 * k,
            }
            for k in range(4)
        ],
        "warnings": [], "significance": make_significance(),
    }  # fmt: skip


def make_predictions(symbols: list[str], days: list[date], seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    shape = (len(days), len(symbols))
    volatility = 0.012 * np.exp(0.4 * np.sin(np.arange(shape[0]) / 60))[:, None] * np.ones(shape)
    target = volatility * random.standard_t(4, shape)
    frames = []
    for name in (NETWORK, *BASELINES):
        network = name == NETWORK
        mean = 0.0003 * random.standard_normal(shape) + 0.0004 * target / volatility * 0.01
        mean = mean * (name != "zero")
        frames.append(
            pl.DataFrame({
                "model": name, "role": "network" if network else "baseline",
                "fold": np.repeat(np.arange(shape[0]) * 4 // shape[0], shape[1]),
                "symbol": symbols * shape[0],
                "date": pl.Series([day for day in days for _ in symbols], dtype=pl.Date),
                "score": mean.ravel(), "mean": mean.ravel(),
                **{q: (mean + z * volatility).ravel() if network else None
                   for q, z in QUANTILES.items()},
                "target": target.ravel(), "volatility": volatility.ravel(),
            }).cast(dict.fromkeys(QUANTILES, pl.Float64))
        )  # fmt: skip
    return pl.concat(frames).sort("model", "symbol", "date")


def make_daily(days: list[date], seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    skill = {NETWORK: 0.012, "historical_mean": 0.003, "momentum": -0.008, "ridge": 0.01}
    frames = [
        pl.DataFrame({
            "model": name, "date": days,
            "ic": skill[name] + 0.18 * random.standard_normal(len(days))
            if name in skill else np.full(len(days), np.nan),
            "rank_ic": random.standard_normal(len(days)),
            "squared_error": random.random(len(days)),
            "squared_error_zero": random.random(len(days)),
        })
        for name in (NETWORK, *BASELINES)
    ]  # fmt: skip
    return pl.concat(frames)


def make_equity(days: list[date], seed: int = 2) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    frames = []
    for name, drift in (
        ("long_only", 3e-4), ("long_short", -5e-5), ("equal_weight", 4e-4), ("benchmark", 4e-4)
    ):  # fmt: skip
        equity = 1e6 * np.exp(np.cumsum(drift + 0.011 * random.standard_normal(len(days))))
        drawdown = equity / np.maximum.accumulate(equity) - 1
        frames.append(
            pl.DataFrame({
                "portfolio": name, "date": days, "equity": equity, "cash": 0.1 * equity,
                "positions": 0.9 * equity, "turnover": 0.2, "costs": 35.0, "drawdown": drawdown,
            })
        )  # fmt: skip
    return pl.concat(frames)


def make_curves(folds: int = 4, seeds: tuple[int, ...] = (0, 1, 2)) -> pl.DataFrame:
    random = np.random.default_rng(3)
    rows = [
        {
            "fold": fold, "seed": seed, "epoch": epoch,
            "fit_loss": 0.97 + 0.04 * np.exp(-epoch / 3) + 2e-3 * random.standard_normal(),
            "stop_loss": 0.99 + 0.03 * np.exp(-epoch / 2) + 3e-3 * random.standard_normal(),
        }
        for fold in range(folds) for seed in seeds for epoch in range(8 + 2 * seed)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def make_forecasts(symbols: list[str], cutoff: date, tradable: bool = True) -> pl.DataFrame:
    random = np.random.default_rng(4)
    mean = np.sort(4e-4 * random.standard_normal(len(symbols)))[::-1]
    half = random.uniform(0.01, 0.03, len(symbols))
    return pl.DataFrame({
        "symbol": symbols, "horizon": 1, "score": mean, "mean": mean,
        **{q: mean + z * half / 1.645 for q, z in QUANTILES.items()},
        "rank": np.arange(1, len(symbols) + 1), "cutoff": cutoff, "tradable": tradable,
    })  # fmt: skip


def make_material(symbols: list[str], count: int = 500, **changes: Any) -> ReportMaterial:
    days = sessions(count)
    values: dict[str, Any] = {
        "title": f"nightcast, night of {days[-1]}",
        "facts": {
            "Session": days[-1].isoformat(), "Data known by": "2026-11-20T22:10:04Z",
            "Rows refused": "3 of 15,003 (0.02 %)", "Device": "cpu, AVX512, torch 2.13.0",
        },
        "summary": make_summary(),
        "daily": make_daily(days),
        "equity": make_equity(days),
        "curves": make_curves(),
        "predictions": make_predictions(symbols, days),
        "forecasts": make_forecasts(symbols, days[-1]),
        "target": TargetSpec(),
        "model": {
            "id": "gru-4f1c9a", "state": "champion (first, no edge)",
            "trained through": "2009-10-30",
        },
        "notes": ["History was loaded after the fact: later restatements are already in it."],
        "card": "# Model card\n\n| metric | value |\n|---|---|\n| ic | 0.012 |\n",
    }  # fmt: skip
    return ReportMaterial(**(values | changes))
