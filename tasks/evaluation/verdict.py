"""The verdict on a network, whether it pays, and what the test could have seen; in plain words.

The rule is declared beforehand and one-sided: see `RULE`. Whether trading the forecasts pays
after costs is a second, separate question. A head without a mean makes no squared error: it is
judged by its IC alone (`RULE_BY_IC`), and the verdict says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import norm
from scipy.stats import t as student_t

from tasks.evaluation.metrics import IcKind
from tasks.evaluation.performance import SESSIONS_PER_YEAR
from tasks.evaluation.significance import DieboldMariano, Interval

RULE = (
    "One-sided at {alpha:.3g} %, declared beforehand. edge: the Diebold-Mariano test (Harvey's "
    "correction, {lags} lags, fixed smoothing) on the mean squared error of each date against the "
    "zero forecast rejects, and the lower bound of the {ic} (Student's t, standard error from "
    "resampled dates) is above 0. worse than zero: the test rejects the other way. no edge: "
    "anything else."
)
RULE_BY_IC = (
    "One-sided at {alpha:.3g} %, declared beforehand. The head has no mean, so that its errors "
    "cannot be held against forecasting zero: the {ic} alone decides, by Student's t over its "
    "standard error from resampled dates. edge: its lower bound is above 0. worse than zero: its "
    "upper bound is below 0. no edge: anything else."
)
POWER = 0.80
IC_NAMES = {"ic": "IC", "ts_ic": "time-series IC"}


def label(test: DieboldMariano, ic: Interval, alpha: float) -> str:
    """Returns "edge", "no edge" or "worse than zero" by the declared rule."""
    if test.p_worse < alpha:
        return "worse than zero"
    # What is undefined is NaN, which is never below alpha nor above 0.
    return "edge" if test.p_better < alpha and ic.low > 0.0 else "no edge"


def verdict(
    test: DieboldMariano, ic: Interval, ic_kind: IcKind, alpha: float, lags: int, dates: int
) -> dict[str, object]:
    """Returns the verdict section of the summary."""
    found = label(test, ic, alpha)
    return {
        "label": found,
        "sentence": _sentence(found, test, ic, IC_NAMES[ic_kind], dates),
        "rule": RULE.format(alpha=100 * alpha, lags=lags, ic=IC_NAMES[ic_kind]),
        "dm_statistic": test.statistic,
        "dm_p_better": test.p_better,
        "dm_p_worse": test.p_worse,
        "ic_low": ic.low,
    }


def verdict_by_ic(ic: Interval, ic_kind: IcKind, alpha: float, dates: int) -> dict[str, object]:
    """Returns the verdict section on a head without a mean."""
    name = IC_NAMES[ic_kind]
    # What is undefined is NaN, which is neither above nor below 0.
    found = "edge" if ic.low > 0.0 else "worse than zero" if ic.high < 0.0 else "no edge"
    if math.isnan(ic.value):
        skill = f"the scores do not vary, so that they have no {name}"
    else:
        skill = f"the {name} of the scores is {ic.value:.3f} ({ic.low:.3f} to {ic.high:.3f})"
    return {
        "label": found,
        "sentence": f"{found.capitalize()}, by the {name} alone, as the head forecasts no mean: "
        f"on {dates} dates {skill}.",
        "rule": RULE_BY_IC.format(alpha=100 * alpha, ic=name),
        "dm_statistic": math.nan,
        "dm_p_better": math.nan,
        "dm_p_worse": math.nan,
        "ic_low": ic.low,
    }


def _sentence(found: str, test: DieboldMariano, ic: Interval, ic_name: str, dates: int) -> str:
    if math.isnan(test.statistic):
        return f"No edge: on {dates} dates the forecasts err exactly as much as forecasting zero."
    if math.isnan(ic.value):
        skill = f"its forecasts do not vary, so that they have no {ic_name}"
    else:
        skill = f"its {ic_name} is {ic.value:.3f} (lower bound {ic.low:.3f})"
    if found == "edge":
        return (
            f"Edge: on {dates} dates the network errs less than forecasting zero "
            f"({p_text(test.p_better)}), and {skill}."
        )
    if found == "worse than zero":
        return (
            f"Worse than zero: on {dates} dates the network errs more than forecasting zero "
            f"({p_text(test.p_worse)}); {skill}."
        )
    return (
        f"No edge: on {dates} dates the network is not shown to have both smaller errors than "
        f"forecasting zero ({p_text(test.p_better)}) and a positive {ic_name}; {skill}."
    )


def p_text(value: float) -> str:
    """Returns a p-value with its sign, as it stands in a sentence."""
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"


@dataclass(frozen=True)
class Rival:
    """What one would hold without the network: its Sharpe ratio, and what the network's has more.

    The difference is bootstrapped on the same dates.
    """

    name: str
    sharpe: Interval
    gain: Interval


def pays(net: Interval, rivals: Sequence[Rival], confidence: float) -> str:
    """Returns the sentence that says whether the forecasts pay, do not, or are not shown to.

    They pay where the Sharpe ratio of the network's long-only portfolio after costs, `net`, is
    shown to be above 0 and above that of every rival; a universe of survivors beats an index
    without any skill.
    """
    if any(math.isnan(rival.gain.value) for rival in rivals):
        return "Not shown to pay: one of the portfolios never moved in this span."
    lows = {"0": net.low, **{rival.name: rival.gain.low for rival in rivals}}
    highs = {"0": net.high, **{rival.name: rival.gain.high for rival in rivals}}
    unproved = [name for name, low in lows.items() if not low > 0.0]
    worse = [name for name, high in highs.items() if high < 0.0]
    if worse:
        found, why = "Does not pay", f"it is below {_listed(worse, 'and')}"
    elif unproved:
        found, why = "Not shown to pay", f"it is not shown to be above {_listed(unproved, 'or')}"
    else:
        found, why = "Pays", f"it is shown to be above {_listed([*lows], 'and')}"
    beside = ", ".join(
        f"{rival.name} {rival.sharpe.value:.2f} (the difference lies between "
        f"{rival.gain.low:.2f} and {rival.gain.high:.2f})"
        for rival in rivals
    )
    return (
        f"{found}: after costs the long-only portfolio has a Sharpe ratio of {net.value:.2f} "
        f"({confidence:.0%} interval {net.low:.2f} to {net.high:.2f}), {beside}; {why}."
    )


def _listed(names: Sequence[str], word: str) -> str:
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def power(
    ic_error: float, freedom: float, ic_kind: IcKind, dates: int, alpha: float
) -> dict[str, object]:
    """Returns the smallest IC that this span finds four times out of five.

    Args:
        ic_error: standard error of the IC over the bootstrap, NaN where there is no IC.
        freedom: degrees of freedom of the Student's t that its bounds come from.
        ic_kind: which IC it is.
        dates: out-of-sample dates behind the IC.
        alpha: one-sided level of the test.
    """
    if math.isnan(ic_error):
        sentence = f"These forecasts have no {IC_NAMES[ic_kind]}, so none could be found."
        return {"sentence": sentence, "detectable_ic": math.nan}
    reach = float(student_t.ppf(1.0 - alpha, freedom) + student_t.ppf(POWER, freedom))
    detectable = reach * ic_error
    sharpe = float(norm.ppf(1.0 - alpha) + norm.ppf(POWER)) / math.sqrt(dates / SESSIONS_PER_YEAR)
    sentence = (
        f"With {dates} dates like these a true {IC_NAMES[ic_kind]} of {detectable:.3f} is found "
        f"four times out of five, a smaller one mostly missed; "
        f"the same holds for a Sharpe ratio of {sharpe:.1f}."
    )
    return {"sentence": sentence, "detectable_ic": detectable}
