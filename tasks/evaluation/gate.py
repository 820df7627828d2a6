"""The gate: whether a new model becomes champion, decided by rules declared beforehand.

1. What cannot be trusted is rejected whatever it scores: a certificate that is not clean or was
   never made, and bars of which too many were refused.
2. `first`: without a champion the model becomes it, with whatever verdict it has.
3. `past`: a model trained to an earlier cutoff than the champion succeeds nobody. It is entered
   for the nights that had no champion, and compared with none.
4. `refresh`, the same specification on later data (or the same), and on most of the same symbols:
   it replaces the champion unless it is shown to be worse by more than a margin. Where too little
   can be compared it does so too: its procedure has been let through before, a champion is compared
   ever less the older it grows, and nothing speaks for forecasting from older data.
5. `challenger`, another specification or universe: it must be shown to be better, after deflation
   by all counted trials. Where too little can be compared it is rejected: the claim is its own to
   show.

Procedures are compared: the stored out-of-sample forecasts of both, made by the folds' weights, on
identical symbols and dates. Those of a challenger count only on identical folds, or it would win by
being fitted on later data; those of a refresh have moved with its cutoff. The published weights
have seen the truths of those dates and are judged by live, tradable forecasts alone, of nights
after the training cutoffs of both models.

Deflation is Šidák's: of N trials without skill the best reaches p with probability 1 - (1 - p)^N.
That is exact for independent trials and cautious for alike ones, such as the portfolios that trade
one set of forecasts. The count is the one that the candidate's evaluation was deflated by.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Self

import polars as pl

from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.paired import Measure, Paired, common_rows, compare
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.verdict import IC_NAMES, p_text
from tasks.lake.decision import Decision, Kind, not_certified
from tasks.lake.target_spec import TargetSpec

_KNOWN = ("symbol", "date", "score", "mean", "target")
# Of all symbols that either was tested on, so many are the same where a universe only changed.
_SAME_UNIVERSE = 0.5


@dataclass(frozen=True)
class Contender:
    """A model with all that the gate looks at.

    Attributes:
        model: its id.
        spec: digest of its specification: equal for a refresh.
        target: what it forecasts.
        has_mean: whether its head forecasts a mean of that.
        cutoff: the training cutoff.
        verdict: the label of its evaluation.
        distrust: why it cannot be trusted, None if it can.
        trials: how many trials its evaluation counted, itself among them.
        tested: symbol, date, score, mean, target: its stored out-of-sample forecasts, and the
            fold_first and fold_last date that were tested with the same weights.
        live: the same, folds aside, of its forecasts that were live and tradable, in the target's
            own unit; the target is null until it has matured.
    """

    model: str
    spec: str
    target: TargetSpec
    has_mean: bool
    cutoff: date
    verdict: str
    distrust: str | None
    trials: int
    tested: pl.DataFrame
    live: pl.DataFrame

    @classmethod
    def of(
        cls,
        manifest: Mapping[str, Any],
        summary: Mapping[str, Any],
        predictions: pl.DataFrame,
        live: pl.DataFrame,
        spec: str,
    ) -> Self:
        """Returns the contender of a bundle's manifest and what its evaluation stored.

        Args:
            manifest: the bundle's.
            summary: the evaluation's.
            predictions: out-of-sample forecasts of all models of the evaluation.
            live: symbol, date, score, mean, target, origin, tradable of the ledger.
            spec: digest of the specification.
        """
        target = TargetSpec.model_validate(manifest["target"])
        if "score" not in predictions.columns:
            # As evaluations were written while every head had a mean.
            predictions = predictions.with_columns(score="mean")
        counted = summary.get("significance", {}).get("trials", {"count": 1})
        return cls(
            model=manifest["id"],
            spec=spec,
            target=target,
            has_mean=target.has_mean(manifest["network"].get("head", "mean")),
            cutoff=date.fromisoformat(manifest["cutoff"]),
            verdict=manifest["verdict"]["label"],
            distrust=not_certified(manifest),
            trials=counted["count"],
            tested=predictions.filter(pl.col("model") == summary["network"]).select(
                *_KNOWN,
                fold_first=pl.col("date").min().over("fold"),
                fold_last=pl.col("date").max().over("fold"),
            ),
            live=live.filter(pl.col("origin") == "live", "tradable").select(_KNOWN),
        )


def judge(
    candidate: Contender,
    champion: Contender | None,
    lost: str | None,
    spec: GateSpec,
    evaluation: EvaluationSpec,
) -> Decision:
    """Returns whether the candidate becomes champion, by the rules at the top of this file.

    Args:
        candidate: the new model.
        champion: the one that stands, if any.
        lost: what of its data's quality did not hold, in words; None if all did.
        spec: margins, level, and what a comparison needs.
        evaluation: resamples and the names that an IC needs.
    """
    kind = relation(candidate, champion)
    distrust = candidate.distrust or (lost and f"the quality of its data did not hold: {lost}")
    if distrust:
        return Decision(False, kind, distrust)
    if champion is None:
        reason = f"there was no champion; its own verdict is {candidate.verdict}"
        return Decision(True, kind, f"{reason}.")
    if kind == "past":
        return Decision(
            True,
            kind,
            f"it is trained to {candidate.cutoff}, and {champion.model} to {champion.cutoff}: it "
            "is entered for past nights that had no champion, and succeeds nobody.",
        )
    return _compared(candidate, champion, kind, spec, evaluation)


def relation(candidate: Contender, champion: Contender | None) -> Kind:
    """Returns what the candidate is to the champion."""
    if champion is None:
        return "first"
    if candidate.cutoff < champion.cutoff:
        return "past"
    own, theirs = (set(one.tested["symbol"]) for one in (candidate, champion))
    same = len(own & theirs) >= _SAME_UNIVERSE * len(own | theirs)
    return "refresh" if same and candidate.spec == champion.spec else "challenger"


def _compared(
    candidate: Contender,
    champion: Contender,
    kind: Kind,
    spec: GateSpec,
    evaluation: EvaluationSpec,
) -> Decision:
    if candidate.target.name != champion.target.name:
        return Decision(
            False,
            kind,
            f"it forecasts {candidate.target.name} and {champion.model} "
            f"{champion.target.name}: their forecasts cannot be compared; `nightcast promote` "
            "decides by hand.",
        )
    horizon = candidate.target.horizon
    rows, nights, late = _together(candidate, champion, kind, spec)
    days = rows["date"].unique().sort()
    dates = days.len()
    needed = max(spec.min_dates, 2 * horizon + 1)
    figures = {"champion": champion.model, "dates": dates, "live_nights": nights}
    if dates < needed:
        where = " in identical folds" if kind == "challenger" else ""
        too_few = f"only {dates} common out-of-sample dates{where}, of {needed} that it takes"
        return _cannot_tell(kind, too_few, figures, champion.cutoff)
    measure: Literal["loss", "ic"] = (
        "loss" if spec.measure == "loss" and candidate.has_mean and champion.has_mean else "ic"
    )
    found = compare(rows, measure, horizon, evaluation)
    figures |= {"measure": found.measure, "symbols": rows["symbol"].n_unique()}
    if math.isnan(found.gain):
        flat = "the forecasts of one do not vary, so that they have no IC"
        return _cannot_tell(kind, flat, figures, champion.cutoff)
    span = f"on {dates} common dates ({days[0]} to {days[-1]}{late})"
    low, high = found.bounds(spec.confidence)
    said = f"{span} {_told(found.measure, found.gain, low, high, spec.confidence)}"
    figures |= {"gain": found.gain, "low": low, "high": high, "error": found.error}
    if kind == "refresh":
        return _refresh(found, said, figures, spec)
    return _challenger(found, said, figures, spec, candidate.trials)


def _together(
    candidate: Contender, champion: Contender, kind: Kind, spec: GateSpec
) -> tuple[pl.DataFrame, int, str]:
    """Returns the common rows, the live nights among them, and what is said of those."""
    folds = ("fold_first", "fold_last") if kind == "challenger" else ()
    tested = common_rows(candidate.tested, champion.tested, folds)
    trained = max(candidate.cutoff, champion.cutoff)
    live = common_rows(candidate.live, champion.live).filter(pl.col("date") > trained)
    nights = live["date"].n_unique()
    if nights < spec.min_live_nights:
        return tested, 0, f"; {nights} common live nights are too few to count" if nights else ""
    return pl.concat([tested, live]), nights, f", {nights} of them live nights"


def _cannot_tell(kind: Kind, why: str, figures: dict[str, Any], cutoff: date) -> Decision:
    if kind == "refresh":
        rule = "by rule, the same specification on later data replaces the champion all the same"
        return Decision(True, kind, f"it cannot be compared ({why}); {rule}.", figures)
    rule = (
        "another specification or universe would have to be shown to be better: train it with the "
        f"champion's [splits] and --as-of {cutoff}"
    )
    return Decision(False, kind, f"it cannot be compared ({why}); {rule}.", figures)


def _refresh(found: Paired, said: str, figures: dict[str, Any], spec: GateSpec) -> Decision:
    margin = spec.margin_loss if found.measure == "loss" else spec.margin_ic
    p_worse = found.p_below(-margin)
    figures |= {"margin": margin, "p_worse": p_worse}
    worse = p_worse < 1.0 - spec.confidence
    judged = "it is shown to be worse" if worse else "it is not shown to be worse"
    shown = f"{margin:.2%}" if found.measure == "loss" else f"{margin:.4f}"
    reason = f"{said}; {judged} by more than the margin of {shown} ({p_text(p_worse)})."
    return Decision(not worse, "refresh", reason, figures)


def _challenger(
    found: Paired, said: str, figures: dict[str, Any], spec: GateSpec, trials: int
) -> Decision:
    alone = found.p_above(0.0)
    # As 1 - (1 - p)^N, which rounding would make 0 of a small p.
    p_better = -math.expm1(trials * math.log1p(-alone)) if alone < 1.0 else 1.0
    figures |= {"trials": trials, "p_better": alone, "p_deflated": p_better}
    better = p_better < 1.0 - spec.confidence
    judged = "it is shown to be better" if better else "it is not shown to be better"
    counted = "1 counted trial" if trials == 1 else f"{trials} counted trials"
    reason = f"{said}; {judged} ({p_text(alone)}, after deflation by {counted} {p_text(p_better)})."
    return Decision(better, "challenger", reason, figures)


def _told(measure: Measure, gain: float, low: float, high: float, confidence: float) -> str:
    """Returns the gain with its bounds, as what the candidate does beside the champion."""
    if measure == "loss":
        way = "lower" if gain >= 0.0 else "higher"
        value, bounds = f"{abs(gain):.3%}", f"{low:+.3%} and {high:+.3%} lower"
        name = "mean squared error"
    else:
        way = "higher" if gain >= 0.0 else "lower"
        value, bounds = f"{abs(gain):.4f}", f"{low:+.4f} and {high:+.4f} higher"
        name = IC_NAMES[measure]
    return f"its {name} is {value} {way} than the champion's ({confidence:.0%} bounds: {bounds})"
