"""Judges a network's out-of-sample forecasts beside the baselines, and trades them on paper.

1. Predictions with a known target become matrices of dates by symbols, alike for all models.
2. Every model is scored date by date; the date is the unit of every test and interval.
3. The dates are resampled once, in blocks, and all intervals of scores come from the same
   resamples; so do those of portfolios from resamples of the sessions that were traded.
4. The declared rule gives the verdict on the network; a head without a mean is judged by its IC.
5. The network's score drives the portfolios; equal weight and the benchmark stand beside them.
6. Further horizons of the network are scored by themselves and decide nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from tasks.evaluation.aligned import Scored, check_predictions, score_grid, traded_market
from tasks.evaluation.candidates import compare
from tasks.evaluation.capacity import capacity
from tasks.evaluation.earned.periods import period_rows
from tasks.evaluation.earned.section import earned_section, paid_section
from tasks.evaluation.horizons import horizon_rows
from tasks.evaluation.metrics import FloatArray, IcKind, ratio_over_dates
from tasks.evaluation.portfolio import Ledger
from tasks.evaluation.portfolio_rule import portfolio_rule
from tasks.evaluation.scores import (
    SUSPECT_IC,
    DateScores,
    block_share,
    ic_interval,
    ic_over_dates,
    model_row,
    score_dates,
)
from tasks.evaluation.sectors import sector_grid
from tasks.evaluation.sensitivity import cost_sensitivity
from tasks.evaluation.significance import (
    Interval,
    diebold_mariano,
    interval,
    resample,
    resample_dates,
    resampled_freedom,
    standard_error,
    t_interval,
    variance_lags,
)
from tasks.evaluation.skill.section import skill_section
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trading import BENCHMARK, equity_frame, money_sections, run_portfolios
from tasks.evaluation.verdict import power, verdict, verdict_by_ic
from tasks.lake.target_spec import TargetSpec

# A bound of the IC lies 1.8 standard errors off where 100 labels of 20 bars fit side by side, 2.7
# where 12 do, and 1.6 where very many do.
SEPARATE_LABELS = 100
# Where a label is not what a position from the next open over the horizon earns.
NOT_EARNED = {
    "close_to_close": "Labels begin at the close of t, at which nobody can trade any more; the "
    "portfolios fill at the next open, so their returns are not those that were forecast.",
    "triple_barrier": "Labels end at the first barrier touched; the portfolios know no barriers "
    "and hold for the whole horizon, so their returns are not what was forecast.",
}


@dataclass(frozen=True)
class Evaluation:
    """The verdict and all numbers behind it.

    Attributes:
        summary: JSON values only, no NaN; an interval is {"value", "low", "high"}.
        daily: model, date, ic, rank_ic, squared_error, squared_error_zero (means of each date).
        equity: portfolio, date, equity, cash, positions, turnover, costs, exposure,
            net_exposure, drawdown; and of the long-only one growth_low, growth_high, drawdown_low.
    """

    summary: dict[str, Any]
    daily: pl.DataFrame
    equity: pl.DataFrame


def evaluate(
    predictions: pl.DataFrame,
    panel: pl.DataFrame,
    benchmark: pl.DataFrame | None,
    target: TargetSpec,
    spec: EvaluationSpec,
    network: str,
    head: str = "mean",
    further: Mapping[int, pl.DataFrame] | None = None,
    spells: pl.DataFrame | None = None,
) -> Evaluation:
    """Returns the evaluation of `network` against zero, the baselines and the market.

    Args:
        predictions: out-of-sample forecasts of all models, pooled over the folds.
        panel: adjusted bars of the universe with `dividend_factor`, past the last forecast where
            there are any.
        benchmark: date, open and close of what one would buy instead, or None.
        target: what is forecast; forecasts and outcomes are in its unit.
        spec: costs, confidence, resamples.
        network: the model to judge.
        head: kind of its head; the score of a rank head has no sign.
        further: the network's predictions at each further horizon, see `horizon_rows`.
        spells: membership of the universe, for its sectors; None where nothing names them.

    Raises:
        UsageError: a column or the network is missing.
        DataError: the predictions cannot be compared, or do not stand on the panel.
    """
    check_predictions(predictions, network)
    horizon = target.horizon
    scored = score_grid(predictions, horizon, spec.min_names_for_ic, head)
    weights = resample_dates(scored.dates.len(), horizon, spec.bootstrap_samples, spec.seed)
    scores = {model.name: score_dates(model, scored) for model in scored.models}
    compared = compare(scores, network, horizon, spec)
    rows = [
        {**model_row(score, scored, weights, horizon, spec.confidence), **compared.rows[name]}
        for name, score in scores.items()
    ]
    forecasts = predictions.filter(pl.col("model") == network)
    signal, market = traded_market(panel, forecasts, horizon, spells)
    ledgers = run_portfolios(signal, market, benchmark, spec.portfolio, horizon)
    sectors = None if spells is None else sector_grid(spells, scored.dates, scored.symbols)
    traded = resample(len(market.dates) - 1, horizon, spec.bootstrap_samples, spec.seed)
    others = horizon_rows(further or {}, spec, network, head, scored.ic_kind)
    summary = {
        "network": network,
        **judge(scores[network], scored, weights, horizon, spec.confidence),
        "significance": compared.section,
        **money_sections(ledgers, traded, spec.confidence),
        "costs": cost_sensitivity(signal, market, horizon, spec, traded),
        "capacity": capacity(signal, market, horizon, spec, traded),
        "ic_kind": scored.ic_kind,
        "span": _span(scored),
        "models": rows,
        "horizons": others,
        "skill": skill_section(scores, scored, panel, weights, network, horizon, spec, sectors),
        "earned": earned_section(ledgers, market, traded, spec.confidence),
        "paid": paid_section(ledgers, traded, spec.confidence),
        "periods": period_rows(ledgers["long_only"], panel, horizon, spec),
        "rule": portfolio_rule(spec.portfolio, horizon),
        "folds": _fold_rows(scores[network], scored, weights, horizon, spec.confidence),
        "warnings": [
            *(text for kind, text in NOT_EARNED.items() if kind == target.kind),
            *_data_warnings(forecasts, signal, scored, horizon),
            *_result_warnings([*rows, *others], ledgers, benchmark is not None, scored.ic_kind),
        ],
    }
    equity = equity_frame(ledgers, traded, spec.confidence)
    return Evaluation(json_values(summary), _daily(scored, scores), equity)


def judge(
    scores: DateScores, scored: Scored, weights: FloatArray, horizon: int, confidence: float
) -> dict[str, object]:
    """Returns the sections "verdict" and "power" of the summary."""
    dates, alpha = scored.dates.len(), (1.0 - confidence) / 2.0
    draws = ic_over_dates(scores, scored, weights)
    share = block_share(scored, weights, horizon)
    ic = t_interval(draws, share, confidence)
    if scores.model.mean is None:
        found = verdict_by_ic(ic, scored.ic_kind, alpha, dates)
    else:
        lags = variance_lags(dates, horizon)
        test = diebold_mariano(scores.squared_error - scores.squared_error_zero, horizon, lags)
        found = verdict(test, ic, scored.ic_kind, alpha, lags, dates)
    freedom = resampled_freedom(share)
    return {
        "verdict": found,
        "power": power(standard_error(draws), freedom, scored.ic_kind, dates, alpha),
    }


def json_values(tree: Any) -> Any:
    """Returns `tree` with intervals as dicts and every number plain, NaN and infinity as None."""
    if isinstance(tree, Interval):
        return json_values(asdict(tree))
    if isinstance(tree, Mapping):
        return {key: json_values(value) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [json_values(value) for value in tree]
    if isinstance(tree, float):
        return float(tree) if math.isfinite(tree) else None
    return tree.item() if isinstance(tree, np.generic) else tree


def _span(scored: Scored) -> dict[str, object]:
    return {
        "first": scored.dates[0].isoformat(),
        "last": scored.dates[-1].isoformat(),
        "dates": scored.dates.len(),
        "rows": int(np.isfinite(scored.target).sum()),
        "symbols": len(scored.symbols),
        "folds": np.unique(scored.folds).size,
    }


def _fold_rows(
    scores: DateScores, scored: Scored, weights: FloatArray, horizon: int, confidence: float
) -> list[dict[str, object]]:
    rows = []
    for fold in np.unique(scored.folds):
        mine = scored.folds == fold
        dates, drawn = scored.dates.filter(pl.Series(mine)), weights * mine
        mse = ratio_over_dates(scores.squared_error, scores.squared_error_zero, drawn)
        rows.append(
            {
                "fold": int(fold),
                "first": dates[0].isoformat(),
                "last": dates[-1].isoformat(),
                "dates": dates.len(),
                "ic": ic_interval(scores, scored, drawn, horizon, confidence),
                "mse_ratio": interval(mse, confidence),
            }
        )
    return rows


def _data_warnings(
    forecasts: pl.DataFrame, signal: FloatArray, scored: Scored, horizon: int
) -> list[str]:
    warnings = []
    unknown = forecasts.height - forecasts["target"].is_finite().sum()
    if unknown:
        warnings.append(f"{unknown} forecasts have no target and were traded but not scored.")
    thin = int((np.isfinite(scored.target).sum(axis=1) < scored.min_names).sum())
    if scored.ic_kind == "ic" and thin:
        warnings.append(f"{thin} dates with fewer than {scored.min_names} names have no IC.")
    apart = scored.dates.len() // horizon
    if apart < SEPARATE_LABELS:
        warnings.append(
            f"Only {apart} labels fit into the span without overlapping; below {SEPARATE_LABELS} "
            "the verdict holds its level, but misses more skill than on daily labels."
        )
    with_forecast = np.flatnonzero(np.isfinite(signal).any(axis=1))
    silent = int(with_forecast[-1]) + 1 - with_forecast.size
    if silent:
        warnings.append(f"{silent} sessions within the span have no forecast; positions stayed.")
    return warnings


def _result_warnings(
    rows: list[dict[str, Any]], ledgers: dict[str, Ledger], wants_benchmark: bool, kind: IcKind
) -> list[str]:
    warnings = [
        f"Suspected leak: {row['name']} has an out-of-sample {kind} of {row['ic'].value:.3f}, "
        f"above {SUSPECT_IC:.2f}; look for future data in its features before believing it."
        for row in rows
        if row["suspected_leak"]
    ]
    warnings += [
        f"The portfolio {name} lost all its capital; its figures end there."
        for name, ledger in ledgers.items()
        if ledger.equity.min() <= 0.0
    ]
    if wants_benchmark and BENCHMARK not in ledgers:
        warnings.append("The benchmark has no bars in the span; equal weight stands in for it.")
    return warnings


def _daily(scored: Scored, scores: dict[str, DateScores]) -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {
                "model": [name] * scored.dates.len(),
                "date": scored.dates,
                "ic": score.ic,
                "rank_ic": score.rank_ic,
                "squared_error": score.squared_error,
                "squared_error_zero": score.squared_error_zero,
            }
        )
        for name, score in scores.items()
    ]
    return pl.concat(frames).fill_nan(None)
