"""What the counted trials leave of a Sharpe ratio: deflation, overfitting, the track it takes.

1. The count is that of all trials known: other features, targets, universes and studies too, and
   those that were killed or have no returns. All were chances to be lucky.
2. Trials that share the span of this one can be set beside it session by session. Their returns
   begin on the same session; a longer horizon ends a few later and is cut off. Returns are kept
   without dates, so that of a trial over other sessions the ratio alone is known, however many of
   them are shared.
3. Sharpe ratios are judged twice: of the net returns, and in excess of holding all names equally
   on the same sessions, as a rising market alone makes a long-only portfolio's ratio significant.
   The excess of other trials is known where they share span and universe.
4. A trial without returns is taken for one without skill, unlike all others, so that a few alike
   ones with returns do not speak for a search whose other results nobody kept.
5. The count of all trials decides. The groups of alike ones are shown beside it: they are fewer, so
   that they deflate less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tasks.evaluation.deflation import (
    alike,
    group_sharpes,
    hurdle_of,
    moves,
    needed_sessions,
    probabilistic_sharpe,
    session_sharpe,
    track,
)
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.overfitting import cannot_tell, overfitting_probability
from tasks.evaluation.performance import SESSIONS_PER_YEAR
from tasks.lake.trials import TrialsRef

# Returns that end earlier than this share of the own ones are another span.
_SAME_SPAN = 0.9
_YEARLY = math.sqrt(SESSIONS_PER_YEAR)


@dataclass(frozen=True)
class Others:
    """The other trials, as far as they have daily returns that move.

    Attributes:
        count: all others, with returns or without.
        beside: returns over the span of this trial [T, M], cut to the shortest.
        same_universe: which of those had the same universe [M].
        elsewhere: returns of the trials over other spans.
    """

    count: int
    beside: FloatArray
    same_universe: list[bool]
    elsewhere: list[FloatArray]


def others_of(rows: pl.DataFrame, reference: TrialsRef, sessions: int) -> Others:
    """Sorts the rows of the table `trials` by whether they can be set beside this trial's.

    Args:
        rows: the other trials.
        reference: says which span and universe are this one's.
        sessions: daily returns of this one.
    """
    beside: list[FloatArray] = []
    same, elsewhere = [], []
    span = (reference.first, reference.last)
    for row in rows.iter_rows(named=True):
        returns = np.array(row["returns"] or [], dtype=np.float64)
        if not moves(returns):
            continue
        if (row["first"], row["last"]) == span and returns.size >= _SAME_SPAN * sessions:
            beside.append(returns)
            same.append(row["universe"] == reference.universe)
        else:
            elsewhere.append(returns)
    shortest = min([sessions, *(returns.size for returns in beside)])
    stacked = np.array([returns[:shortest] for returns in beside]).reshape(-1, shortest).T
    return Others(rows.height, stacked, same, elsewhere)


def against_trials(
    net: FloatArray, equal: FloatArray, others: Others, confidence: float
) -> dict[str, Any]:
    """Returns the summary's sections on the trials, the Sharpe ratios and overfitting.

    Args:
        net: daily returns of this trial's portfolio after costs [T].
        equal: those of holding all names equally, after costs [T].
        others: the other trials.
        confidence: one-sided, of the Sharpe ratios.
    """
    count = others.count + 1
    shared = others.beside.shape[1]
    same = others.beside[:, np.array(others.same_universe, dtype=bool)]
    excess = same - equal[: same.shape[0], None]
    rows = [
        _sharpe_row("excess", net - equal, excess, [], count, confidence),
        _sharpe_row("net", net, others.beside, others.elsewhere, count, confidence),
    ]
    return {
        "trials": {
            "count": count,
            "with_returns": 1 + shared + len(others.elsewhere),
            "same_span": 1 + shared,
            "sentence": _counted(count, shared, len(others.elsewhere), rows[1]["groups"]),
        },
        "confidence": confidence,
        "sharpe": rows,
        "overfitting": _overfitting(net, others.beside),
    }


def _sharpe_row(
    kind: str,
    own: FloatArray,
    beside: FloatArray,
    elsewhere: Sequence[FloatArray],
    count: int,
    confidence: float,
) -> dict[str, Any]:
    """Returns all about one Sharpe ratio; ratios a year, lengths in sessions."""
    mine = track(own)
    moving = [column for column in beside.T if moves(column)]
    if moves(own[: beside.shape[0]]):
        moving.append(own[: beside.shape[0]])
    aligned = np.array(moving).reshape(len(moving), -1).T
    groups = alike(aligned)
    rest = [session_sharpe(returns) for returns in elsewhere]
    sharpes = [session_sharpe(column) for column in moving] + rest
    # What cannot be set beside the others counts as unlike them all.
    found = np.unique(groups).size + count - len(moving)
    hurdle = hurdle_of(count, sharpes, own.size)
    lower = hurdle_of(found, [*group_sharpes(aligned, groups), *rest], own.size)
    deflated = probabilistic_sharpe(mine, hurdle)
    row = {
        "returns": kind,
        "sharpe": mine.sharpe * _YEARLY,
        "sessions": own.size,
        "skewness": mine.skewness,
        "kurtosis": mine.kurtosis,
        "probabilistic": probabilistic_sharpe(mine, 0.0),
        "trials": count,
        "hurdle": hurdle * _YEARLY,
        "deflated": deflated,
        "groups": found,
        "group_hurdle": lower * _YEARLY,
        "group_deflated": probabilistic_sharpe(mine, lower),
        "needed_sessions": needed_sessions(mine, hurdle, confidence),
        "significant": deflated > confidence,
    }
    return {**row, "sentence": _judged(row, confidence)}


def _counted(count: int, shared: int, elsewhere: int, groups: int) -> str:
    if count == 1:
        return (
            "This is the only trial that the lake knows, so that nothing is deflated; what was "
            "tried and not counted there would be."
        )
    with_returns = 1 + shared + elsewhere
    apart = "1 group" if groups == 1 else f"{groups} groups"
    return (
        f"{count} trials are counted, this one and all others known; {with_returns} of them have "
        f"daily returns, {1 + shared} over this span. By their returns they are {apart}, a "
        "trial that cannot be compared being one of its own. The count decides, not the groups."
    )


_OF = {"net": "after costs", "excess": "in excess of equal weight"}


def _judged(row: dict[str, Any], confidence: float) -> str:
    of = _OF[row["returns"]]
    if math.isnan(row["probabilistic"]):
        return f"The returns {of} do not move, so that they have no Sharpe ratio."
    found = "significant" if row["significant"] else "not significant"
    need = row["needed_sessions"]
    track_record = (
        "no track record would show it, as it lies below the hurdle"
        if math.isinf(need)
        else f"it takes {need:,.0f} sessions to show, and there are {row['sessions']:,}"
    )
    ratio = f"The Sharpe ratio {of} is {row['sharpe']:.2f} a year"
    due = f"{row['deflated']:.3f} where {confidence:.3g} is due"
    if row["trials"] == 1:
        return f"{ratio}: {found} ({due}; nothing had to be deflated); {track_record}."
    return (
        f"{ratio}, where the best of {row['trials']} trials without skill would be expected at "
        f"{row['hurdle']:.2f}: {found} after deflation ({due}, {row['probabilistic']:.3f} before); "
        f"{track_record}."
    )


def _overfitting(own: FloatArray, beside: FloatArray) -> dict[str, Any]:
    sessions = beside.shape[0]
    tried = np.column_stack([beside, own[:sessions]]) if moves(own[:sessions]) else beside
    why = cannot_tell(tried.shape[1], sessions)
    if why is not None:
        sentence = f"The probability of overfitting is not computed: {why}."
        return {"probability": None, "trials": tried.shape[1], "sentence": sentence}
    found = overfitting_probability(tried)
    return {
        "probability": found,
        "trials": tried.shape[1],
        "sentence": f"Choosing the best of {tried.shape[1]} trials over this span would have been "
        f"overfitting with probability {found:.2f}: so often the best of one half of the blocks "
        "of sessions was no better than the middle of the trials in the other half.",
    }
