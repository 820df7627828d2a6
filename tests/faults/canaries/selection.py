"""The canary that no certificate can notice: the best of many trials, judged as if it were alone.

One world tells nothing: a portfolio without skill may be lucky. So many worlds are searched, each
for the best of trials that are noise, and its Sharpe ratio is judged by the project's own code. At
a level of 5 % more than that share of worlds, and two binomial standard errors of it, may not be
called significant. Worlds are those of the seeds 0 to WORLDS - 1.
"""

import math
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from tasks.evaluation.trials import against_trials, others_of
from tasks.lake.tables import TRIALS
from tasks.lake.trials import TrialsRef

WORLDS, SEARCHED, SESSIONS, LEVEL = 400, 20, 150, 0.05
ALLOWED = LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / WORLDS)
_REFERENCE = TrialsRef(
    trial="the best", universe="u", first=date(2015, 1, 5), last=date(2015, 8, 3),
    known_by=datetime(2016, 1, 4, tzinfo=UTC), others=SEARCHED - 1, digest="0",
)  # fmt: skip


def best_of_many_without_deflation(patch):
    """The hurdle of the deflated Sharpe ratio forgets how many trials there were."""
    patch.setattr("tasks.evaluation.trials.expected_best", lambda trials, spread: 0.0)


def called_significant(seed: int) -> bool:
    """Tells whether the best of trials without skill, the others counted, is called significant."""
    draw = np.random.default_rng(seed)
    tried = 0.01 * draw.standard_t(5, (SESSIONS, SEARCHED))
    best = int((tried.mean(axis=0) / tried.std(axis=0)).argmax())
    rows = [
        dict.fromkeys(TRIALS.content)
        | {"trial": str(n), "universe": "u", "status": "completed", "returns": list(tried[:, n])}
        | {"first": _REFERENCE.first, "last": _REFERENCE.last}
        for n in range(SEARCHED)
        if n != best
    ]
    schema = {name: TRIALS.columns[name] for name in TRIALS.content}
    others = others_of(pl.DataFrame(rows, schema=schema, orient="row"), _REFERENCE, SESSIONS)
    # What all names held equally earn is noise as well, so that neither ratio has any skill in it.
    found = against_trials(tried[:, best], np.zeros(SESSIONS), others, 1.0 - LEVEL)
    return any(row["significant"] for row in found["sharpe"])


def share_called_significant() -> float:
    """Returns the share of the worlds in which a search on noise finds something significant."""
    return sum(called_significant(seed) for seed in range(WORLDS)) / WORLDS
